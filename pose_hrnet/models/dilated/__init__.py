"""Networks that stop going down at stride 8 and spread the taps of their convolutions instead.

vgg           VGG16 at stride 8
dilated_net   DilatedNet with its basic context module
deeplab_v1    DeepLab-LargeFOV
deeplab       DeepLab V2, V3 and V3+, on ResNets
pspnet        PSPNet
"""
