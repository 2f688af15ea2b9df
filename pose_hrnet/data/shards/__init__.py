"""Training persons in tar files."""
