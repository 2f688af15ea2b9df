"""Checkpoints as files that other programs run: ONNX, OpenVINO IR, torch.export.

Normalisation, flip test and decoder go into the graph, traced from `Decoder` and `HeatmapCodec`
themselves, so that an export decodes as everything else here does. Its input is NHWC: images come
out of decoders and cameras as ``(H, W, 3)`` uint8, so that the one transposition there is happens
inside, on a quarter of the bytes that floats would take.
"""

from __future__ import annotations

import copy
import logging
import re
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from pose_hrnet.deploy.check import Difference, difference
from pose_hrnet.inference.backends.convert import (
    PACKAGES,
    import_packages,
    onnx_program,
    openvino_model,
    traced,
)
from pose_hrnet.inference.backends.networks import ExportedNetwork
from pose_hrnet.inference.backends.sessions import Session
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.model import Decoder, PoseModel
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.models.card import SUFFIXES, ExportFacts, ModelCard
from pose_hrnet.system.arguments import check_choice, check_flag, check_kind, check_number
from pose_hrnet.system.choices import ExportFormat
from pose_hrnet.system.defaults import MAX_DIFFERENCE
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.folders import LEAST, check_room, draft_folder, naming, put_in_place
from pose_hrnet.system.text import counted, one_line

log = logging.getLogger(__name__)


class PoseGraph(nn.Module):
    """What is exported: uint8 crops in, keypoints and scores out.

    Args:
        network: Maps ``(B, 3, H, W)`` uint8 crops to heatmaps.
        decoder: Flip test and codec.
        heatmaps: Give the heatmaps that are decoded, too.
    """

    def __init__(self, network: nn.Module, decoder: Decoder, *, heatmaps: bool) -> None:
        super().__init__()
        self.network = network
        self.decoder = decoder
        self.heatmaps = heatmaps

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """``(B, H, W, 3)`` -> ``(B, K, 2)`` input pixels, ``(B, K)``, and ``(B, K, h, w)``."""
        heatmaps = self.decoder.heatmaps(self.network, crops.permute(0, 3, 1, 2))
        decoded = self.decoder.codec.decode(heatmaps, refine=self.decoder.refine)
        return (*decoded, heatmaps) if self.heatmaps else decoded


@dataclass(frozen=True)
class Export:
    """What was written, unless the check failed.

    Attributes:
        path: The model file.
        card: What it holds.
        difference: The check's result; None where it was left out.
    """

    path: Path
    card: ModelCard
    difference: Difference | None

    @property
    def ok(self) -> bool:
        """Whether the check passed, and the files are in place."""
        return self.difference is None or self.difference.ok


def export_path(output: Path, checkpoint: Path, fmt: ExportFormat) -> Path:
    """The model file that an output names: itself, or one of the checkpoint's name in a folder.

    Raises:
        ValueError: If the output has the suffix of another format.
    """
    suffix = output.suffix.lower()
    if suffix == SUFFIXES[fmt]:
        return output
    if suffix in (*SUFFIXES.values(), ".bin"):
        raise ValueError(
            f"{output} ends in {suffix}, but files of format {fmt} end in {SUFFIXES[fmt]}; "
            "name it so, or give a folder"
        )
    return output / (checkpoint.stem + SUFFIXES[fmt])


def export_model(
    model: PoseModel,
    path: str | Path,
    fmt: ExportFormat,
    *,
    heatmaps: bool = False,
    check_crops: Tensor | None = None,
    bound: float = MAX_DIFFERENCE,
) -> Export:
    """Write a model as a graph with a card beside it, checked before it takes its place.

    Args:
        model: Layers of torch in fp32, as `load_model` gives them with ``backend="eager"``. Its
            flip test, flip shift and codec go into the graph, and into the card.
        path: The file, with the format's suffix; its folder is made.
        fmt: ``onnx``, ``openvino`` (a .bin stands beside the .xml) or ``torch``.
        heatmaps: Give the heatmaps as a third output.
        check_crops: ``(N, H, W, 3)`` uint8 RGB crops to compare on; None: no check.
        bound: Input pixels that a keypoint may differ by.

    Returns:
        What was written. If the difference is not `ok`, nothing was.

    Raises:
        ValueError: If an extra is missing, the network cannot be exported in this format, the
            model decodes as no card can say, or an argument makes no sense.
        OSError: If the files cannot be written, or the disk has no room for them.
    """
    check_kind("model", model, PoseModel, "load_model gives one")
    check_choice("fmt", fmt, ExportFormat)
    check_flag("heatmaps", heatmaps)
    check_number("bound", bound, 0)
    path, model = Path(path), as_layers(replace(model, card=graph_card(model)))
    facts = ExportFacts(fmt, model.decoder.flip_test, heatmaps, "fp32", package_versions(fmt))
    card = replace(model.card, export=facts)
    write = {"onnx": _write_onnx, "openvino": _write_openvino, "torch": _write_program}[fmt]
    import_packages(fmt)
    log.info("tracing the network and writing it in format %s, which takes a minute or more", fmt)
    check_room(path.parent, weight_bytes(model), WEIGHTS)
    program = trace(model, heatmaps=heatmaps)
    with draft_folder(path) as folder:
        draft = folder / path.name
        try:
            write(program, draft, facts, card.codec.input_wh)
        except OSError:
            raise
        except Exception as error:  # the converters' errors have no common base
            check_written(folder, path, weight_bytes(model))
            raise ValueError(
                f"the network cannot be written in format {fmt} ({one_line(error)}); it may have "
                "an operator that the converter does not know, so try another format"
            ) from error
        card.write_beside(draft)
        found = None
        if check_crops is not None:
            log.info("comparing it with the checkpoint on %s", counted(len(check_crops), "crop"))
            found = difference(model, _opened(draft, model), check_crops, bound)
            facts = replace(facts, measured={"difference": asdict(found)})
            card = replace(card, export=facts)
            card.write_beside(draft)
        if found is None or found.ok:
            put_in_place(folder, path.parent)
    return Export(path, card, found)


WEIGHTS = "the weights"
"""What an export needs room for."""


def weight_bytes(model: PoseModel) -> int:
    """About the size of an export: that of the parameters and statistics of its network."""
    return sum(value.nbytes for value in model.network.state_dict().values())


def check_written(folder: Path, path: Path, size: int) -> None:
    """Whether a program that could not write a file, and said why in its own way, had no room.

    Args:
        folder: Of drafts, which are removed.
        path: Whose they were.
        size: About what was to be written.

    Raises:
        NotWritten: If nobody could have written so much there.
    """
    for draft in filter(Path.is_file, folder.iterdir()):
        draft.unlink()
    with naming(path):
        probe = folder / "probe"
        probe.write_bytes(bytes(max(size, LEAST)))
        probe.unlink()


def graph_card(model: PoseModel) -> ModelCard:
    """The card of a model's graph: it decodes as the model does, whatever its checkpoint says.

    Raises:
        ValueError: If the model decodes by plain argmax, which no card can say.
    """
    codec, shift = model.decoder.codec, model.decoder.shift_cells
    if not model.decoder.refine:
        raise ValueError(
            "a model that decodes by plain argmax (refine=False) cannot be exported, since a card "
            "cannot say so; export it with refine=True"
        )
    if isinstance(codec, HeatmapCodec) and shift not in (None, codec.flip_shift):
        codec = replace(codec, own_flip_shift=shift)
    return replace(model.card, codec=codec)


def as_layers(model: PoseModel) -> PoseModel:
    """A copy of a model for tracing: on the CPU, its weights in the order of the dimensions.

    Raises:
        ValueError: If the model is not made of layers of torch in fp32.
    """
    if (model.choice.backend, model.choice.precision) != ("eager", "fp32") or (
        model.decoder.in_graph
    ):
        raise ValueError(
            f"a model that is run by {model.choice.backend} in {model.choice.precision} cannot be "
            'exported; load its checkpoint with backend="eager", precision="fp32"'
        )
    network: Any = copy.deepcopy(model.network).eval().cpu()
    network = network.to(memory_format=torch.contiguous_format)
    return replace(model, network=network, device=torch.device("cpu"))


def trace(model: PoseModel, *, heatmaps: bool) -> ExportedProgram:
    """The network and its decoder as one graph with any batch size.

    Raises:
        ValueError: If the network does what a graph cannot hold.
    """
    graph = PoseGraph(model.network, model.decoder, heatmaps=heatmaps)
    try:
        program = traced(graph, model.card.codec.input_wh)
    except Exception as error:  # its errors have no common base
        raise ValueError(f"the network cannot be traced ({one_line(error)})") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def _opened(path: Path, model: PoseModel) -> PoseModel:
    """What was written of a model, as other programs will open it."""
    if path.suffix != SUFFIXES["torch"]:
        return load_model(path, device="cpu")
    module = torch.export.load(path).module(check_guards=False)
    width, height = model.card.codec.input_wh
    session = Session(
        "eager",
        model.device,
        (None, height, width, 3),
        torch.uint8,
        (),
        lambda values: tuple(module(values)),
    )
    decoder = replace(model.decoder, in_graph=True)
    return replace(model, network=ExportedNetwork(session), decoder=decoder)


def package_versions(fmt: ExportFormat) -> dict[str, str]:
    """Versions of what writes a format."""
    found = {}
    for package in ("pose-hrnet", "torch", *PACKAGES[fmt]):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "source"
    return found


def _write_program(
    program: ExportedProgram, path: Path, facts: ExportFacts, input_wh: tuple[int, int]
) -> None:
    # Not into a file: where the disk is full, PyTorch's writer ends the process.
    data = BytesIO()
    torch.export.save(program, data)
    path.write_bytes(data.getbuffer())


def _write_onnx(
    program: ExportedProgram, path: Path, facts: ExportFacts, input_wh: tuple[int, int]
) -> None:
    onnx_program(program, facts.outputs).save(path, external_data=False)


def _write_openvino(
    program: ExportedProgram, path: Path, facts: ExportFacts, input_wh: tuple[int, int]
) -> None:
    ov = import_extra("openvino", "openvino")
    model = openvino_model(program, input_wh)
    _name_convolutions(model, program)
    model.inputs[0].get_tensor().set_names({"crops"})
    for output, name in zip(model.outputs, facts.outputs, strict=True):
        output.get_tensor().set_names({name})
    ov.save_model(model, path, compress_to_fp16=False)


def _name_convolutions(model: Any, program: ExportedProgram) -> None:
    """Call an OpenVINO model's convolutions what they are called in the network.

    OpenVINO numbers operations of a kind. It folds a normalisation into the convolution before it,
    so that the number of the normalisation is what is left, in the name of the bias.
    """

    def module(node: Any) -> str:
        path, _ = [*node.meta["nn_module_stack"].values()][-1]
        return str(path).removeprefix("network.")

    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    convolutions = [module(n) for n in calls if str(n.target).startswith("aten.conv")]
    normalised = [module(n.args[0]) for n in calls if str(n.target).startswith("aten.batch_norm")]
    for op in model.get_ordered_ops():
        if "Convolution" not in op.get_type_name():
            continue
        bias = next(iter(op.output(0).get_target_inputs())).get_node()
        for names, kind, node in (
            (convolutions, "convolution", op),
            (normalised, "_native_batch_norm_legit_no_training", bias),
        ):
            found = re.match(rf"{kind}(?:_(\d+))?/", node.get_friendly_name())
            if found:
                op.set_friendly_name(names[int(found[1] or 0)])
