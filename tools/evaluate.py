"""``python tools/evaluate.py ...`` is ``pose-hrnet evaluate ...``, for those used to scripts."""

from __future__ import annotations

import sys

from pose_hrnet.cli.app import app

if __name__ == "__main__":
    app(["evaluate", *sys.argv[1:]], prog_name="tools/evaluate.py")
