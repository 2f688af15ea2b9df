"""Networks from crops to heatmaps, and their checkpoints."""
