"""``python tools/train.py ...`` is ``pose-hrnet train ...``, for those used to scripts."""

from __future__ import annotations

import sys

from pose_hrnet.cli.app import app

if __name__ == "__main__":
    app(["train", *sys.argv[1:]], prog_name="tools/train.py")
