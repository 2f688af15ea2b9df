"""Networks from crops to heatmaps; they know no data set."""
