"""Detectors for tests: exported files of every layout, made by hand, and YOLOX's weights."""

from __future__ import annotations

import numpy as np
import onnx
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from pose_hrnet.models.yolox import YOLOX

WIDTH, HEIGHT = 96, 64  # of the input


def write_constant(path, outputs, *, rank=4, sizes=False):
    """An ONNX file that gives the same arrays whatever the image."""
    shape = [1, 3, HEIGHT, WIDTH] if rank == 4 else [3, None, None]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
    if sizes:  # D-FINE's second input
        inputs.append(
            helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [None, 2])
        )
    values, nodes, said = [], [], []
    # The image takes part, by nothing: a runtime may leave out an input that nothing reads.
    nodes.append(helper.make_node("ReduceSum", ["images"], ["sum"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["sum", "zero"], ["nothing"]))
    values.append(numpy_helper.from_array(np.float32(0), "zero"))
    if sizes:
        nodes.append(helper.make_node("Cast", ["orig_target_sizes"], ["wh"], to=1))
        nodes.append(helper.make_node("ReduceMax", ["wh"], ["most"], keepdims=0))
    for name, array in outputs.items():
        array = np.asarray(array)
        values.append(numpy_helper.from_array(array, f"{name}_value"))
        more = "most" if sizes and name == "boxes" else "nothing"
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        nodes.append(helper.make_node("Cast", [more], [f"{name}_more"], to=kind))
        operator = "Mul" if more == "most" else "Add"
        nodes.append(helper.make_node(operator, [f"{name}_value", f"{name}_more"], [name]))
        said.append(helper.make_tensor_value_info(name, kind, array.shape))
    graph = helper.make_graph(nodes, "detector", inputs, said, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def write_card(path, layout, **values):
    """A YAML card beside ``<name>.onnx``."""
    said = {"layout": layout, "input_wh": [WIDTH, HEIGHT], **values}
    path.write_text(yaml.safe_dump({k: v for k, v in said.items() if v is not None}))
    return path


def official_yolox(path, seed=0, **sizes):
    """A file in the layout of the official ones, with random weights."""
    torch.manual_seed(seed)
    network = YOLOX(**{"width": 8, "num_classes": 3, **sizes}).eval()
    torch.save({"start_epoch": 300, "model": network.state_dict(), "optimizer": {}}, path)
    return network


def yolox_of_onnx(path, **sizes):
    """The torch network with the weights of an official ONNX file, whose batch norms are folded.

    Its convolutions stand in the order in which the network runs them.
    """
    graph = onnx.load(path).graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    found = [[arrays[name] for name in n.input[1:]] for n in graph.node if n.op_type == "Conv"]
    network, order = YOLOX(**sizes).eval(), []
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks = [m.register_forward_hook(lambda m, *_: order.append(m)) for m in convolutions]
    norms = {m.conv: m.bn for m in network.modules() if hasattr(m, "bn")}
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
        for hook in hooks:
            hook.remove()
        for conv, (weight, bias) in zip(order, found, strict=True):
            conv.weight.copy_(torch.tensor(weight))
            norms.get(conv, conv).bias.copy_(torch.tensor(bias))
            if conv in norms:
                norms[conv].weight.fill_((1 + norms[conv].eps) ** 0.5)
    return network
