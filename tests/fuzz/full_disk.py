"""``python -m tests.fuzz.full_disk``: every command on disks that fill up in the midst of it.

A real disk in memory, larger at each try, from one page to one that is large enough, so that it
fills up within each of the writes. Who asks for room before the work is told that there is some.
Needs the right to mount; it does so where no other process sees it.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.fuzz.campaign import import_all
from tests.fuzz.children import end_of, faults
from tests.fuzz.kit import make_kit

PAGE = os.sysconf("SC_PAGE_SIZE")
_NEW_MOUNTS = 0x20000

COMMANDS: dict[str, list[str]] = {
    "train": ["train", "recipe.yaml", "--output=disk/out", "--set=train.save_every=1"],
    "evaluate": ["evaluate", "--checkpoint=model.safetensors", "--annotations=people.json",
                 "--images=images", "--output=disk/out", "--workers=0"],
    "predict": ["predict", "images", "--whole-image", "--checkpoint=model.safetensors",
                "--backend=eager", "--output=disk/out",
                "--format=yolo,openpose,labelstudio,mmpose,coco-annotations"],
    "compare": ["compare", "results.json", "before.json", "--annotations=people.json",
                "--replicates=20", "--output=disk/compared.json"],
    "report": ["report", "results.json", "--annotations=people.json", "--images=images",
               "--output=disk/report.html"],
    "track": ["track", "results.json", "--fps=25", "--smooth=savgol", "--output=disk/x.json"],
    "predict video": ["predict", "videos/clip.mp4", "--whole-image", "--backend=eager",
                      "--checkpoint=model.safetensors", "--output=disk/out",
                      "--format=openpose"],
    "convert": ["weights", "convert", "model.pth", "--output=disk/x.safetensors",
                "--input-size=64x32"],
    "shard": ["data", "shard", "--annotations=people.json", "--images=images",
              "--output=disk/out", "--size=64x32", "--workers=1"],
    "preview": ["data", "preview", "recipe.yaml", "--output=disk/crops.png"],
    "synthesize": ["data", "synthesize", "--output=disk/out", "--images=2", "--workers=1"],
    "export": ["export", "--checkpoint=model.safetensors", "--output=disk/out", "--no-check"],
    "export torch": ["export", "--checkpoint=model.safetensors", "--output=disk/out",
                     "--format=torch", "--no-check"],
    "export openvino": ["export", "--checkpoint=model.safetensors", "--output=disk/out",
                        "--format=openvino", "--no-check"],
}  # fmt: skip
"""Every command that writes; `demo` is those of `synthesize`, `train` and `predict`."""


def own_mounts() -> bool:
    """Give this process mounts of its own; False where it has no right to mount."""
    if not sys.platform.startswith("linux") or ctypes.CDLL(None).unshare(_NEW_MOUNTS):
        return False
    done = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True)
    return done.returncode == 0


def fill_disks(command: list[str], folder: Path, pages: list[int]) -> Iterator[tuple[int, Any]]:
    """Run a command on disks of so many pages, until one is large enough.

    Args:
        command: See `COMMANDS`.
        folder: A copy of the kit; ``disk`` is made in it.
        pages: Sizes, ascending.

    Yields:
        The pages, and what was wrong; no fault at all sizes but those where it did its work.
    """
    disk = folder / "disk"
    disk.mkdir()
    for size in pages:
        small = ["mount", "-t", "tmpfs", "-o", f"size={size * PAGE}", "none", str(disk)]
        subprocess.run(small, check=True)
        try:
            code, said = end_of(command, folder / "log", _claim_room)
            found = faults(code, said, disk)
            if code == 1 and "could not" not in said:
                found.append(f"exit code 1: {said[-300:]}")
            if code and "error: [Errno" in said:
                found.append(f"the system's words alone: {said[-300:]}")
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
        yield size, found
        if code == 0:
            return


def _claim_room() -> None:
    usage = shutil.disk_usage
    shutil.disk_usage = lambda path: usage(path)._replace(free=2**40, total=2**41)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--tries", type=int, default=60, help="Disks for each command, about.")
    asked = parser.parse_args()
    import_all()
    bad = 0
    if not own_mounts():
        print("no right to mount a small disk: nothing was tried")
        return 0
    with tempfile.TemporaryDirectory(prefix="full-") as work:
        os.environ["POSE_HRNET_CACHE"] = f"{work}/cache"
        kit = make_kit(Path(work) / "kit")
        for name in asked.commands.split(","):
            folder = shutil.copytree(kit, Path(work) / "one")
            # Each page at first, where small files and headers lie, then ever larger steps.
            sizes, size = [], 1
            while size < 2**15:
                sizes.append(size)
                size += max(1, size // max(1, asked.tries // 8))
            tries, pages = 0, 0
            for pages, found in fill_disks(COMMANDS[name], folder, sizes):
                tries += 1
                bad += bool(found)
                for fault in found:
                    print(f"{name}, {pages} pages: {fault!r}", flush=True)
            if pages == sizes[-1]:
                bad += 1
                print(f"{name} does not even work on a disk that is large enough")
            print(f"{name}: {tries} disks, the last of {pages} pages", flush=True)
            shutil.rmtree(folder)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
