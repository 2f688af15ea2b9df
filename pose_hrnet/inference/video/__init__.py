"""Video in, tracked poses out.

frames      what a source gives: frames with their number and their time
container   video files by PyAV
opencv      video files by OpenCV, where PyAV is not installed
images      a sequence of images as a video
live        cameras and streams: the newest frame alone
sources     what a video is named by -> a source of frames
"""
