"""Scores of predicted poses: the COCO numbers, PCK, PCKh."""
