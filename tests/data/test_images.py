"""Every kind of image file becomes the RGB that viewers show, or one sentence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from PIL import Image, ImageOps

from pose_hrnet.data import images, jpeg
from pose_hrnet.data.image_facts import read_facts
from pose_hrnet.data.images import ImageError, ImageFiles, image_path, read_rgb
from pose_hrnet.data.jpeg import picture_decoder
from pose_hrnet.keypoints.records import Images

WIDTH, HEIGHT = 48, 32


def picture(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Smooth colours, different at each corner, so that any turn shows."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (60 + 150 * x / width, 40 + 120 * y / height, 90 + 60 * (x + y) / (width + height))
    return np.stack(channels, axis=-1).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def with_orientation(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(path, Image.fromarray(picture()), quality=95, exif=exif)


def opencv_rgb(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1]


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{"quality": 80}, {"quality": 90, "progressive": True}])
def test_jpeg_pixels_are_those_of_opencv(tmp_path, mode, options):
    path = save(tmp_path / "a.jpg", Image.fromarray(picture()).convert(mode), **options)
    pixels = read_rgb(path)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, opencv_rgb(path))


def test_real_jpegs_are_those_of_opencv(shared):
    paths = sorted((shared / "coco" / "val").glob("*.jpg"))[:20]
    assert paths
    for path in paths:
        np.testing.assert_array_equal(read_rgb(path), opencv_rgb(path))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_lossless_formats_keep_every_value(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(picture()), **options)
    np.testing.assert_array_equal(read_rgb(path), picture())


def test_grayscale_and_palette(tmp_path):
    gray = picture()[..., 0]
    path = save(tmp_path / "gray.png", Image.fromarray(gray))
    np.testing.assert_array_equal(read_rgb(path), np.repeat(gray[..., None], 3, axis=2))
    palette = Image.fromarray(picture()).quantize(16)
    path = save(tmp_path / "palette.png", palette)
    np.testing.assert_array_equal(read_rgb(path), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_to_8(tmp_path, suffix, channels):
    deep = (picture()[..., :channels].astype(np.uint16) << 8) + 200
    path = tmp_path / f"deep.{suffix}"
    cv2.imwrite(str(path), deep[..., ::-1])
    expected = np.broadcast_to(picture()[..., :channels], (HEIGHT, WIDTH, 3))
    np.testing.assert_array_equal(read_rgb(path), expected)
    assert read_facts(path).bits == 16


def test_transparent_pixels_are_laid_over_white(tmp_path):
    alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    alpha[:, 16:32], alpha[:, 32:] = 128, 255
    image = Image.fromarray(np.concatenate([picture(), alpha], axis=2))
    pixels = read_rgb(save(tmp_path / "alpha.png", image)).astype(int)
    assert (pixels[:, :16] == 255).all()
    half = (picture()[:, 16:32] * 128.0 + 255 * 127.0) / 255
    assert np.abs(pixels[:, 16:32] - half).max() <= 1
    np.testing.assert_array_equal(pixels[:, 32:], picture()[:, 32:])


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_has_the_colours_of_the_original(tmp_path, suffix):
    """Pillow writes CMYK JPEGs inverted, as Adobe does; TIFFs are not."""
    options = {"quality": 95} if suffix == "jpg" else {}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(picture()).convert("CMYK"), **options)
    assert np.abs(read_rgb(path).astype(int) - picture()).mean() < 3
    assert read_facts(path).colour == "CMYK"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_applied_when_the_size_asks_for_it(tmp_path, orientation):
    path = with_orientation(tmp_path / "a.jpg", orientation)
    stored = opencv_rgb(path)
    upright = np.asarray(
        ImageOps.exif_transpose(save_exif_png(tmp_path / "a.png", stored, orientation))
    )
    for unknown in (None, (0, 0)):
        np.testing.assert_array_equal(read_rgb(path, unknown), upright)
    # Both pictures have this size where nothing is turned by 90 degrees: the stored one is meant.
    np.testing.assert_array_equal(read_rgb(path, (WIDTH, HEIGHT)), stored)
    if orientation >= 5:
        np.testing.assert_array_equal(read_rgb(path, (HEIGHT, WIDTH)), upright)
    facts = read_facts(path)
    assert facts.size_wh == (WIDTH, HEIGHT)
    assert facts.upright_wh == upright.shape[1::-1]


def save_exif_png(path: Path, pixels: np.ndarray, orientation: int) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.open(save(path, Image.fromarray(pixels), exif=exif))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_another_size_is_an_error_with_both_sizes(tmp_path, orientation):
    path = with_orientation(tmp_path / "a.jpg", orientation)
    with pytest.raises(
        ImageError, match=r"a\.jpg is 32x48 \(height x width\) pixels.*annotations say 40x50"
    ) as e:
        read_rgb(path, (50, 40))
    assert e.value.fault == "wrong size"
    if orientation == 1:
        with pytest.raises(ImageError, match="say 48x32"):
            read_rgb(path, (HEIGHT, WIDTH))


def whole(path: Path, kind: str) -> Path:
    image = Image.fromarray(picture(320, 240))
    if kind == "thumbnail":
        # The header of the file holds a whole small JPEG with its own end marker.
        plain = save(path.with_name("plain.jpg"), image).read_bytes()
        small = save(path.with_name("small.jpg"), image.resize((40, 30))).read_bytes()
        segment = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
        path.write_bytes(plain[:2] + segment + plain[2:])
        return path
    options = {"MPO": {"save_all": True, "append_images": [image]}}.get(kind, {})
    return save(path, image, format=kind, **options)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("kind", ["JPEG", "thumbnail", "PNG", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_is_an_error(tmp_path, kind, kept):
    path = whole(tmp_path / "cut.img", kind)
    assert read_rgb(path).shape == (240, 320, 3)
    data = path.read_bytes()
    for tail in (b"", bytes(len(data) // 2)):  # cut off, or never filled
        if tail and kind in ("WEBP", "TIFF", "BMP"):
            continue  # they have no end marker, and zeros are pixels
        path.write_bytes(data[: int(kept * len(data))] + tail)
        with pytest.raises(ImageError, match=r"cut\.img") as error:
            read_rgb(path)
        assert error.value.fault in ("truncated", "not an image")
        assert "\n" not in str(error.value)


def test_a_truncated_first_image_of_an_mpo_file_is_an_error(tmp_path):
    path = whole(tmp_path / "a.mpo", "MPO")
    np.testing.assert_array_equal(read_rgb(path), opencv_rgb(path))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\xff\xd9") * 3 // 4])
    with pytest.raises(ImageError):
        read_rgb(path)


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\r\n", b"appended by a camera" * 50])
def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path, tail):
    path = whole(tmp_path / "a.jpg", "JPEG")
    expected = read_rgb(path)
    path.write_bytes(path.read_bytes() + tail)
    np.testing.assert_array_equal(read_rgb(path), expected)


def test_files_that_are_no_image(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.jpg does not exist"):
        read_rgb(tmp_path / "absent.jpg")
    for name, data, fault in (
        ("empty.jpg", b"", "empty"),
        ("page.jpg", b"<html>404 Not Found</html>", "not an image"),
        ("start.jpg", b"\xff\xd8\xff", "not an image"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=name) as error:
            read_rgb(tmp_path / name)
        assert error.value.fault == fault
        assert "0x" not in str(error.value), "an address helps nobody"
    with pytest.raises(ImageError, match="cannot be read"):
        read_rgb(tmp_path)


def test_floating_point_pixels_are_an_error(tmp_path):
    path = save(tmp_path / "depth.tif", Image.fromarray(np.ones((4, 4), np.float32)))
    with pytest.raises(ImageError, match="convert it to 8 bits"):
        read_rgb(path)


def test_opencv_that_cannot_be_imported_gets_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    spec = importlib.util.spec_from_file_location("images_without_opencv", images.__file__)
    with pytest.raises(ImportError, match=r"libgl1, or: pip install opencv-python-headless"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.parametrize("name", ["../x.jpg", "a/../../x.jpg", "/etc/passwd", "..", "b/../.."])
def test_names_that_lead_out_of_the_image_folder_are_refused(tmp_path, name):
    folder = tmp_path / "images"
    with pytest.raises(ImageError, match="leads out of the image folder") as error:
        image_path(folder, name)
    assert repr(name) in str(error.value)
    assert error.value.fault == "elsewhere"
    pictures = ImageFiles(Images((7,), (name,), np.zeros((1, 2), np.int32)), folder)
    with pytest.raises(ImageError, match="leads out of the image folder"):
        pictures.read(0, 1)


def test_names_inside_the_image_folder_are_read(tmp_path, monkeypatch):
    assert image_path(tmp_path, "a/b.jpg") == tmp_path / "a" / "b.jpg"
    assert image_path(tmp_path, "a/../b.jpg").parent.parent == tmp_path / "a"
    assert image_path(tmp_path, str(tmp_path / "b.jpg")) == tmp_path / "b.jpg"
    assert image_path(Path(tmp_path.anchor), str(tmp_path / "b.jpg")) == tmp_path / "b.jpg"
    monkeypatch.chdir(tmp_path)
    assert image_path(Path(), "a.jpg") == Path("a.jpg")
    with pytest.raises(ImageError):
        image_path(Path(), "../a.jpg")


@pytest.mark.parametrize(("suffix", "read"), [("gif", True), ("ppm", True), ("ico", False)])
def test_formats_are_a_list_and_the_name_decides_nothing(tmp_path, suffix, read):
    path = save(tmp_path / f"some.{suffix}", Image.new("RGB", (32, 32), (200, 0, 0)))
    path = path.rename(tmp_path / "photo.jpg")
    if read:
        assert read_rgb(path).shape == (32, 32, 3)
        return
    with pytest.raises(ImageError, match="its format is none of JPEG, MPO, PNG"):
        read_rgb(path)


def test_postscript_starts_no_ghostscript(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("subprocess.check_call", lambda *args, **kwargs: started.append(args))
    path = save(tmp_path / "a.eps", Image.new("RGB", (8, 8))).rename(tmp_path / "photo.jpg")
    with pytest.raises(ImageError, match="its format is none of"):
        read_rgb(path)
    assert not started


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("decode", ["exact", "fast"])
def test_too_many_pixels_are_refused(tmp_path, monkeypatch, decode):
    """Pillow's two limits in small: 40,000 pixels are above the first, 90,000 above both."""
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 30_000)
    monkeypatch.setattr(images, "MOST_PIXELS", 60_000)
    monkeypatch.setattr(jpeg, "MOST_PIXELS", 60_000)
    save(tmp_path / "many.jpg", Image.new("RGB", (200, 200)))
    save(tmp_path / "more.jpg", Image.new("RGB", (300, 300)))
    names = Images((1, 2), ("many.jpg", "more.jpg"), np.zeros((2, 2), np.int32))
    files = ImageFiles(names, tmp_path, picture_decoder(decode))
    assert files.read(0, 1).pixels.shape[:2] == (200, 200)
    with pytest.raises(ImageError, match=r"is too large: it has 90,000 pixels, and at most "):
        files.read(1, 1)


def test_many_pixels_give_no_warning_of_pillow(tmp_path):
    path = save(tmp_path / "many.png", Image.new("L", (200, 200)))
    code = (
        "import sys, PIL.Image; from pose_hrnet.data.images import read_rgb; "
        "PIL.Image.MAX_IMAGE_PIXELS = 30_000; print(read_rgb(sys.argv[1]).shape)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("(200, 200, 3)", "")


@pytest.mark.parametrize("decode", ["exact", "fast"])
def test_a_jpeg_that_is_damaged_inside_is_named_once(tmp_path, caplog, capfd, decode):
    """libjpeg prints a line without a name where OpenCV decodes."""
    path = save(tmp_path / "a.jpg", Image.fromarray(picture(320, 240)))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    expected = opencv_rgb(path)
    capfd.readouterr()
    decoder = picture_decoder(decode)
    for _ in range(2):
        pixels = decoder(path, path.read_bytes(), None, 1.0).pixels
        assert np.array_equal(pixels, expected)
    (record,) = caplog.records
    assert f"image {path} is a JPEG that is damaged inside" in record.getMessage()
    assert capfd.readouterr().err == ""


def test_damaged_headers_give_no_warning_of_pillow(tmp_path):
    path = save(tmp_path / "a.tif", Image.fromarray(picture(64, 48)))
    data = path.read_bytes()
    program = """
import sys
from pose_hrnet.data.images import ImageError, read_rgb
try: read_rgb(sys.argv[1])
except ImageError as error: print(error)
"""
    at = data.rfind((258).to_bytes(2, "little") + b"\x03\x00")  # BitsPerSample: three values
    path.write_bytes(data[: at + 8] + b"\xff\xff\xff\x00" + data[at + 12 :])
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert str(path) in done.stdout
