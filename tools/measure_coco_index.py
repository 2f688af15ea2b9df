"""Time and weigh the index of 150,000 persons, loaded from an annotation file of COCO's size.

The file is drawn into a temporary folder and loaded in a fresh process.
Targets: at most 10 s, and at most 150 MB of memory that stays.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter

import psutil

from pose_hrnet.benchmark.made_up import write_annotations
from pose_hrnet.data.people import labelled_people, load_people

PERSONS, IMAGES = 150_000, 64_000
MB = 1e6


def resident_bytes() -> int:
    """Memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def measure(path: Path) -> dict[str, float]:
    """Load the file; meant for a fresh process."""
    before = resident_bytes()
    start = perf_counter()
    people = load_people(path)
    seconds = perf_counter() - start
    held = resident_bytes() - before
    return {
        "file, MB": path.stat().st_size / MB,
        "persons": len(people),
        "persons to train on": len(labelled_people(people)),
        "seconds": seconds,
        "memory added, MB": held / MB,
        "memory added at the peak, MB": (getrusage(RUSAGE_SELF).ru_maxrss * 1024 - before) / MB,
    }


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.json"
        write_annotations(path, images=IMAGES, persons=PERSONS)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            numbers = pool.apply(measure, (path,))
    for name, value in numbers.items():
        print(f"{name:<30}{value:>12,.1f}")


if __name__ == "__main__":
    main()
