"""Crops, images and data sets -> Poses, by any model and backend.

backends     what runs a network: layers of torch, compiled code, ONNX Runtime, OpenVINO
model        a model that is ready to run; heatmaps -> keypoints -> Poses; rescoring and NMS
load         any file -> such a model
dataset      a data set's persons -> Poses
detection    what detectors of persons take and give
detector     any file, name or function -> a detector; streams of images -> boxes
detected     images, folders and data sets -> a box file
options      which model and which detector, and how both run
pictures     images and boxes in the forms in which they are given
pending      an image on its way through batches of crops
estimator    arrays and streams of images -> Poses
heatmaps     a person's heatmaps -> a picture
video        videos, cameras and streams -> Poses with ids that stay, and without jitter
formats      what other programs read of a prediction
written      what that leaves on the disk, image by image: JSON, CSV, overlays
image_files  what a user names -> image files
sources      what these are called, and their boxes
files        images and folders -> JSON, CSV, overlays
"""
