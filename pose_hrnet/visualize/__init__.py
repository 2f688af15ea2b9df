"""Pictures from arrays; knows no file format of ours.

poses      poses and boxes on images
heatmaps   heatmaps on crops
pictures   grids, titles and files of pictures; the training curve
"""
