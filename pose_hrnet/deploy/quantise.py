"""INT8 by post-training quantisation of an OpenVINO graph (NNCF), held to a drop of its score.

The convolutions and what lies between them are quantised. Normalisation before the first, flip
test and decoder behind the last stay in floating point: 255 steps would round coordinates to
fractions of the image.

Where INT8 everywhere costs more than is allowed, stretches of neighbouring layers are returned to
floating point. First each is quantised alone, to see how far that moves the heatmaps; then the
worst one, two, four, ... are returned together, and scored, until the drop is within its bound.
NNCF's own ``quantize_with_accuracy_control`` ranks and returns single layers, with a full
evaluation after each: hours for the 293 convolutions of an HRNet.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pose_hrnet.inference.backends.sessions import open_openvino, openvino_core
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import one_line

log = logging.getLogger(__name__)

MAX_STRETCHES = 64
"""So many runs of neighbouring layers are ranked, for a time that does not grow with depth."""

_RANKING_CROPS = 16
_SLACK = 1e-9  # a drop of 0.002 in binary may be a little more


@dataclass(frozen=True)
class Quantised:
    """What quantisation did.

    Attributes:
        score: Of the quantised file.
        layers: Convolutions in the network.
        layers_in_floating_point: Those that were returned.
    """

    score: float
    layers: int
    layers_in_floating_point: tuple[str, ...]


def import_nncf() -> Any:
    """Import NNCF, which this installation may not have.

    Raises:
        ValueError: If it is missing, with the command that installs it.
    """
    # It would report each use to its makers over the network; this is its switch against that.
    os.environ.setdefault("NNCF_CI", "1")
    nncf = import_extra("nncf", "openvino")
    # Not nncf.set_log_level, which changes handlers, too, that others share with it.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf


def quantise(
    source: Path,
    target: Path,
    crops: NDArray[np.uint8],
    score: Callable[[Path], float],
    *,
    before: float,
    max_drop: float,
    progress: Progress = SILENT,
) -> Quantised:
    """Write a quantised copy of an OpenVINO model that scores nearly as well.

    Args:
        source: The model in floating point (.xml).
        target: The file to write; while this works, drafts stand there, too.
        crops: ``(N, H, W, 3)`` uint8 RGB, whose activations set the ranges.
        score: Scores a model file; higher is better.
        before: The score of `source`.
        max_drop: How much lower the result may score.
        progress: Watches.

    Raises:
        ValueError: If NNCF is missing or fails, or the bound cannot be kept with half of the
            layers.
    """
    nncf = import_nncf()
    ov = import_extra("openvino", "openvino")
    original = openvino_core().read_model(source)
    inner = inner_operations(original)
    names = {op.get_friendly_name() for op in inner}
    try:
        quantised = nncf.quantize(
            original,
            nncf.Dataset([crop[None] for crop in crops]),
            subset_size=len(crops),
            target_device=nncf.TargetDevice.CPU,
            ignored_scope=nncf.IgnoredScope(
                names=[
                    op.get_friendly_name()
                    for op in original.get_ordered_ops()
                    if op.get_friendly_name() not in names
                    and op.get_type_name() not in ("Constant", "Parameter", "Result")
                ]
            ),
        )
    except Exception as error:  # its errors have no common base
        raise ValueError(f"NNCF cannot quantise {source} ({one_line(error)})") from error

    def written(model: Any) -> float:
        ov.save_model(model, target, compress_to_fp16=False)
        return score(target)

    layers = [op.get_friendly_name() for op in inner if is_convolution(op)]
    after = written(quantised)
    if before - after <= max_drop + _SLACK:
        return Quantised(after, len(layers), ())
    log.info("INT8 everywhere scores %.4f after %.4f; looking for what hurts", after, before)
    ranked = _rank(original, quantised, stretches(inner), crops[:_RANKING_CROPS], progress)
    count = 1
    while count <= max(1, len(ranked) // 2):
        chosen = {name for stretch in ranked[:count] for name in stretch}
        after = written(with_floats(quantised, original, chosen))
        kept = tuple(layer for layer in layers if layer in chosen)
        log.info("%.4f with %d of %d layers in floating point", after, len(kept), len(layers))
        if before - after <= max_drop + _SLACK:
            return Quantised(after, len(layers), kept)
        count *= 2
    raise ValueError(
        f"the score falls from {before:.4f} to {after:.4f} even with {len(kept)} of {len(layers)} "
        f"layers in floating point, more than by {max_drop:g}; calibrate on "
        "more persons, allow more with --max-drop, or export without --int8"
    )


def is_convolution(op: Any) -> bool:
    """Whether an operation is a convolution of any kind."""
    return "Convolution" in op.get_type_name()


def inner_operations(model: Any) -> list[Any]:
    """The convolutions, their biases and what lies between them, inputs before outputs."""

    def is_bias(op: Any) -> bool:
        sources = [value.get_node() for value in op.input_values()]
        return op.get_type_name() == "Add" and (
            any(map(is_convolution, sources))
            and any(source.get_type_name() == "Constant" for source in sources)
        )

    ordered = model.get_ordered_ops()
    behind: set[str] = set()
    for op in ordered:
        sources = (value.get_node().get_friendly_name() for value in op.input_values())
        if is_convolution(op) or not behind.isdisjoint(sources):
            behind.add(op.get_friendly_name())
    ahead: set[str] = set()
    for op in reversed(ordered):
        if is_convolution(op) or is_bias(op) or not ahead.isdisjoint(_consumers(op)):
            ahead.add(op.get_friendly_name())
    return [op for op in ordered if op.get_friendly_name() in behind & ahead]


def stretches(inner: Sequence[Any]) -> list[set[str]]:
    """Names of operations in runs of about equally many convolutions."""
    total = sum(map(is_convolution, inner))
    count = min(total, MAX_STRETCHES)
    runs: list[set[str]] = [set() for _ in range(count)]
    seen = 0
    for op in inner:
        seen += is_convolution(op)
        runs[max(0, seen - 1) * count // total].add(op.get_friendly_name())
    return runs


def with_floats(quantised: Any, original: Any, names: Collection[str]) -> Any:
    """A copy of the quantised model in which these operations are the original's.

    They get back their weights, and their biases, which were corrected for the rounding; their
    other inputs come without it.
    """
    ov = import_extra("openvino", "openvino")
    model = quantised.clone()
    originals = {op.get_friendly_name(): op for op in original.get_ops()}
    for op in model.get_ordered_ops():
        if op.get_friendly_name() not in names:
            continue
        for port, value in enumerate(originals[op.get_friendly_name()].input_values()):
            source = op.input_value(port)
            if value.get_node().get_type_name() == "Constant":
                source = ov.opset13.constant(value.get_node().data).output(0)
            while source.get_node().get_type_name() == "FakeQuantize":
                source = source.get_node().input_value(0)
            op.input(port).replace_source_output(source)
    return model


def _consumers(op: Any) -> list[str]:
    return [
        target.get_node().get_friendly_name()
        for output in op.outputs()
        for target in output.get_target_inputs()
    ]


def _rank(
    original: Any,
    quantised: Any,
    runs: Sequence[set[str]],
    crops: NDArray[np.uint8],
    progress: Progress,
) -> list[set[str]]:
    """The runs, first those that, quantised alone, move the heatmaps farthest."""
    inner = {op.get_friendly_name(): op for op in inner_operations(original)}
    last = [name for name, op in inner.items() if inner.keys().isdisjoint(_consumers(op))]
    wanted = _outputs(original, last, crops)
    losses = []
    with progress.task("rank layers", len(runs), "stretches") as bar:
        for run in runs:
            alone = with_floats(quantised, original, inner.keys() - run)
            found = _outputs(alone, last, crops)
            losses.append(sum(float(((found[k] - wanted[k]) ** 2).mean()) for k in last))
            bar.advance()
    return [runs[place] for place in np.argsort(losses)[::-1]]


def _outputs(model: Any, names: Sequence[str], crops: NDArray[np.uint8]) -> Mapping[str, Tensor]:
    """What operations inside a model give."""
    probe = model.clone()
    first = len(probe.outputs)
    probe.add_outputs([(name, 0) for name in names])
    found = open_openvino(probe).run(torch.from_numpy(crops))
    return dict(zip(names, found[first:], strict=True))
