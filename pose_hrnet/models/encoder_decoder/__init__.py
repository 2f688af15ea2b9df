"""Networks that go from high resolution to low and back, where HRNet stays high.

hourglass     Stacked Hourglass, supervised at each stack
fcn           FCN-32s, -16s and -8s, behind VGG16 or a ResNet
unet          U-Net, of valid or padded convolutions
unpooling     pooling that remembers the places of its maxima, and the way back
deconvnet     DeconvNet, which unpools
segnet        SegNet, which does so without fully connected layers
fc_densenet   FC-DenseNet-56, -67 and -103
"""
