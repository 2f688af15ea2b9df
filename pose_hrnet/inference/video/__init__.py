"""Video in, poses out with ids that stay, and without jitter.

frames      what a source gives: frames with their number and their time
container   video files by PyAV
opencv      video files by OpenCV, where PyAV is not installed
images      a sequence of images as a video
lateness    by how much the frames of a stream come late
newest      the newest frame of a camera or a stream, by a thread that takes all
live        the frames of it one by one, the others counted
sources     what a video is named by -> a source of frames
sound       the sound of a video, copied
writer      frames -> a video file
motion      where a person's box is expected, by its constant velocity
similarity  how much a pose is like what a track expects
tracker     one person, one id, over the poses of frames that come one by one
between     boxes for frames without a detector, from the last keypoints
smoothing   keypoints without jitter, as frames come: One-Euro
offline     keypoints without jitter, of whole tracks: Savitzky-Golay, Butterworth
tracked     a results file -> the same with tracks
stream      a source -> frames with poses
results     what is left of them on the disk: JSON, CSV, Parquet, OpenPose's files
overlay     the poses drawn into the video, and shown
predict     a source -> results and overlay
"""
