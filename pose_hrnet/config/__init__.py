"""Typed settings, and the strict YAML that they are read from.

base       what sections are made of
data       which persons are learned from and scored, and how they are read
networks   one class of settings for each network
codec      what heatmaps mean
training   augmentation, loss, optimiser, run
skeleton   keypoints as cards and indexes of shards have them
recipe     evaluation, notes, and all sections together: Config
files      finds, reads and overrides the YAML
reference  every setting in words: a recipe in full, docs/configuration.md
"""
