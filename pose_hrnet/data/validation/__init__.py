"""What is wrong with a data set, and what that does to its scores.

checks     what can be wrong with annotations
validate   annotations, images and detections together: a report
"""
