"""``python -m tests.fuzz --inputs 5000``: try so many inputs, and say what was wrong with which.

Exit code 1 if anything was; ``--first SEED --inputs 1`` tries one of them again, and says all.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.fuzz.campaign import good_commands, import_all, try_seed
from tests.fuzz.children import end_of, faults
from tests.fuzz.kit import make_kit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    import_all()
    kinds: Counter[str] = Counter()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        os.environ["POSE_HRNET_CACHE"] = f"{work}/cache"
        kit = make_kit(Path(work) / "kit")
        for command in good_commands(kit) if asked.inputs >= 1000 else ():
            one = shutil.copytree(kit, Path(work) / "one")
            code, said = end_of(command, one / "log")
            found = faults(code, said, one / "out")
            if code or found:
                print(f"without any change: {command}: exit code {code}, {found}: {said}")
                bad += 1
            shutil.rmtree(one)
        for seed in range(asked.first, asked.first + asked.inputs):
            tried = try_seed(seed, kit, Path(work) / "one")
            kinds[tried.kind] += 1
            bad += bool(tried.faults)
            if tried.faults or asked.inputs == 1:
                print(f"seed {seed}: {tried.kind}: {' '.join(tried.arguments)[:300]!r}")
                print("".join(f"    {fault!r}\n" for fault in tried.faults), end="", flush=True)
            if asked.inputs == 1:
                print(tried.said)
            elif (done := sum(kinds.values())) % 500 == 0:
                print(f"{done} tried, {bad} with faults", file=sys.stderr, flush=True)
    print(f"{sum(kinds.values())} inputs, {bad} with faults; {dict(kinds)}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
