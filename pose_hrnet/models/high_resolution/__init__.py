"""HRNet extended, and made small.

attention    HRNet with polarised self-attention
context      HRNetV2 with object-contextual representations
lite_hrnet   Lite-HRNet-18 and -30
"""
