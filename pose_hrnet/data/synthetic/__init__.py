"""Drawn people, and COCO data sets of them: no download.

figures     the bones of a person
clothing    what it wears
heads       faces and hair
canvas      brushes
painting    a person in colour
backdrops   what is behind it
scenes      several persons in one picture
dataset     pictures, and their COCO annotations
"""
