"""Poses -> numbers, and why.

metrics      the COCO numbers, CrowdPose, PCK, PCKh
scorer       the metric of a data set, and its main number
evaluate     predict and score
settings     test-time choices of one model, side by side
matching     which pose is whose
statistics   how sure a number is, and whether B is better than A
diagnosis    what a network gets wrong, and what that costs
calibration  whether scores say how sure a prediction is
report       all of it as a page, with pictures
"""
