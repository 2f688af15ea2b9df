"""Drawn people, and COCO data sets of them."""
