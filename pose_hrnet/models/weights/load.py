"""Models in and out of checkpoints: our own, and those of other toolkits as they are.

A checkpoint of ours carries a `ModelCard`, everything that decoding needs. Others carry tensors,
some of them a configuration; what they do not say is assumed as the recipes of their toolkit have
it, and reported. Accepted: HRNet and SimpleBaseline of the official code, MMPose 0.x and 1.x; to
start training from, also the ImageNet weights of official code, timm, torchvision.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from pose_hrnet.config.networks import settings_of
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import HeatmapNetwork
from pose_hrnet.models.weights.fetch import checkpoint_path
from pose_hrnet.models.weights.files import write_checkpoint
from pose_hrnet.models.weights.fit import LoadReport, fit, head_by_name
from pose_hrnet.models.weights.foreign import Overrides
from pose_hrnet.models.weights.layouts import named, recognised, same_size
from pose_hrnet.models.weights.read import Weights, open_weights, shapes_of
from pose_hrnet.system.choices import CodecName, ColourOrder
from pose_hrnet.system.text import counted, few

log = logging.getLogger(__name__)

# What no ImageNet file has: the last layer, what stands before it, and the way up to it.
_NEW_PARTS = ("final_layer.", "head.", "skips.", "pyramid.", "auxiliary.", "context.",
              "decoder.", "deconv_layers.")  # fmt: skip


class LoadedNetwork(NamedTuple):
    """The layers of a checkpoint, to train on or to look at.

    Attributes:
        network: In eval mode, on the CPU.
        card: Skeleton, codec, normalisation.
        report: Where the weights came from.
    """

    network: HeatmapNetwork
    card: ModelCard
    report: LoadReport


def save_model(path: str | Path, state_dict: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write weights and card as one safetensors file, whole or not at all.

    Args:
        path: Where to, by convention ``*.safetensors``; its folder is made.
        state_dict: Of the network that the card describes.
        card: Stored as JSON in the metadata of the file.

    Raises:
        OSError: If the file cannot be written.
    """
    write_checkpoint(Path(path), state_dict, card.to_dict())


def half_precision(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The floating numbers of a state dict in float16; loading it gives float32 again.

    Raises:
        ValueError: If one is too large for float16.
    """
    halved = {
        name: values.half() if values.is_floating_point() else values
        for name, values in state_dict.items()
    }
    for name, values in halved.items():
        if values.is_floating_point() and not values.isfinite().all():
            raise ValueError(
                f"{name} has a number that float16 does not hold, which ends at 65,504; "
                "write the file without --float16"
            )
    return halved


def load_network(
    path: str | Path,
    *,
    skeleton: Skeleton | None = None,
    input_wh: tuple[int, int] | None = None,
    codec: CodecName | None = None,
    sigma: float | None = None,
    blur_kernel: int | None = None,
    colour: ColourOrder | None = None,
) -> LoadedNetwork:
    """Load the layers of a checkpoint, ours or another toolkit's, to train on or to look at.

    To predict or evaluate, use `pose_hrnet.load_model`, which runs any kind of file.

    Ours are the files of `save_model` and training states, torch files with the card under
    ``card`` and the state dict under ``model``, or its moving average under ``ema``, which then
    counts. Of others the architecture is found out from names and shapes; settings are read from
    the configuration that MMPose files hold, else from a file name such as
    ``pose_hrnet_w32_256x192.pth`` (height x width), else assumed, which is logged.

    Args:
        path: ``.safetensors``, ``.pt`` or ``.pth``; the content decides, not the name. Or a name
            of published weights, or an address; see `checkpoint_path`.
        skeleton: Taken instead of what the file says.
        input_wh: Input size (width, height), taken instead of what the file says.
        codec: Name of the codec, taken instead of what the file says.
        sigma: Standard deviation in cells, taken instead of what the file says.
        blur_kernel: Width of the decoder's blur, taken instead of what the file says.
        colour: Channel order that a network of others was trained on, taken instead of what the
            file says or its recipes have. What comes back takes RGB in any case.

    Returns:
        The network in eval mode on the CPU, its card, and a report.

    Raises:
        OSError: If there is no such file, or it cannot be downloaded.
        ValueError: If the file is damaged, no checkpoint, would have to run code to load, has no
            keypoint head, or does not hold every weight; or if the skeleton must be given.
    """
    overrides = Overrides(skeleton, input_wh, codec, sigma, blur_kernel, colour)
    path = checkpoint_path(path)
    weights = open_weights(path, colour)
    try:
        card, settings = weights.card(overrides)
        network = card.build()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    fitting, report = fit(network, weights, settings)
    if report.problem is not None:
        raise ValueError(f"{path}: {report.problem}")
    network.load_state_dict(fitting, strict=False)
    if any(setting.guessed for setting in settings):
        log.info("%s: %s", path, report.notes[-1])
    return LoadedNetwork(network.eval(), card, report)


def initialise(
    model: nn.Module, path: str | Path, keypoint_names: Sequence[str] | None = None
) -> LoadReport:
    """Start a model from pretrained weights: ImageNet or pose, ours or another toolkit's.

    Entries that the file lacks, or has in another shape (the head for another number of
    keypoints), keep their values, and the report names them.

    Args:
        model: Receives the weights in place: `HRNet` with either head, `SimpleBaseline`, or
            `pose_hrnet.models.hrnet_v2.HRNetV2`.
        path: As in `load_network`; ImageNet files such as ``hrnetv2_w32_imagenet_pretrained.pth``,
            or of timm and torchvision, as well.
        keypoint_names: The model's keypoints. Where the file's are known, too, and are others,
            the head's rows are taken by name, and those of new keypoints keep their values.

    Returns:
        What was taken and what was not.

    Raises:
        OSError: If there is no such file, or it cannot be downloaded.
        ValueError: If the file cannot be read, fits fewer than half of the backbone's entries, or
            is of another width or depth; the model is then as it was.
    """
    path = checkpoint_path(path)
    weights, notes = head_by_name(open_weights(path), model.state_dict(), keypoint_names)
    fitting, report = fit(model, weights, (), notes)
    backbone = [name for name in model.state_dict() if not name.startswith(_NEW_PARTS)]
    fits = sum(name in fitting for name in backbone)
    if isinstance(model, HeatmapNetwork):
        architecture = model.architecture
    else:  # HRNetV2, which has no heatmaps, has no architecture either
        architecture = recognised(shapes_of(model.state_dict())) or {}
    advice = (
        f"the model ({named(architecture)}); give weights of its width and depth"
        f"{_or_the_network(weights)}"
    )
    if 2 * fits < len(backbone):
        raise ValueError(
            f"{path}: the file ({weights.description}) fits only {fits} of the {len(backbone)} "
            f"backbone entries of {advice}"
        )
    # A deeper ResNet has every entry of a shallower one.
    if not same_size(weights.architecture, architecture):
        raise ValueError(
            f"{path}: the file ({weights.description}) is of another size than {advice}"
        )
    model.load_state_dict(fitting, strict=False)
    strange = report.strange_backbone
    if strange:
        log.warning(
            "%s: the model has no place for %s of the file's backbone (%s); a variant of its "
            "network starts it worse",
            path, counted(len(strange), "entry"), few(strange),
        )  # fmt: skip
    return report


def _or_the_network(weights: Weights) -> str:
    """What else helps where weights are of another network: a file of ours says its settings."""
    card = weights.own_card
    settings = card and card.architecture and settings_of(card.architecture, weights.file.path)
    return f", or set the file's own network, model: {settings}" if settings else ""
