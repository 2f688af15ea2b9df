"""Person detectors: what they take, what they give, and how that becomes boxes.

boxes      persons' boxes in an image; images on a canvas of the network's size; NMS
layouts    a network's outputs -> boxes and scores
card       what belongs to a detector that others exported, in YAML
networks   any network, torchvision's, and any function, as detectors
"""
