"""A fast decode shows what the exact one shows, at the same place."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.crops import CropDataset, cut
from pose_hrnet.data.images import ImageError, ImageFiles, read_rgb
from pose_hrnet.data.jpeg import REDUCTIONS, FastJpeg, picture_decoder
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import CropFrames, compose, invert
from tests.helpers.builders import make_people
from tests.helpers.pictures import shift_and_difference

SIZE_WH = (803, 605)  # no multiple of a reduction


def picture(reduction: int = 2) -> np.ndarray:
    """Blobs that a reduction leaves, far from black and white."""
    rng, total = np.random.default_rng(0), np.zeros((*SIZE_WH[::-1], 3))
    for cells, contrast, channels in ((12, 20, 3), (192 // reduction, 120, 1)):
        coarse = rng.uniform(0, contrast, (cells, cells * 4 // 3, channels)).repeat(
            4 - channels, 2
        )
        total += cv2.resize(coarse[..., :3], SIZE_WH, interpolation=cv2.INTER_CUBIC)
    return (total + 60).clip(0, 255).astype(np.uint8)


def save(
    path: Path, mode: str = "RGB", orientation: int = 1, reduction: int = 2, **options: object
) -> Path:
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(picture(reduction)).convert(mode).save(path, quality=95, exif=exif, **options)
    return path


def crop_of(path: Path, decode: str, reduction: float, size_wh=None) -> np.ndarray:
    """A crop that is as much coarser than the image as the picture may be."""
    taken = picture_decoder(decode)(path, path.read_bytes(), size_wh, reduction)
    size_wh = [64 * reduction, 48 * reduction]
    affine = CropFrames.of_regions([[370, 330]], [size_wh], (64, 48), "official").affines[0]
    if taken.affine is not None:
        affine = compose(affine, invert(taken.affine))
    return cut(taken.pixels, affine, (64, 48))


@pytest.mark.parametrize("reduction", [1, *REDUCTIONS])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_fast_shows_the_same_at_the_same_place(tmp_path, orientation, reduction):
    path = save(tmp_path / "a.jpg", orientation=orientation, reduction=reduction)
    exact, fast = (crop_of(path, decode, reduction) for decode in ("exact", "fast"))
    shift, difference = shift_and_difference(exact, fast)
    assert shift < 0.15
    assert difference < 3
    taken = FastJpeg()(path, path.read_bytes(), None, reduction)
    assert taken.pixels.shape == (-(-SIZE_WH[1] // reduction), -(-SIZE_WH[0] // reduction), 4)


def test_stored_or_turned_is_decided_by_the_annotated_size(tmp_path):
    path = save(tmp_path / "a.jpg", orientation=6)
    for size_wh in (SIZE_WH, SIZE_WH[::-1]):
        exact, fast = (crop_of(path, decode, 2, size_wh) for decode in ("exact", "fast"))
        assert shift_and_difference(exact, fast)[1] < 3
    for decode in ("exact", "fast"):
        with pytest.raises(ImageError, match=r"is 605x803 .*turned.* say 40x50") as error:
            crop_of(path, decode, 2, (50, 40))
        assert error.value.fault == "wrong size"


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_other_colours_are_the_same(tmp_path, mode, options):
    path = save(tmp_path / "a.jpg", mode, **options)
    for reduction in (1, 2):
        exact, fast = (crop_of(path, decode, reduction) for decode in ("exact", "fast"))
        assert shift_and_difference(exact, fast)[1] < 2


def test_other_formats_are_decoded_exactly(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(picture()).save(path)
    taken = FastJpeg()(path, path.read_bytes(), None, 8)
    np.testing.assert_array_equal(taken.pixels, picture())


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("tail", [b"", b"\0" * 100, b"\xff\xd9"])
def test_truncated_files_are_treated_alike(tmp_path, kept, tail):
    path = save(tmp_path / "a.jpg", orientation=6)
    data = path.read_bytes()[: int(kept * path.stat().st_size)] + tail
    outcomes = []
    for decode in ("exact", "fast"):
        try:
            outcomes.append(picture_decoder(decode)(path, data, None, 2).pixels.tobytes())
        except ImageError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


def test_memory_is_used_again(tmp_path):
    path, decoder = save(tmp_path / "a.jpg"), FastJpeg()
    first, second = (decoder(path, path.read_bytes(), None, 1).pixels for _ in range(2))
    assert np.shares_memory(first, second)


def test_fast_crops_of_real_persons_agree_with_the_exact_ones(shared: Path):
    folder = shared / "coco" / "val"
    people = labelled_people(load_people(shared / "coco/annotations/person_keypoints_val.json"))[
        :60
    ]
    crops = {
        decode: CropDataset(
            people,
            ImageFiles(people.images, folder, picture_decoder(decode)),
            HeatmapCodec(input_wh=(96, 128)),
            1.25,
            augmentation=AugmentConfig(),
        )
        for decode in ("exact", "fast")
    }
    shifts, differences = [], []
    for index in range(len(people)):
        exact, fast = (crops[decode][0, index] for decode in ("exact", "fast"))
        np.testing.assert_array_equal(exact.affine, fast.affine)
        np.testing.assert_array_equal(exact.keypoints_input, fast.keypoints_input)
        shift, difference = shift_and_difference(exact.pixels.numpy(), fast.pixels.numpy())
        shifts.append(shift)
        differences.append(difference)
    assert np.median(shifts) < 0.03
    assert np.mean(differences) < 3


def test_a_fast_crop_depends_on_its_key_alone(tmp_path):
    """Not on who else is in its batch: the reduction is that of all persons of the image."""
    people = make_people(6, size_wh=SIZE_WH)
    for name in people.images.file_names:
        save(tmp_path / name, format="JPEG")
    people.boxes_xywh[::2, 2:] *= 0.3  # one finer and one coarser person in each image
    crops = CropDataset(
        people,
        ImageFiles(people.images, tmp_path, FastJpeg()),
        HeatmapCodec(input_wh=(32, 32)),
        1.25,
        augmentation=AugmentConfig(),
    )
    together = crops.batch([(1, index) for index in (5, 0, 4, 1, 3, 2)])
    for position, row in enumerate(together.rows.tolist()):
        np.testing.assert_array_equal(together.pixels[position], crops[1, row].pixels)


def test_unsized_images_are_read_as_viewers_show_them(tmp_path):
    path = save(tmp_path / "000001.png", orientation=6, format="JPEG")
    people = make_people(1, size_wh=(0, 0))
    exact, fast = (
        ImageFiles(people.images, tmp_path, picture_decoder(decode)).read(0, 1)
        for decode in ("exact", "fast")
    )
    np.testing.assert_array_equal(exact.pixels, read_rgb(path))
    assert fast.affine is not None
