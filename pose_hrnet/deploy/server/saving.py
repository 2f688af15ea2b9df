"""Images and their answers on the disk, only where `--save` asks for it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import count
from pathlib import Path

from pose_hrnet.deploy.server.answers import image_answer
from pose_hrnet.deploy.server.bodies import Upload
from pose_hrnet.deploy.server.contract import Model
from pose_hrnet.deploy.server.headers import ENDINGS
from pose_hrnet.deploy.server.pipeline import Posed
from pose_hrnet.system.files import replace_file, write_json

log = logging.getLogger(__name__)


class Archive:
    """Writes each image that was predicted, and beside it what was answered.

    Files are called by the time and their content: what a client calls an image names no file.

    Args:
        folder: Where to; it need not exist.
        model: Which one predicted.
    """

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder = folder
        self.model = model
        self._numbers = count(1)
        self._pool = ThreadPoolExecutor(1, "save")

    async def add(self, uploads: Sequence[Upload], images: Sequence[Posed]) -> None:
        """Write those of a request that have poses; if it cannot, the log says so."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._pool, self._write, uploads, images)

    def _write(self, uploads: Sequence[Upload], images: Sequence[Posed]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for upload, posed in zip(uploads, images, strict=True):
                if posed.poses is None:
                    continue
                path = self.folder / self._name(upload.data)
                with replace_file(path) as temporary:
                    temporary.write_bytes(upload.data)
                content = {"model": self.model.model_dump(), **image_answer(posed)}
                write_json(path.with_suffix(".json"), content)
        except OSError as error:
            log.error("--save: %s; the answer is given all the same", error)

    def _name(self, data: bytes) -> str:
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
        (ending,) = (end for start, end in ENDINGS.items() if data.startswith(start))
        return f"{now}-{next(self._numbers):06d}-{hashlib.sha256(data).hexdigest()[:12]}{ending}"

    def close(self) -> None:
        """Write what is left."""
        self._pool.shutdown()


__all__ = ["Archive"]
