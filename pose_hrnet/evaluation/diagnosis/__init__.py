"""What a network gets wrong (Ronchi and Perona, ICCV 2017): why a keypoint is where it is.

scene        persons and results, image by image, and which result takes which person
kinds        good, jitter, inversion, swap, miss
corrections  what AP would be without each kind
groups       how often each kind occurs: by keypoint, size, visibility, overlap
diagnose     all of it
"""
