"""Annotation files in, results out, one format a module.

broken_json  JSON of which some rows cannot be decoded
rows         JSON rows, decoded one by one, with their problems
identity     which image is meant, by id or by name
coco         COCO keypoint annotations, decoded once, as the file states them
persons      the rules for bad rows, and the good ones as People
mat          matrices of numbers of Matlab's files
mpii         MPII's annotations -> People
suspicions   what looks wrong over all rows: units, and formats of boxes
skeletons    the keypoints that an annotation file or a YAML file names
box_files    box files of every common form, as COCO's rows
detections   boxes of person detectors, in
results      COCO keypoint results, in and out
frames       COCO keypoint results of a recording, in the order of its frames
"""
