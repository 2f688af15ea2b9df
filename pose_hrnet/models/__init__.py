"""Crops -> heatmaps; knows no data set. How to add a network: docs/development.md.

network           HeatmapNetwork, what every network is: uint8 crops in, normalised inside
layers            convolutions with batch norm, as networks share them
hrnet             HRNet with the official parameter names
hrnet_v2          HRNetV2 and V2p, for segmentation and detection
simple_baseline   a ResNet with deconvolutions
backbones         VGG16 and ResNets of any width, which other networks stand on
high_resolution   HRNet with attention, HRNetV2 with context, Lite-HRNet
encoder_decoder   Hourglass, FCN, U-Net, DeconvNet, SegNet, FC-DenseNet
dilated           DilatedNet, DeepLab V1 to V3+, PSPNet
vit_pose          ViTPose
yolox             YOLOX, a detector, with the official parameter names
build             every network by its name: a network from its architecture
complexity        parameters and GFLOPs
receptive_field   how far a cell of the heatmaps sees
card_file         cards as files have them, validated whole
card              what belongs to a model: skeleton, codec, input, architecture, export
weights           files of weights, of ours and of other toolkits
"""
