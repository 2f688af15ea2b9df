"""Scores of predicted poses: OKS and OKS-NMS, the COCO numbers, PCK."""
