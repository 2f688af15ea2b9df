"""Crops, images and data sets -> Poses, by any model and backend."""
