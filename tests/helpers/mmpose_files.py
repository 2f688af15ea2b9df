"""What files of MMPose hold: configurations, data set information, names of entries."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from torch import Tensor

from pose_hrnet.models.network import HeatmapNetwork

CONFIG_1X = """
codec = dict(
    heatmap_size=(48, 64, ),
    input_size=(192, 256, ),
    sigma=2,
    type='MSRAHeatmap')
model = dict(
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        type='PoseDataPreprocessor'),
    head=dict(
        decoder=dict(
            heatmap_size=(48, 64, ), input_size=(192, 256, ), sigma=2, type='MSRAHeatmap'),
        type='HeatmapHead'),
    test_cfg=dict(flip_mode='heatmap', flip_test=True, shift_heatmap=True),
    type='TopdownPoseEstimator')
val_pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
"""


CONFIG_0X = """
channel_cfg = dict(num_output_channels=17, dataset_joints=17)
model = dict(
    type='TopDown',
    keypoint_head=dict(type='TopdownHeatmapSimpleHead', num_deconv_layers=0),
    train_cfg=dict(),
    test_cfg=dict(
        flip_test=True, post_process='default', shift_heatmap=True, modulate_kernel=11))
data_cfg = dict(image_size=[192, 256], heatmap_size=[48, 64], num_joints=17)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    dict(type='TopDownGenerateTarget', sigma=2)
]
data = dict(
    samples_per_gpu=64,
    test=dict(
        type='TopDownCocoDataset',
        dataset_info=dict(
            dataset_name='hand',
            keypoint_info=dict({
                0: dict(name='wrist', id=0, color=[1, 2, 3], type='upper', swap=''),
                1: dict(name='left_tip', id=1, color=[1, 2, 3], type='', swap='right_tip'),
                2: dict(name='right_tip', id=2, color=[1, 2, 3], type='', swap='left_tip')
            }),
            skeleton_info=dict({0: dict(link=('wrist', 'left_tip'), id=0, color=[0, 255, 0])}),
            joint_weights=[1.0, 1.5, 1.5],
            sigmas=[0.03, 0.04, 0.04])))
"""


def changed(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


UDP_1X = (("MSRAHeatmap", "UDPHeatmap"), ("shift_heatmap=True", "shift_heatmap=False"))


def data_set(names: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    """A data set description as MMPose 1.x puts it into its checkpoints."""
    return {
        "dataset_name": "tools",
        "keypoint_id2name": dict(enumerate(names)),
        "flip_pairs": [(1, 0)],
        "skeleton_links": [(0, 2)],
        "upper_body_ids": [2],
        "sigmas": np.array([0.1, 0.1, 0.079], np.float32),
        "dataset_keypoint_weights": np.array([1, 1.2, 1], np.float32),
        **changes,
    }


META_1X = {"cfg": CONFIG_1X, "epoch": 210, "mmengine_version": "0.10.7"}


def in_mmpose(model: HeatmapNetwork, head: str) -> OrderedDict[str, Tensor]:
    """MMPose's names: the backbone, then the head, each under a prefix."""
    ours = model.state_dict()
    heads = [name for name in ours if name.startswith(("final_layer.", "deconv_layers."))]
    backbone = {f"backbone.{name}": value for name, value in ours.items() if name not in heads}
    return OrderedDict({**backbone, **{head + name: ours[name] for name in heads}})
