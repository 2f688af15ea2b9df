"""The nouns that travel between modules: `Images`, `People`, `Poses`, all as columns.

Legend, used in every docstring of the package:
    B  crops in a batch     K  keypoints         N  persons         I  images
    H, W  height and width (``input_wh`` is (W, H), array shapes are (H, W))
Frames, named in every coordinate:
    _image    pixels of the original image      _input  pixels of the network input (the crop)
    _picture  pixels of an image that was decoded reduced (`pose_hrnet.data.jpeg`)
Cells of a heatmap are called ``cells``.
Points are (x, y). Boxes say their format: ``boxes_xywh`` (left, top, width, height) or
``boxes_xyxy``.
Visibility is COCO's: 0 not labelled, 1 labelled but hidden, 2 labelled and visible.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.arguments import check_shape
from pose_hrnet.system.files import few_digits
from pose_hrnet.system.text import counted

ImageId: TypeAlias = int | str
PERSON = 1
"""COCO's ``category_id`` of persons."""
SEEN_SCORE = 0.2
"""Predicted keypoints of this score and above are taken for seen, as they are in pose scores."""
Image: TypeAlias = NDArray[np.uint8]
"""8-bit pixels, ``(H, W, 3)`` RGB unless said otherwise."""
Float32: TypeAlias = NDArray[np.float32]
Float64: TypeAlias = NDArray[np.float64]
_SHOWN = 10
"""Persons that a `repr` lists."""
_SHARED = ("smoothing", "skeleton", "image")
"""What all rows of `Poses` have in common."""


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a data set, in the order of its JSON.

    Attributes:
        ids: I image ids, integers or strings, as the JSON has them.
        file_names: I paths relative to the image folder.
        sizes_wh: ``(I, 2)`` int32 pixels (width, height); 0 where the JSON does not say.
    """

    ids: tuple[ImageId, ...]
    file_names: tuple[str, ...]
    sizes_wh: NDArray[np.int32]

    def __post_init__(self) -> None:
        if len(self.file_names) != len(self.ids):
            raise ValueError(f"Images has {len(self.file_names)} file names for {len(self)} ids")
        check_shape("Images.sizes_wh", self.sizes_wh, (len(self), 2))

    def __len__(self) -> int:
        return len(self.ids)


_Columns = TypeVar("_Columns", "People", "Poses")


def _take(columns: _Columns, rows: ArrayLike | slice, shared: Sequence[str]) -> _Columns:
    """Select rows of every column but the shared ones (integer, slice or boolean index)."""
    index: Any = rows
    if not isinstance(rows, slice):
        index = np.atleast_1d(np.asarray(rows))
        index = index if len(index) else index.astype(np.intp)  # an empty list has no integer type
    taken = {f.name: getattr(columns, f.name) for f in fields(columns) if f.name not in shared}
    there = {name: values[index] for name, values in taken.items() if values is not None}
    return replace(columns, **there)


@dataclass(frozen=True, eq=False)
class People:
    """Annotated or detected persons, one row each.

    Attributes:
        images: The images that the persons stand in; shared by all rows.
        image_index: ``(N,)`` int32 row of `images`.
        ids: ``(N,)`` object array of annotation ids (detections: running numbers).
        boxes_xywh: ``(N, 4)`` float32 image pixels.
        keypoints_image: ``(N, K, 2)`` float32 image pixels; (0, 0) where not labelled.
        visibility: ``(N, K)`` uint8, 0, 1 or 2.
        areas: ``(N,)`` float32 square pixels: the annotation's ``area``, else the box's.
        scores: ``(N,)`` float32 box scores; 1 for ground truth.
        is_crowd: ``(N,)`` bool.
        category_ids: ``(N,)`` object array of ``category_id``; 1, COCO's persons, unless given.
    """

    images: Images
    image_index: NDArray[np.int32]
    ids: NDArray[np.object_]
    boxes_xywh: Float32
    keypoints_image: Float32
    visibility: NDArray[np.uint8]
    areas: Float32
    scores: Float32
    is_crowd: NDArray[np.bool_]
    category_ids: NDArray[np.object_] = field(default_factory=lambda: object_array([]))

    def __post_init__(self) -> None:
        _fill_categories(self, len(self.image_index))
        n, k = len(self.image_index), np.atleast_1d(self.visibility).shape[-1]
        shapes: dict[str, tuple[int | None, ...]] = {
            "image_index": (None,), "ids": (n,), "boxes_xywh": (n, 4),
            "keypoints_image": (n, k, 2), "visibility": (n, k), "areas": (n,),
            "scores": (n,), "is_crowd": (n,), "category_ids": (n,),
        }  # fmt: skip
        for name, shape in shapes.items():
            check_shape(f"People.{name}", getattr(self, name), shape)

    def __len__(self) -> int:
        return len(self.image_index)

    def __getitem__(self, rows: ArrayLike | slice) -> People:
        return _take(self, rows, shared=("images",))

    @property
    def image_ids(self) -> list[ImageId]:
        """N image ids."""
        return [self.images.ids[i] for i in self.image_index]

    @classmethod
    def concatenate(cls, parts: Sequence[People]) -> People:
        """The rows of all parts in order, with the images of all.

        Raises:
            ValueError: If there are no parts, or their numbers of keypoints differ.
        """
        _check_joined("People", {part.visibility.shape[-1] for part in parts})
        images = [part.images for part in parts]
        starts = np.cumsum([0, *(len(i) for i in images)])
        columns: dict[str, Any] = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(cls)
            if f.name not in ("images", "image_index")
        }
        return cls(
            images=Images(
                ids=tuple(image_id for i in images for image_id in i.ids),
                file_names=tuple(name for i in images for name in i.file_names),
                sizes_wh=np.concatenate([i.sizes_wh for i in images]),
            ),
            image_index=np.concatenate(
                [p.image_index + start for p, start in zip(parts, starts[:-1], strict=True)]
            ).astype(np.int32),
            **columns,
        )


@dataclass(frozen=True, eq=False)
class Poses:
    """Predicted persons, one row each, in image pixels.

    Attributes:
        image_ids: ``(N,)`` object array of image ids.
        keypoints_image: ``(N, K, 2)`` float32 image pixels.
        keypoint_scores: ``(N, K)`` float32 heatmap maxima (about 0 to 1, not probabilities).
        boxes_xyxy: ``(N, 4)`` float32 image pixels, the box that was asked for.
        scores: ``(N,)`` float32: the box score, or the pose score once rescored.
        areas: ``(N,)`` float32 square pixels that OKS-NMS uses (official: of the padded crop).
        category_ids: ``(N,)`` object array of ``category_id``; 1, COCO's persons, unless given.
        track_ids: ``(N,)`` int64, the same for a person in all frames, from 1; -1: not yet, or
            not, in a track. None: not tracked.
        frame_index: ``(N,)`` int64, from 0. None: not of a video.
        time_s: ``(N,)`` float64 seconds from the start of the video, by its own clock. Likewise.
        raw_keypoints_image: ``(N, K, 2)`` float32 as predicted, where `keypoints_image` is
            smoothed. None: it is not.
        smoothing: The filter that smoothed, and its numbers. Shared by all rows.
        skeleton: What the K keypoints are called; None: not said. Shared likewise.
        image: ``(H, W, 3)`` RGB that they stand in, where it is one and at hand. Shared likewise.
    """

    image_ids: NDArray[np.object_]
    keypoints_image: Float32
    keypoint_scores: Float32
    boxes_xyxy: Float32
    scores: Float32
    areas: Float32
    category_ids: NDArray[np.object_] = field(default_factory=lambda: object_array([]))
    track_ids: NDArray[np.int64] | None = None
    frame_index: NDArray[np.int64] | None = None
    time_s: Float64 | None = None
    raw_keypoints_image: Float32 | None = None
    smoothing: str | None = None
    skeleton: Skeleton | None = None
    image: Image | None = None

    def __post_init__(self) -> None:
        _fill_categories(self, len(self.image_ids))
        n, k = len(self.image_ids), np.atleast_1d(self.keypoint_scores).shape[-1]
        shapes: dict[str, tuple[int | None, ...]] = {
            "image_ids": (None,), "keypoints_image": (n, k, 2), "keypoint_scores": (n, k),
            "boxes_xyxy": (n, 4), "scores": (n,), "areas": (n,), "category_ids": (n,),
            "track_ids": (n,), "frame_index": (n,), "time_s": (n,),
            "raw_keypoints_image": (n, k, 2),
        }  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name) is not None:
                check_shape(f"Poses.{name}", getattr(self, name), shape)

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, rows: ArrayLike | slice) -> Poses:
        return _take(self, rows, shared=_SHARED)

    def __iter__(self) -> Iterator[Poses]:
        """The persons, each as `Poses` of one row."""
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        keypoints = self.keypoint_scores.shape[1]
        name = f" ({self.skeleton.name})" if self.skeleton else ""
        lines = [f"Poses: {counted(len(self), 'person')}, {keypoints} keypoints{name}"]
        for row in range(min(len(self), _SHOWN)):
            box = " ".join(f"{edge:.0f}" for edge in self.boxes_xyxy[row])
            where = f"image {self.image_ids[row]!r}, box {box}"
            track = "" if self.track_ids is None else f"track {self.track_ids[row]}, "
            lines.append(f"  {row}: {track}score {self.scores[row]:.2f}, {where}")
        if len(self) > _SHOWN:
            lines.append(f"  ... and {len(self) - _SHOWN} more")
        return "\n".join(lines)

    def _repr_png_(self) -> bytes | None:
        """The picture that a notebook shows."""
        from pose_hrnet.visualize.pictures import png_bytes

        return None if self.image is None else png_bytes(self.plot())

    @classmethod
    def concatenate(cls, parts: Sequence[Poses]) -> Poses:
        """The rows of all parts in order, at least one; what is shared is the first's.

        Raises:
            ValueError: If there are no parts, their numbers of keypoints differ, or some rows are
                tracked, timed or smoothed, and others are not.
        """
        _check_joined("Poses", {part.keypoint_scores.shape[-1] for part in parts})
        columns: dict[str, Any] = {f.name: getattr(parts[0], f.name) for f in fields(cls)}
        filled = [part for part in parts if len(part)] or parts[:1]
        for name in columns.keys() - {*_SHARED}:
            values = [getattr(part, name) for part in filled]
            without = sum(each is None for each in values)
            if 0 < without < len(values):
                raise ValueError(
                    f"{without} of {len(values)} parts have no {name}; poses with and without "
                    "cannot be joined"
                )
            columns[name] = None if without else np.concatenate(values)
        return cls(**columns)

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """K names; numbers where no skeleton is said."""
        if self.skeleton is not None:
            return self.skeleton.keypoint_names
        return tuple(str(k) for k in range(self.keypoint_scores.shape[1]))

    def plot(self, image: Image | None = None, **style: Any) -> Image:
        """Draw the poses on a copy of an image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB; None: the one that was predicted.
            style: As of `pose_hrnet.visualize.poses.draw_poses`: ``min_score``, ``thickness``,
                ``boxes_xyxy``, ``labels``.

        Returns:
            ``(H, W, 3)`` RGB.

        Raises:
            ValueError: If no image is given nor at hand, or as `draw_poses`.
        """
        from pose_hrnet.visualize.poses import draw_poses

        image = self.image if image is None else image
        if image is None:
            raise ValueError("these poses are of several images, or read; give plot(image) one")
        if self.skeleton is not None:
            style.setdefault("skeleton", self.skeleton)
        return draw_poses(image, self.keypoints_image, self.keypoint_scores, **style)

    def to_coco(self, file_name: str | None = None) -> list[dict[str, Any]]:
        """COCO keypoint results, a row a person, in the fewest digits that keep every float32.

        Of frames, rows have ``track_id``, ``frame_index`` and ``time_s`` as well; where smoothed,
        ``raw_keypoints`` and ``smoothing``.

        ``keypoints`` is ``[x, y, keypoint score] * K`` in image pixels. ``bbox`` is the extent of
        the keypoints (x, y, width, height), as pycocotools' ``loadRes`` makes it of results
        without one: it takes their areas from there, so that another box would move APM and APL.
        The box that was asked for is ``box``, as AlphaPose calls it. Format:
        https://cocodataset.org/#format-results (Lin et al., ECCV 2014).

        Args:
            file_name: Of the image that all stand in; None: not written.

        Raises:
            ValueError: If a number is not finite: no evaluation could read it.
        """
        from pose_hrnet.keypoints.exchange import coco_results

        return coco_results(self, file_name)

    def to_json(self) -> str:
        """A JSON list of persons: image_id, score, box_xyxy, and keypoints {name: [x, y, score]}.

        Of frames, also track_id, frame_index, time_s. Image pixels to two decimals, scores to
        four.
        """
        from pose_hrnet.keypoints.exchange import json_text

        return json_text(self)

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row for each keypoint of each person.

        Columns: image_id, person, keypoint, x, y (image pixels), score, pose_score; of frames
        also track_id, frame_index, time_s.

        Raises:
            ValueError: If pandas is not installed.
        """
        from pose_hrnet.keypoints.exchange import dataframe

        return dataframe(self)

    def to_supervision(self) -> Any:
        """A ``supervision.KeyPoints`` of the persons.

        Raises:
            ValueError: If supervision is not installed.
        """
        from pose_hrnet.keypoints.exchange import supervision_keypoints

        return supervision_keypoints(self)

    @property
    def flat_keypoints(self) -> Float64:
        """``(N, 3 * K)`` x, y and score of each keypoint, as COCO's results have them.

        In the fewest digits: what is scored is what is written.
        """
        return _flat(self.keypoints_image, self.keypoint_scores)

    @property
    def flat_raw_keypoints(self) -> Float64 | None:
        """``(N, 3 * K)`` as `flat_keypoints`, before smoothing; None: they are not smoothed."""
        raw = self.raw_keypoints_image
        return None if raw is None else _flat(raw, self.keypoint_scores)


def _flat(keypoints_image: Float32, keypoint_scores: Float32) -> Float64:
    n, k = keypoint_scores.shape
    triples = np.concatenate([keypoints_image, keypoint_scores[..., None]], axis=2)
    return few_digits(triples.reshape(n, 3 * k))


def _check_joined(what: str, keypoints: set[int]) -> None:
    if len(keypoints) != 1:
        raise ValueError(
            f"{what} of {sorted(keypoints) or 'no'} keypoints cannot be joined; "
            "map them to one skeleton first"
        )


def _fill_categories(columns: People | Poses, count: int) -> None:
    """Where no categories are given, all are persons."""
    if not len(columns.category_ids):
        object.__setattr__(columns, "category_ids", object_array([PERSON] * count))


def object_array(values: Sequence[Any]) -> NDArray[np.object_]:
    """``(N,)`` objects: ids keep their Python type, integer or string."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


__all__ = [
    "PERSON", "Float32", "Float64", "Image", "ImageId", "Images", "People", "Poses", "object_array"
]  # fmt: skip
