"""What runs a network, and which of them is chosen.

sessions   model files opened by ONNX Runtime, OpenVINO
convert    a network of torch layers for OpenVINO and ONNX Runtime
choose     which program, in which arithmetic, and why
networks   the network as chosen
"""
