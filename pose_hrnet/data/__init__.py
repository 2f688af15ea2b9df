"""Annotation files and images -> People -> crops.

formats      annotation, detection and result files
convert      annotations of other programs in, and out
people       any annotations -> People to learn from, to predict; several data sets as one
images       image files -> RGB pixels
web_images   images by address
image_facts  what an image file says of itself
pictures     what readers of images give
missing      why its images cannot be read, in words
jpeg         fast, reduced JPEG decoding
augment      random regions
appearance   random colours, holes and noise
crops        People -> uint8 crops with their keypoints
loader       order, shares, workers, the way to the device
shards       crops in tar files
mixed        shards and annotated images as one data set
validation   what is wrong with a data set
synthetic    drawn people, and COCO data sets of them
"""
