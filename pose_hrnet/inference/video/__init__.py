"""Frames -> Poses with ids that stay, and without jitter.

motion      where a person's box is expected, by its constant velocity
similarity  how much a pose is like what a track expects
tracker     one person, one id, over the poses of frames that come one by one
between     boxes for frames without a detector, from the last keypoints
smoothing   keypoints without jitter, as frames come: One-Euro
offline     keypoints without jitter, of whole tracks: Savitzky-Golay, Butterworth
recorded    a results file -> the same with tracks
"""
