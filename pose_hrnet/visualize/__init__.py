"""Pictures from arrays; knows no file format of ours.

poses      poses, boxes and heatmaps on images
pictures   grids, titles and files of pictures; the training curve
"""
