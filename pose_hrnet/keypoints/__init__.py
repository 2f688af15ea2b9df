"""The nouns, and the two coordinate changes: boxes to input, heatmaps to keypoints.

skeleton     names, left and right, limbs, OKS sigmas: COCO17, MPII16, CROWDPOSE14, WHOLEBODY133
wholebody    the facts of the last
records      Images, People, Poses: validated columns
exchange     Poses as others read them: COCO results, JSON, pandas, supervision
geometry     the pixel rule; CropFrames, the maps between image, picture and input
codec        keypoints <-> heatmaps: gaussian, dark, udp
simcc        keypoints as two vectors each, of models of others
refine       from the highest cell to a fraction of a cell
oks          OKS, OKS-NMS, soft NMS, rescoring
calibration  keypoint scores as probabilities
"""
