"""Annotations of other programs -> COCO's, and COCO's -> Ultralytics', one format a module.

labelled     labelled images on their way from one format to another
text         numbers in other programs' files, and XML without its dangers
yolo         Ultralytics' YOLO-pose: data.yaml and a text file an image, in
yolo_out     and out
cvat         CVAT's XML, and the zip files of its exports
labelstudio  Label Studio's JSON
lsp          Leeds Sports Pose: joints.mat
deeplabcut   DeepLabCut's CSV
coco         COCO annotations, in and out
convert      any of these files -> COCO JSON or a YOLO-pose data set
"""
