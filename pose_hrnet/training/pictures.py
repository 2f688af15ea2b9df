"""Pictures of what a network makes of validation persons: the best, the worst, its heatmaps."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.crops import CropDataset, cut
from pose_hrnet.data.images import ImageError, image_path, read_rgb
from pose_hrnet.data.people import annotated_people, read_annotations
from pose_hrnet.evaluation.evaluate import EvaluationSet
from pose_hrnet.evaluation.matching import Match, best_and_worst, match_best
from pose_hrnet.inference.model import PoseModel
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.keypoints.records import Image, People, Poses
from pose_hrnet.models.card import ModelCard
from pose_hrnet.visualize.heatmaps import draw_heatmaps
from pose_hrnet.visualize.pictures import add_title, enlarged, picture_grid
from pose_hrnet.visualize.poses import draw_poses

log = logging.getLogger(__name__)

SHOWN = 12
"""Persons in the picture of the best, and of the worst."""
PAIRS_PER_ROW = 4
HEATMAP_CROPS = 8
TALL = 256
"""Pixels that a crop is shown with at least."""


WIDER = 1.15
"""Factor on the region of a crop, so that a pose that left it is seen to."""


@dataclass(frozen=True, eq=False)
class Showcase:
    """Draws validation persons of a run.

    Attributes:
        held_out: The validation set.
    """

    held_out: EvaluationSet

    def pictures(self, model: PoseModel, poses: Poses) -> dict[str, Image]:
        """All pictures by name: ``best_predictions``, ``worst_predictions`` and ``heatmaps``.

        Args:
            model: What predicted them; its network is left in the mode it had.
            poses: What was scored.
        """
        match = match_best(self._annotated, poses, model.card.skeleton.sigmas)
        best, worst = best_and_worst(self._annotated, match, SHOWN)
        drawn = {
            "best_predictions": self._persons(model.card, best, match, poses),
            "worst_predictions": self._persons(model.card, worst, match, poses),
            "heatmaps": self.heatmaps(model),
        }
        return {name: picture for name, picture in drawn.items() if picture is not None}

    def heatmaps(self, model: PoseModel) -> Image | None:
        """Crops with their target heatmaps and, beside them, the network's.

        The same annotated persons each time, spread over the validation set.

        Args:
            model: Its network is put into evaluation mode and left in the mode it had.

        Returns:
            None if there is no annotated person.
        """
        people, card = self._annotated, model.card
        if not len(people):
            return None
        rows = np.unique(np.linspace(0, len(people) - 1, HEATMAP_CROPS).astype(int))
        crops = CropDataset(people, self.held_out.data.images, card.codec, card.box_padding)
        batch = crops.batch([(0, row) for row in rows.tolist()])
        targets, _ = card.heatmap_codec.encode(batch.keypoints_input, batch.visible)
        with model.evaluating():
            predicted = model.with_test_settings(flip_test=False).heatmaps(batch.pixels)
        pitch = card.heatmap_codec.cell_pitch_xy
        tiles = []
        for row, pixels, *maps in zip(rows, batch.pixels, targets, predicted, strict=True):
            lit = [
                draw_heatmaps(pixels.numpy(), each.numpy(), pitch, skeleton=card.skeleton)
                for each in maps
            ]
            pair = _beside(*(enlarged(each, TALL) for each in lit))
            tiles.append(add_title(pair, f"id {people.ids[row]}: target | predicted"))
        return _grid(tiles)

    def _persons(
        self, card: ModelCard, rows: NDArray[np.intp], match: Match, poses: Poses
    ) -> Image | None:
        """Persons, each with its annotated and its predicted pose side by side."""
        people, tiles = self._annotated, []
        for row in rows.tolist():
            name = people.images.file_names[people.image_index[row]]
            try:
                image = read_rgb(image_path(self.held_out.data.images, name))
            except (ImageError, OSError) as error:
                log.debug("%s is not shown: %s", name, error)
                continue
            pose = poses[[match.pose[row]]] if match.pose[row] >= 0 else None
            sides = "annotated | predicted" if pose is not None else "annotated | no pose"
            title = f"OKS {match.oks[row]:.2f}   id {people.ids[row]}: {sides}"
            tiles.append(add_title(_pair(card, image, people[[row]], pose), title))
        return _grid(tiles) if tiles else None

    @cached_property
    def _annotated(self) -> People:
        """The persons with labelled keypoints, also where a detector's boxes are predicted."""
        held_out = self.held_out
        if held_out.data.boxes is None:
            return held_out.people
        return annotated_people(
            read_annotations(held_out.data.annotations),
            held_out.scorer.skeleton,
            held_out.data.category,
        )


def _pair(card: ModelCard, image: Image, person: People, pose: Poses | None) -> Image:
    """The crop with the annotated pose, and with the predicted one."""
    width, height = (side * TALL // card.codec.input_wh[1] for side in card.codec.input_wh)
    frames = CropFrames.of_boxes(
        person.boxes_xywh, (width, height), "official", padding=card.box_padding * WIDER
    )
    pixels = cut(image, frames.affines[0], (width, height))
    truth = frames.to_input(person.keypoints_image)
    left = draw_poses(pixels, truth, person.visibility > 0, skeleton=card.skeleton)
    if pose is None:
        return _beside(left, pixels)
    found = frames.to_input(pose.keypoints_image)
    # Faint ones, too: at the beginning all are.
    right = draw_poses(pixels, found, pose.keypoint_scores, skeleton=card.skeleton, min_score=0)
    return _beside(left, right)


def _beside(left: Image, right: Image) -> Image:
    """Two pictures of one size, a light line between them."""
    line = np.full((len(left), 2, 3), 255, np.uint8)
    return np.hstack([left, line, right])


def _grid(tiles: list[Image]) -> Image:
    height, width = tiles[0].shape[:2]
    columns = min(PAIRS_PER_ROW, len(tiles))
    return picture_grid(tiles, columns=columns, tile_wh=(width + 4, height + 4))
