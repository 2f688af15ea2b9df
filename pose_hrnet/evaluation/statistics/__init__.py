"""How sure a number is, and whether one model is better than another.

weighted    numbers of images that count several times: what a bootstrap asks for
curves      COCO's AP and AR of weighted images, exactly pycocotools'
keypoints   PCK and similarity of each keypoint, of results whose owners are found by OKS
clusters    which images belong together
bootstrap   images or clusters drawn again: intervals
results     all numbers of a results file, as one statistic, and drawn again
paired      is B better than A: permutation test, Holm, Welch
changes     which images changed most
comparison  results of several models, in pairs

What each number is, with its formula and source: docs/statistics.md.
"""
