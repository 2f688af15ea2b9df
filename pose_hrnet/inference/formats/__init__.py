"""What `predict --format` writes for other programs, one format a module.

inside            what of poses is inside their image: boxes, and keypoints that are labels
coco_annotations  COCO annotations, to be corrected by hand
openpose          a JSON an image, in OpenPose's layout
yolo              a text file an image, as Ultralytics writes poses
mmpose            a JSON an image, as MMPose's inferencer writes it
labelstudio       tasks with predictions for Label Studio
parquet           a table of all keypoints
writer            the files, image by image
"""
