"""What a pose is, where a pixel is, what a heatmap means."""
