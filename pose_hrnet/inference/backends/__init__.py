"""What runs a network, and which of them is chosen.

sessions        model files opened by ONNX Runtime, OpenVINO, torch.export
program_files   torch.export programs, read without running their code
convert         a network of torch layers for OpenVINO and ONNX Runtime
choose          which program, in which arithmetic, and why
networks        the network as chosen
"""
