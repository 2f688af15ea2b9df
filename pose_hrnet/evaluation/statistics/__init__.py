"""How sure a number is, and whether one model is better than another.

weighted    numbers of images that count several times: what a bootstrap asks for
curves      COCO's AP and AR of weighted images, exactly pycocotools'
keypoints   PCK and similarity of each keypoint, of results whose owners are found by OKS
results     all numbers of a results file, as one statistic
bootstrap   images or clusters drawn again: intervals

What each number is, with its formula and source: docs/statistics.md.
"""
