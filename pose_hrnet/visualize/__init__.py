"""Pictures from arrays; knows no file format of ours.

draw   poses, boxes, heatmaps, grids, the training curve
"""
