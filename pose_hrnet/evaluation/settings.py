"""Test-time choices side by side: flip test, its shift, codec and NMS, from one network run.

A checkpoint that is decoded otherwise than it was trained for loses points without an error. Here
each combination of choices decodes the same heatmaps, so that the one that fits stands out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from pose_hrnet.config.data import DataSet
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.evaluation.evaluate import (
    COMPARISON_FILE,
    Evaluation,
    check_arguments,
    load_evaluation_set,
    score_inference,
    tested_as,
)
from pose_hrnet.evaluation.metrics.scores import Scores
from pose_hrnet.evaluation.scorer import METRICS
from pose_hrnet.inference.dataset import Inference, predict_each
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.system.arguments import check_choices
from pose_hrnet.system.choices import (
    Alignment,
    CodecName,
    CompareItem,
    Evaluator,
    NmsName,
)
from pose_hrnet.system.distributed import World
from pose_hrnet.system.files import write_json
from pose_hrnet.system.progress import SILENT, Progress

Decoding: TypeAlias = CodecName | Literal["argmax"]

NOTABLE_GAIN = 0.005
"""AP by which another combination must win before the checkpoint's own is called in question."""

NEGLIGIBLE = 0.001
"""AP that the simplest explanation of a gain may lack of the best."""


@dataclass(frozen=True)
class Combination:
    """One way from heatmaps to poses.

    Attributes:
        codec: Whose decoding; ``argmax`` is the highest cell, crops and cells being those of the
            checkpoint's own codec.
        flip_shift: Cells that the mirrored heatmaps are shifted by; None: no flip test.
        nms: Removal of duplicates.
    """

    codec: Decoding
    flip_shift: int | None
    nms: NmsName

    @property
    def flip_test(self) -> bool:
        """Whether the mirrored crops are averaged in."""
        return self.flip_shift is not None

    @property
    def decoding(self) -> tuple[Decoding, int | None]:
        """What decides the keypoints, the NMS being left out."""
        return self.codec, self.flip_shift

    def changes(self, own: Combination) -> tuple[str, ...]:
        """What is other than in `own`, in words: ``flip shift 0``, ``codec udp``."""
        words = []
        if self.flip_shift != own.flip_shift:
            shift = f"flip shift {self.flip_shift}" if self.flip_test else "no flip test"
            words.append(shift if own.flip_test else f"the flip test, {shift}")
        if self.codec != own.codec:
            words.append("plain argmax" if self.codec == "argmax" else f"codec {self.codec}")
        if self.nms != own.nms:
            words.append(f"nms {self.nms}")
        return tuple(words)

    def applied(self, model: PoseModel) -> PoseModel:
        """The model, decoding as this combination says."""
        own = model.card.heatmap_codec
        return model.with_test_settings(
            flip_test=self.flip_test,
            flip_shift=self.flip_shift,
            codec=own if self.codec == "argmax" else own.as_codec(self.codec),
            refine=self.codec != "argmax",
        )


@dataclass(frozen=True)
class Row:
    """A combination and its numbers."""

    combination: Combination
    scores: Scores

    @property
    def ap(self) -> float:
        """AP, 0 to 1."""
        return self.scores.values["AP"]


@dataclass(frozen=True)
class Comparison:
    """Every combination, scored.

    Attributes:
        compared: The choices that were varied.
        own: What the checkpoint's card and the settings give, as `evaluate` does.
        own_combination: The combination that this is.
        rows: All combinations, best AP first; of equal ones the one with fewest changes first.
        alignments: Of the crops; each needed its own run of the network.
        network_crops: Crops that the network saw.
        hint: What may be wrong, in a sentence; None if nothing stands out.
    """

    compared: tuple[CompareItem, ...]
    own: Evaluation
    own_combination: Combination
    rows: tuple[Row, ...]
    alignments: tuple[Alignment, ...]
    network_crops: int
    hint: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; ``evaluated`` says what produced the own row."""
        rows = [
            {
                **asdict(row.combination),
                "flip_test": row.combination.flip_test,
                "own": row.combination == self.own_combination,
                "best": row is self.rows[0],
                **row.scores.values,
            }
            for row in self.rows
        ]
        return {
            "compared": list(self.compared),
            "hint": self.hint,
            "alignments": list(self.alignments),
            "network_crops": self.network_crops,
            "rows": rows,
            "notes": list(self.own.scores.notes),
            "evaluated": self.own.provenance,
        }

    def with_provenance(self, facts: dict[str, Any]) -> Comparison:
        """The same scores with further facts about what produced them."""
        return replace(self, own=self.own.with_provenance(facts))

    def write(self, output: str | Path) -> None:
        """Write ``comparison.json``, and `Evaluation.write`'s files of the own settings."""
        self.own.write(output)
        write_json(Path(output) / COMPARISON_FILE, self.to_dict())


def combinations(
    codec: HeatmapCodec, test: EvaluateConfig, compared: Sequence[CompareItem]
) -> tuple[Combination, ...]:
    """Every combination of the compared choices that makes sense, none twice.

    What is not compared stays as the settings say; a flip shift that they leave open is each
    codec's own.

    Args:
        codec: The checkpoint's.
        test: Test-time settings.
        compared: What to vary.

    Returns:
        The checkpoint's own combination, then the others.

    Raises:
        ValueError: If only the shift of a flip test is to vary that is turned off.
    """
    with_flip = test.flip_test or "flip" in compared
    without_flip = not test.flip_test or "flip" in compared
    if "shift" in compared and not with_flip:
        raise ValueError(
            "the flip shift cannot be compared without the flip test; "
            "turn the test on, or compare flip, too"
        )

    def shifts(name: Decoding) -> list[int | None]:
        own = (codec if name == "argmax" else codec.as_codec(name)).flip_shift
        usual = own if test.flip_shift is None else test.flip_shift
        chosen: list[int | None] = []
        if with_flip:
            chosen += sorted({0, 1, usual}) if "shift" in compared else [usual]
        return [*chosen, None] if without_flip else chosen

    usual = codec.flip_shift if test.flip_shift is None else test.flip_shift
    own = Combination(codec.name, usual if test.flip_test else None, test.nms)
    names: tuple[Decoding, ...] = (codec.name,)
    if "codec" in compared:
        names = (*get_args(CodecName), "argmax")
    removals: tuple[NmsName, ...] = get_args(NmsName) if "nms" in compared else (test.nms,)
    found = [Combination(c, s, nms) for c in names for s in shifts(c) for nms in removals]
    return tuple(dict.fromkeys([own, *found]))


def compare_settings(
    model: PoseModel,
    data: DataSet,
    test: EvaluateConfig,
    compared: Sequence[CompareItem],
    *,
    workers: int = 0,
    evaluator: Evaluator = "fast",
    world: World | None = None,
    progress: Progress = SILENT,
) -> Comparison:
    """Score every combination of test-time choices; the network sees each view of a crop once.

    How a crop is cut belongs to the codec, so that the network runs once for each alignment that
    the compared codecs have.

    Args:
        model: As of `evaluate`; decodes as its own combination says.
        data: Annotations, image folder and boxes.
        test: As of `evaluate`.
        compared: What to vary.
        workers: Loader processes.
        evaluator: What matches poses with persons; both give the same numbers.
        world: The processes that predict, as in `evaluate`; None: this one alone.
        progress: Watches.

    Raises:
        ValueError: If the data is malformed, no image could be read, there is nothing to vary,
            the model is an export that gives no heatmaps, or an argument makes no sense.
        FileNotFoundError: If the annotations or the boxes are missing.
    """
    check_arguments(model, data, test, workers, evaluator)
    check_choices("compared", compared, CompareItem)
    world, model = world or World.alone(), tested_as(model, test)
    card, own_decoder = model.card, model.decoder
    if own_decoder.in_graph:
        raise ValueError(
            "an exported model gives keypoints and no heatmaps, so that there is nothing to "
            "compare; evaluate it without --compare, or compare its checkpoint"
        )
    test = test.model_copy(
        update={"flip_test": own_decoder.flip_test, "flip_shift": own_decoder.flip_shift}
    )
    choices = combinations(card.heatmap_codec, test, compared)
    chosen = load_evaluation_set(data, card.skeleton, min_box_score=test.min_box_score)
    if (number := METRICS[chosen.scorer.metric].main_number) != "AP":
        raise ValueError(
            f"choices are compared by AP, which {number} is not; evaluate without --compare"
        )
    models = {choice.decoding: choice.applied(model) for choice in choices}
    alignments = tuple(dict.fromkeys(m.decoder.codec.alignment for m in models.values()))
    inferences: dict[tuple[Decoding, int | None], Inference] = {}
    for alignment in alignments:
        keys = [key for key, m in models.items() if m.decoder.codec.alignment == alignment]
        decoders = [models[key].decoder for key in keys]
        dataset, loader = chosen.crops(
            card, decoders[0].codec, test.batch_size, workers=workers, world=world
        )
        found = predict_each(model, decoders, dataset, loader, world=world, progress=progress)
        inferences.update(zip(keys, found, strict=True))

    def score(choice: Combination) -> Evaluation:
        return score_inference(
            inferences[choice.decoding],
            chosen,
            models[choice.decoding],
            test.model_copy(update={"nms": choice.nms}),
            evaluator=evaluator,
            processes=world.size,
        )

    def score_all() -> tuple[Evaluation, list[Scores]]:
        with progress.task("score", len(choices), "combinations") as bar:
            own, scores = score(choices[0]), []
            for choice in choices:
                scores.append(own.scores if choice is choices[0] else score(choice).scores)
                bar.advance()
        return own, scores

    own, scores = world.on_main(score_all)
    rows = [Row(choice, score) for choice, score in zip(choices, scores, strict=True)]
    rows.sort(key=lambda row: (-row.ap, len(row.combination.changes(choices[0]))))
    views = 1 + any(choice.flip_test for choice in choices)
    return Comparison(
        compared=tuple(compared),
        own=own,
        own_combination=choices[0],
        rows=tuple(rows),
        alignments=alignments,
        network_crops=views * len(alignments) * len(chosen.people),
        hint=_hint(rows, Row(choices[0], own.scores), shift_given=test.flip_shift is not None),
    )


def _hint(rows: Sequence[Row], own: Row, *, shift_given: bool) -> str | None:
    """What may be wrong: the fewest changes that gain what the best combination gains."""
    worth = [
        row for row in rows if row.ap > own.ap + NOTABLE_GAIN and row.ap >= rows[0].ap - NEGLIGIBLE
    ]
    if not worth:
        return None
    simplest = min(worth, key=lambda row: len(row.combination.changes(own.combination)))
    found, usual = simplest.combination, own.combination
    shifted = usual.flip_test and found.flip_shift != usual.flip_shift
    card_is_suspect = found.codec != usual.codec or (shifted and not shift_given)
    reason = "its card may be wrong" if card_is_suspect else "that is a setting, not its card"
    changes = " and ".join(found.changes(usual))
    gain = 100 * (simplest.ap - own.ap)
    return f"this checkpoint scores {gain:.1f} AP higher with {changes}: {reason}"
