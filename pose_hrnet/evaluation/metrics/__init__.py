"""Scores of predicted poses, the COCO numbers equal to pycocotools' to the bit.

scores          what every metric gives
coco_truth      annotations as the evaluation sees them
coco_matching   which result is whose, of all images at once
coco_ap         results as the evaluation sees them, and the ten COCO numbers
crowdpose       AP by crowding
pck             PCK, AUC and EPE
pckh            MPII's PCKh

How to add a metric: docs/development.md.
"""
