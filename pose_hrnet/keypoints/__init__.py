"""The nouns, and the two coordinate changes: boxes to input, heatmaps to keypoints.

skeleton   names, left and right, limbs, OKS sigmas: COCO17, MPII16, CROWDPOSE14
records    Images, People, Poses: validated columns
geometry   the pixel rule: CropFrames (boxes <-> input), pictures resized
codec      keypoints <-> heatmaps: gaussian, dark, udp
refine     from the highest cell to a fraction of a cell
oks        OKS, OKS-NMS, soft NMS, rescoring
"""
