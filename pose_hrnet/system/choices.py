"""Choices that settings and options are made of, each written once; imports nothing of ours."""

from __future__ import annotations

from typing import Literal, TypeAlias

Arithmetic: TypeAlias = Literal["fp32", "bf16", "fp16"]
Precision: TypeAlias = Literal["auto", Arithmetic]
Runner: TypeAlias = Literal["eager", "compile", "openvino", "onnx"]
"""What runs a network: layers of torch as they are or compiled, OpenVINO, ONNX Runtime."""
Backend: TypeAlias = Literal["auto", Runner]
"""What may be asked for; ``auto``: the best choice here."""
ExportFormat: TypeAlias = Literal["onnx", "openvino", "torch"]
WeightType: TypeAlias = Literal["fp32", "int8"]
"""Of the weights in an export."""
ColourOrder: TypeAlias = Literal["RGB", "BGR"]
AxisOrder: TypeAlias = Literal["NCHW", "NHWC"]
"""Of a batch of images, as a model takes it."""

DetectorLayout: TypeAlias = Literal["yolox_raw", "yolo", "end2end", "detr", "torchvision"]
"""Of a detector's outputs; see pose_hrnet.inference.detection.layouts."""
Activation: TypeAlias = Literal["sigmoid", "softmax"]
"""Of a detector's logits."""
Fit: TypeAlias = Literal["corner", "centre", "stretch"]
"""How an image is put into a detector's input."""

CodecName: TypeAlias = Literal["gaussian", "dark", "udp"]  # see pose_hrnet.keypoints.codec
Alignment: TypeAlias = Literal["official", "udp"]
Head: TypeAlias = Literal["v1", "v2"]
"""Of HRNet: heatmaps from the finest branch, or from all branches."""

AnnotationKind: TypeAlias = Literal["coco", "crowdpose", "mpii"]
"""Kinds of annotations, each with the metric of that name."""
MetricName: TypeAlias = Literal["auto", AnnotationKind]
PoseFormat: TypeAlias = Literal[
    "coco-annotations", "openpose", "openpose-body25", "yolo", "mmpose", "labelstudio", "parquet"
]
"""What `predict` writes for other programs; see pose_hrnet.inference.formats."""
VideoFormat: TypeAlias = Literal["openpose", "openpose-body25", "parquet"]
"""What of these there is for videos; see pose_hrnet.inference.video.results."""
ForeignFormat: TypeAlias = Literal["yolo", "cvat", "labelstudio", "lsp", "deeplabcut", "coco"]
"""What `data convert` reads; see pose_hrnet.data.convert."""
LabelFormat: TypeAlias = Literal["coco", "yolo"]
"""What it writes."""
BoxFormat: TypeAlias = Literal["xywh", "xyxy"]
"""Of a box in a file: left, top, width, height as COCO has it, or left, top, right, bottom."""
Decode: TypeAlias = Literal["exact", "fast"]
"""How JPEGs are decoded; fast: reduced where large, off by 1 to 2 levels."""
Order: TypeAlias = Literal["persons", "images"]
"""Of training: by persons, or the persons of an image together."""

InputKind: TypeAlias = Literal["image", "video", "archive"]
"""Of `bulk`: what an input is; an archive is a tar file of images."""
RowFormat: TypeAlias = Literal["parquet", "jsonl"]
"""Of `bulk`: what its rows are written as."""

LossName: TypeAlias = Literal["mse", "ohkm", "awing"]
OptimizerName: TypeAlias = Literal["adam", "adamw", "sgd"]
ScheduleName: TypeAlias = Literal["step", "cosine"]
LoggerName: TypeAlias = Literal["tensorboard", "wandb", "mlflow"]
Resume: TypeAlias = Literal["never", "auto", "must"]
"""Whether to go on with the run that a folder holds: auto starts a new one if it holds none."""

NmsName: TypeAlias = Literal["oks", "soft_oks", "soft_oks_decayed", "none"]
"""Removal of duplicate poses; see pose_hrnet.keypoints.oks."""
Evaluator: TypeAlias = Literal["fast", "pycocotools"]
"""fast: pycocotools with our matching of all images at once; pycocotools: its own loop. The ten
numbers are the same to the last bit."""
OfflineFilter: TypeAlias = Literal["savgol", "butterworth"]
"""Smoothing of a whole recording; see pose_hrnet.inference.video.offline."""
SmoothName: TypeAlias = Literal["one_euro", OfflineFilter, "none"]
CompareItem: TypeAlias = Literal["flip", "shift", "codec", "nms"]
SectionName: TypeAlias = Literal[
    "loading", "codec", "evaluation", "prediction", "pipeline", "video", "serve", "model"
]
"""What is benchmarked, in this order."""
