"""What decoding takes at its peak, beside what a server expects; each in a process of its own.

``python -m tests.helpers.decoding_peaks FOLDER`` prints ``{name: [peak, expected]}`` in bytes.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image

from pose_hrnet.data.images import decode_rgb
from pose_hrnet.deploy.server.headers import check_header
from pose_hrnet.deploy.server.limits import Limits

SIDES = (2000, 1500)
CASES = {
    "JPEG": ("JPEG", "RGB", False, {}),
    "JPEG grey": ("JPEG", "L", False, {}),
    "JPEG turned": ("JPEG", "RGB", True, {}),
    "JPEG progressive": ("JPEG", "RGB", False, {"progressive": True, "subsampling": 0}),
    "JPEG progressive turned": ("JPEG", "RGB", True, {"progressive": True, "subsampling": 0}),
    "JPEG CMYK": ("JPEG", "CMYK", False, {}),
    "JPEG CMYK progressive turned": ("JPEG", "CMYK", True, {"progressive": True}),
    "MPO": ("MPO", "RGB", False, {}),
    "MPO progressive turned": ("MPO", "RGB", True, {"progressive": True}),
    "PNG": ("PNG", "RGB", False, {}),
    "PNG turned": ("PNG", "RGB", True, {}),
    "PNG of 16 bits turned": ("PNG", "I;16", True, {}),
    "PNG palette turned": ("PNG", "P", True, {}),
    "PNG alpha turned": ("PNG", "RGBA", True, {}),
    "PNG grey alpha turned": ("PNG", "LA", True, {}),
    "PNG transparent colour turned": ("PNG", "RGB", True, {"transparency": (1, 2, 3)}),
    "WEBP": ("WEBP", "RGB", False, {"method": 0}),
    "WEBP turned": ("WEBP", "RGB", True, {"method": 0}),
    "WEBP lossless turned": ("WEBP", "RGB", True, {"method": 0, "lossless": True, "quality": 0}),
    "WEBP alpha turned": ("WEBP", "RGBA", True, {"method": 0}),
}
"""Format, mode, whether EXIF turns it, options of Pillow."""


def encoded(kind: str, mode: str, turned: bool, options: dict) -> bytes:
    """An image file of noise, which takes most."""
    width, height = SIDES
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    image = PIL.Image.fromarray(noise)
    if mode == "I;16":
        image = PIL.Image.fromarray(noise[..., 0].astype(np.uint16) * 200)
    elif mode != "RGB":
        image = image.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(PIL.Image.fromarray(noise[..., 0]))
    if turned:
        exif = PIL.Image.Exif()
        exif[0x0112] = 6
        options = {**options, "exif": exif}
    more = {"save_all": True, "append_images": [image.resize((8, 8))]} if kind == "MPO" else {}
    stream = io.BytesIO()
    image.save(stream, kind, **options, **more)
    return stream.getvalue()


def memory(name: str) -> int:
    """Bytes of this process by Linux: ``VmRSS`` now, ``VmHWM`` at the peak."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s*(\d+) kB", status)[1])


def apart(work: Callable[[], None]) -> None:
    """Do it in a process that begins as this one is."""
    if (child := os.fork()) == 0:
        try:
            work()
            os._exit(0)  # Private: ends a child without the clean-up of its parent
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def main(folder: Path) -> None:
    """Measure all of them."""
    for kind in ("JPEG", "PNG", "WEBP"):  # what the first of each loads
        PIL.Image.new("RGB", (8, 8)).save(stream := io.BytesIO(), kind)
        decode_rgb("warm", stream.getvalue())
    file, result = folder / "image", folder / "result"
    found = {}
    for name, case in CASES.items():

        def measure() -> None:
            data = file.read_bytes()
            before = memory("VmRSS")
            expected = check_header("image", data, Limits())
            pixels = decode_rgb("image", data)
            assert pixels.size == 3 * SIDES[0] * SIDES[1]
            result.write_text(json.dumps([memory("VmHWM") - before, expected]))

        apart(lambda case=case: file.write_bytes(encoded(*case)) and None)
        apart(measure)
        found[name] = json.loads(result.read_text())
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
