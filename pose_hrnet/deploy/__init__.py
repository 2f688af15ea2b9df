"""Models outside of the laboratory: exports, INT8."""
