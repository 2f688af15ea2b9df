"""Pictures from arrays; knows no file format of ours.

poses      poses and boxes on images
heatmaps   heatmaps on crops
persons    a person with what is annotated, what was predicted, and the errors
svg        charts
html       a page of numbers, charts and pictures in one file
pictures   grids, titles and files of pictures; the training curve
"""
