"""Data in: annotations, augmentation, crops, and a drawn data set."""
