"""``python tools/predict.py ...`` is ``pose-hrnet predict ...``, for those used to scripts."""

from __future__ import annotations

import sys

from pose_hrnet.cli.app import app

if __name__ == "__main__":
    app(["predict", *sys.argv[1:]], prog_name="tools/predict.py")
