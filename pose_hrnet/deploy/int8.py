"""INT8 exports: calibrated on persons of a data set, scored before and after on others."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pose_hrnet.config.data import DataSet
from pose_hrnet.data.crops import CropDataset
from pose_hrnet.data.formats.rows import read_json
from pose_hrnet.data.people import check_keypoints, people_to_predict, read_annotations
from pose_hrnet.deploy.check import difference
from pose_hrnet.deploy.export import WEIGHTS, Export, export_model, graph_card, weight_bytes
from pose_hrnet.deploy.quantise import import_nncf, quantise
from pose_hrnet.evaluation.evaluate import evaluate
from pose_hrnet.evaluation.scorer import main_number
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.keypoints.records import ImageId, People
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.defaults import CALIBRATION_CROPS, MAX_DIFFERENCE, MAX_DROP
from pose_hrnet.system.files import write_json
from pose_hrnet.system.folders import check_room, draft_folder, put_in_place
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted

MIN_CROPS = 8
"""Fewer crops do not show the ranges of activations."""

_SEED = 0


@dataclass(frozen=True)
class Calibration:
    """Whose crops set the ranges, and on whom the score is measured: never the same images.

    Attributes:
        crops: ``(N, H, W, 3)`` uint8 RGB.
        scored: The data to score on.
        facts: Where both come from: plain values, ready for JSON.
    """

    crops: Tensor
    scored: DataSet
    facts: dict[str, Any]


def prepare(
    card: ModelCard, data: DataSet, calibration: DataSet | None, count: int, folder: Path
) -> Calibration:
    """Choose calibration crops at random.

    Args:
        card: How crops are cut.
        data: The data to score on. Its score would flatter a model that was calibrated, and whose
            layers were chosen, on the same images; so without `calibration` up to half of its
            images, chosen at random, serve for that alone, and are not scored.
        calibration: Other data, such as the training set.
        count: Crops to calibrate on; all, where there are fewer.
        folder: Where the annotations of the scored part may be written.

    Raises:
        ValueError: If the data is malformed, or has too few persons in readable images.
        FileNotFoundError: If a file is missing.
    """
    source = calibration or data
    file = read_annotations(source.annotations)
    check_keypoints(file, card.skeleton, source.category)
    people = people_to_predict(
        file,
        source.boxes,
        card.skeleton,
        category=source.category,
        box_format=source.box_format,
    )
    rng = np.random.default_rng(_SEED)
    images = rng.permutation(np.unique(people.image_index))
    if calibration is None:
        images = images[: len(images) // 2]
    rows = rng.permutation(np.flatnonzero(np.isin(people.image_index, images)))[:count]
    crops = _crops(card, people, rows, source)
    images = np.unique(people.image_index[rows])
    scored = data
    if calibration is None:
        scored = _without(data, {people.images.ids[image] for image in images}, folder)
    facts = {
        "calibration": {**_where(source), "crops": len(crops), "images": len(images)},
        "scored": _where(data),
        "scored_images": "all images" if calibration else "without the images calibrated on",
    }
    return Calibration(crops, scored, facts)


@dataclass(frozen=True)
class Int8Settings:
    """How a graph is quantised.

    Attributes:
        calibration: Data to calibrate on; None: see `prepare`.
        count: Crops to calibrate on.
        max_drop: How much the main number of the metric (AP, PCKh) may fall.
        workers: Loader processes of the scoring.
    """

    calibration: DataSet | None = None
    count: int = CALIBRATION_CROPS
    max_drop: float = MAX_DROP
    workers: int = 0


def export_int8(
    model: PoseModel,
    path: Path,
    data: DataSet,
    settings: Int8Settings | None = None,
    *,
    heatmaps: bool = False,
    check_crops: Tensor | None = None,
    bound: float = MAX_DIFFERENCE,
    progress: Progress = SILENT,
) -> Export:
    """Write a model as OpenVINO IR with INT8 layers, and how well it scores into its card.

    The graph is exported and checked in floating point first, as `export_model` does.

    Args:
        model: As of `export_model`.
        path: The .xml file; its folder is made.
        data: The data to score on, and unless the settings name other data, to calibrate on.
        settings: How; None: the usual ones.
        heatmaps: As of `export_model`.
        check_crops: As of `export_model`, for the graph in floating point, and for how far the
            keypoints of the INT8 one lie from it.
        bound: As of `export_model`; the INT8 graph is bound by the settings' `max_drop` instead.
        progress: Watches.

    Returns:
        What was written; its card has the section `quantisation`. If the difference is not `ok`,
        nothing was.

    Raises:
        ValueError: If NNCF is missing, the data does not do, the network scores nothing, or
            `max_drop` cannot be kept; nothing is written then.
        OSError: If the files cannot be read or written.
    """
    import_nncf()
    check_room(path.parent, 2 * weight_bytes(model), WEIGHTS)
    settings = settings or Int8Settings()
    with draft_folder(path) as folder:
        prepared = prepare(graph_card(model), data, settings.calibration, settings.count, folder)
        crops = prepared.crops if check_crops is None else check_crops
        source, target = folder / "float" / path.name, folder / "int8" / path.name
        target.parent.mkdir()
        done = export_model(
            model, source, "openvino", heatmaps=heatmaps, check_crops=check_crops, bound=bound
        )
        if not done.ok:
            return replace(done, path=path)
        before, metric = _score(source, prepared.scored, settings.workers, progress)
        if not before > 0:
            raise ValueError(
                f"the checkpoint's {metric} on {data.annotations} is {before:.4f}, so that no "
                "drop can be measured; give data that it was trained for"
            )
        facts = done.card.export
        assert facts is not None
        versions = {**facts.versions, "nncf": version("nncf")}
        facts = replace(facts, weights="int8", versions=versions)
        card = replace(done.card, export=facts)
        card.write_beside(target)
        quantised = quantise(
            source,
            target,
            prepared.crops.numpy(),
            lambda file: _score(file, prepared.scored, settings.workers, progress)[0],
            before=before,
            max_drop=settings.max_drop,
            progress=progress,
        )
        exact, rounded = (load_model(file, device="cpu") for file in (source, target))
        found = difference(exact, rounded, crops, bound)
        facts = replace(
            facts,
            quantisation={
                **prepared.facts,
                "metric": metric,
                "before": before,
                "after": quantised.score,
                "max_drop": settings.max_drop,
                "layers": quantised.layers,
                "layers_in_floating_point": list(quantised.layers_in_floating_point),
                "bytes": [_bytes(source), _bytes(target)],
                "difference": asdict(found),
            },
        )
        card = replace(card, export=facts)
        card.write_beside(target)
        put_in_place(target.parent, path.parent)
    return Export(path, card, done.difference)


def _score(path: Path, data: DataSet, workers: int, progress: Progress) -> tuple[float, str]:
    """The main number of a model file on a data set, and its name."""
    model = load_model(path, device="cpu")
    values = evaluate(model, data, workers=workers, progress=progress).scores.values
    name = main_number(values)
    assert name is not None  # every metric has one
    return float(values[name]), name


def _crops(card: ModelCard, people: People, rows: NDArray[np.intp], data: DataSet) -> Tensor:
    dataset = CropDataset(people, data.images, card.codec, card.box_padding)
    crops = [dataset[0, int(row)] for row in rows]
    readable = [crop.pixels for crop in crops if crop.readable]
    if len(readable) < MIN_CROPS:
        raise ValueError(
            f"{data.annotations} gives {counted(len(readable), 'calibration crop')} "
            f"({counted(len(people), 'person')}, "
            f"{len(crops) - len(readable)} in images of {data.images} that cannot be read); "
            f"INT8 needs at least {MIN_CROPS} and better 300, so give more persons"
        )
    return torch.stack(readable)


def _without(data: DataSet, images: set[ImageId], folder: Path) -> DataSet:
    """The data set without these images, as files in a folder."""
    content: Any = read_json(data.annotations, Any, "annotations")
    if isinstance(content, list):  # MPII: the images are their file names
        content = [row for row in content if row.get("image") not in images]
    else:
        for section, key in (("images", "id"), ("annotations", "image_id")):
            content[section] = [row for row in content[section] if row.get(key) not in images]
    write_json(folder / "scored.json", content)
    boxes = None
    if data.boxes is not None:
        boxes = folder / "scored_boxes.json"
        rows = read_json(data.boxes, list[dict[str, Any]], "a list of boxes")
        write_json(boxes, [row for row in rows if row.get("image_id") not in images])
    return data.model_copy(update={"annotations": folder / "scored.json", "boxes": boxes})


def _where(data: DataSet) -> dict[str, Any]:
    boxes = "ground truth" if data.boxes is None else str(data.boxes)
    return {"annotations": str(data.annotations), "boxes": boxes}


def _bytes(model: Path) -> int:
    return sum(file.stat().st_size for file in (model, model.with_suffix(".bin")))
