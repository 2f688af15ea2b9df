"""Crops -> heatmaps; knows no data set.

network           what every network takes: uint8 crops, normalised inside
hrnet             HRNet with the official parameter names
hrnet_v2          HRNetV2 and V2p, for segmentation and detection
simple_baseline   a ResNet with deconvolutions
build             a network from its architecture
complexity        parameters and GFLOPs
card              what belongs to a model: skeleton, codec, input, architecture, export
weights           files of weights, of ours and of other toolkits
"""
