"""Clips whose truth is known: persons cut out of pictures, moved as they are told, filmed so too.

Every layer of a clip (a person, or an object that hides some) has an affine map into the scene at
each time, and the camera one from the scene into the frame. Where a keypoint is in a frame is
then a product of matrices, and which of a person is seen follows from the layers in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from pose_hrnet.data.images import read_rgb
from pose_hrnet.data.synthetic.canvas import Brush, Canvas
from pose_hrnet.data.synthetic.clothing import sample_outfit
from pose_hrnet.data.synthetic.figures import sample_figure
from pose_hrnet.data.synthetic.painting import paint_figure
from pose_hrnet.keypoints.records import Float32, Float64, Image

Path2: TypeAlias = Callable[[float], tuple[float, float, float]]
"""Seconds -> x, y of where the feet stand in the scene, pixels, and height, pixels."""
Camera: TypeAlias = Callable[[float], tuple[float, float, float, float]]
"""Seconds -> pan x and y, pixels; zoom; roll, degrees."""

SIZE_WH = (640, 480)
_SCALE = 4
"""Masks are moved in so many times smaller frames."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A cut-out.

    Attributes:
        image: ``(h, w, 3)`` RGB.
        mask: ``(h, w)`` 0 to 255, how much of a pixel is covered.
        keypoints: ``(17, 2)`` pixels of the cut-out; None: an object.
        labelled: ``(17,)`` whether a keypoint has a place.
    """

    image: Image
    mask: NDArray[np.uint8]
    keypoints: Float32 | None
    labelled: NDArray[np.bool_]

    @property
    def height(self) -> int:
        """Pixels."""
        return len(self.image)


@dataclass(frozen=True, eq=False)
class Clip:
    """F frames of N persons.

    Attributes:
        name: What happens.
        background: ``(H, W, 3)`` RGB, around which the scene is mirrored.
        layers: From the back to the front.
        maps: ``(F, layers, 2, 3)`` cut-out to frame.
        cameras: ``(F, 2, 3)`` scene to frame.
        times: ``(F,)`` seconds.
    """

    name: str
    background: Image
    layers: Sequence[Layer]
    maps: Float64
    cameras: Float64
    times: Float64

    @property
    def persons(self) -> list[int]:
        """N layers that are persons."""
        return [at for at, layer in enumerate(self.layers) if layer.keypoints is not None]

    @property
    def keypoints(self) -> Float64:
        """``(F, N, 17, 2)`` truth, frame pixels."""
        points = np.stack([self.layers[at].keypoints for at in self.persons])  # type: ignore[misc]
        maps = self.maps[:, self.persons]
        moved: Float64 = np.einsum("fnij,nkj->fnki", maps[..., :2], points)
        return moved + maps[:, :, None, :, 2]

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """``(N, 17)``."""
        return np.stack([self.layers[at].labelled for at in self.persons])

    @property
    def heights(self) -> Float64:
        """``(F, N)`` of the persons, pixels."""
        return np.stack([
            self.layers[at].height * np.linalg.norm(self.maps[:, at, :, 1], axis=1)
            for at in self.persons
        ], axis=1)  # fmt: skip

    def frames(self) -> Iterator[Image]:
        """The pictures, one by one."""
        for maps, camera in zip(self.maps, self.cameras, strict=True):
            frame = cv2.warpAffine(
                self.background, camera, SIZE_WH, borderMode=cv2.BORDER_REFLECT_101
            ).astype(np.float32)
            for layer, affine in zip(self.layers, maps, strict=True):
                alpha = cv2.warpAffine(layer.mask, affine, SIZE_WH)[..., None] / np.float32(255)
                image = cv2.warpAffine(layer.image, affine, SIZE_WH, borderMode=cv2.BORDER_REFLECT)
                frame += alpha * (image - frame)
            yield np.rint(frame).astype(np.uint8)

    def seen(self) -> tuple[Float64, Float64, NDArray[np.bool_]]:
        """What is seen of the persons.

        Returns:
            ``(F, N)`` shares; ``(F, N, 4)`` boxes around what is seen, left, top, right, bottom,
            frame pixels; ``(F, N, 17)`` whether a keypoint is seen.
        """
        width, height = SIZE_WH[0] // _SCALE, SIZE_WH[1] // _SCALE
        count = len(self.persons)
        shares = np.zeros((len(self.times), count))
        boxes = np.zeros((len(self.times), count, 4))
        points = np.zeros((len(self.times), count, 17), bool)
        truth = self.keypoints
        for f, maps in enumerate(self.maps):
            covered = np.zeros((height, width), bool)
            for at in reversed(range(len(self.layers))):
                mask = cv2.warpAffine(self.layers[at].mask, maps[at] / _SCALE, (width, height))
                if at in self.persons:
                    n = self.persons.index(at)
                    own = (mask > 127) & ~covered
                    whole = abs(np.linalg.det(maps[at][:, :2])) / _SCALE**2
                    shares[f, n] = own.sum() / ((self.layers[at].mask > 127).sum() * whole)
                    rows, columns = np.nonzero(own)
                    if len(rows):
                        edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                        boxes[f, n] = np.array(edges) * _SCALE - 0.5
                    x, y = np.rint(truth[f, n] / _SCALE).astype(int).T
                    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
                    hidden = covered[y.clip(0, height - 1), x.clip(0, width - 1)]
                    points[f, n] = inside & ~hidden
                covered |= mask > 127
        return shares.clip(0, 1), boxes, points


def film(
    name: str,
    background: Image,
    actors: Sequence[tuple[Layer, Path2]],
    times: Float64,
    camera: Camera = lambda t: (0.0, 0.0, 1.0, 0.0),
) -> Clip:
    """A clip of layers on their paths, from the back to the front."""
    cameras, maps = [], []
    centre = np.array(SIZE_WH) / 2
    for t in times.tolist():
        x, y, zoom, roll = camera(t)
        view = cv2.getRotationMatrix2D(centre.tolist(), roll, zoom)
        view[:, 2] += np.array((x, y))
        cameras.append(view)
        row = []
        for layer, path in actors:
            foot_x, foot_y, height = path(t)
            scale = height / layer.height
            left, top = foot_x - scale * layer.image.shape[1] / 2, foot_y - height
            row.append(view[:, :2] @ np.array(((scale, 0, left), (0, scale, top))))
            row[-1][:, 2] += view[:, 2]
        maps.append(row)
    layers = [layer for layer, _ in actors]
    return Clip(name, background, layers, np.array(maps), np.array(cameras), times)


def photographed(
    photographs: Path, annotations: Path, *, least_height: float = 200, least_keypoints: int = 15
) -> dict[str, list[tuple[Layer, tuple[int, int]]]]:
    """Persons in photographs, cut out along their outlines.

    Args:
        photographs: Folder of the images.
        annotations: COCO keypoints of them.
        least_height: Pixels.
        least_keypoints: Labelled.

    Returns:
        By file: the cut-outs, each with the pixel of the photograph where its left upper one is.
    """
    content: dict[str, Any] = msgspec.json.decode(annotations.read_bytes())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    found: dict[str, list[tuple[Layer, tuple[int, int]]]] = {}
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        outline = annotation.get("segmentation")
        if annotation["num_keypoints"] < least_keypoints or h < max(least_height, 1.6 * w):
            continue
        if not isinstance(outline, list) or len(outline) != 1:  # a crowd, or in pieces: hidden
            continue
        name = names[annotation["image_id"]]
        image = read_rgb(photographs / name)
        whole = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(whole, [np.rint(np.reshape(outline[0], (-1, 1, 2))).astype(np.int32)], 255)
        left, top = max(int(x) - 2, 0), max(int(y) - 2, 0)
        part = np.s_[top : int(y + h) + 2, left : int(x + w) + 2]
        points = np.reshape(annotation["keypoints"], (17, 3)).astype(np.float32)
        layer = Layer(
            np.ascontiguousarray(image[part]),
            np.asarray(cv2.GaussianBlur(whole[part], (3, 3), 0), np.uint8),
            points[:, :2] - np.array((left, top), np.float32),
            points[:, 2] > 0,
        )
        found.setdefault(name, []).append((layer, (left, top)))
    return found


def drawn(count: int, seed: int = 0, height: int = 240) -> list[Layer]:
    """Drawn persons who stand or walk, cut out of their canvas."""
    layers: list[Layer] = []
    rng = np.random.default_rng(seed)
    while len(layers) < count:
        figure = sample_figure(rng)
        span = np.ptp(figure.points[:, :2], axis=0)
        if figure.stance == "sit" or span[1] < 2 * span[0]:
            continue
        canvas = Canvas.blank(2 * height, 2 * height)
        origin = (float(height), float(height))
        brush = Brush(canvas, 0.9 * height, origin, 1, 1.0, 1.0)
        paint_figure(brush, figure, sample_outfit(rng, figure.stance))
        mask = np.where(canvas.codes > 0, 255, 0).astype(np.uint8)
        x, y, w, h = cv2.boundingRect(mask)
        part = np.s_[y : y + h, x : x + w]
        points = origin + 0.9 * height * figure.keypoints[:, :2] * (1, -1) - (x, y)
        layers.append(
            Layer(
                np.ascontiguousarray(canvas.image[part]),
                mask[part],
                points.astype(np.float32),
                np.ones(17, bool),
            )
        )
    return layers


def pillar(width: int = 120, height: int = 400) -> Layer:
    """Something that persons pass behind."""
    shade = np.linspace(70, 160, width).astype(np.uint8)
    image = np.broadcast_to(shade[None, :, None], (height, width, 3)).copy()
    return Layer(image, np.full((height, width), 255, np.uint8), None, np.zeros(17, bool))
