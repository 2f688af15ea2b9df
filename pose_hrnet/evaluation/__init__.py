"""Poses -> numbers, and why.

metrics      the COCO numbers, CrowdPose, PCK, PCKh
scorer       the metric of a data set, and its main number
evaluate     predict and score
compare      test-time choices side by side
matching     which pose is whose
statistics   how sure a number is
diagnosis    what a network gets wrong, and what that costs
calibration  whether scores say how sure a prediction is
"""
