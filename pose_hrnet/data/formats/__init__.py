"""Annotation files in, results out, one format a module.

rows        JSON rows, decoded one by one, with their problems
coco        COCO keypoint annotations -> People
mpii        MPII's annotations -> People
skeletons   the keypoints that an annotation file or a YAML file names
results     detections in, COCO results out
"""
