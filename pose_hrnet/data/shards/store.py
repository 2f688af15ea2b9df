"""Where shards lie: a folder, or a URL whose files are kept on this machine's disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from pose_hrnet.system.files import cache_folder, replace_file
from pose_hrnet.system.inputs import LARGEST_FILE, read_input
from pose_hrnet.system.remote import remote


@dataclass
class ShardStore:
    """The files of a folder or URL, on this machine's disk.

    Attributes:
        root: Folder, or URL such as ``s3://bucket/folder``.
        cache: Where files of a URL are kept, each fetched once for all processes of a machine.
    """

    root: str
    cache: Path = field(default_factory=lambda: cache_folder("shards"))

    def fetch(self, name: str, digest: str) -> Path:
        """Local path of a shard, downloaded if it is not there yet.

        Raises:
            OSError: If it cannot be fetched.
        """
        if "://" not in self.root:
            return Path(self.root) / name
        folder = self.cache / hashlib.sha256(f"{self.root} {digest}".encode()).hexdigest()[:16]
        path = folder / name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if not path.exists():
                    url = f"{self.root.rstrip('/')}/{name}"
                    with replace_file(path) as temporary, remote(url) as fsspec:
                        filesystem, there = fsspec.url_to_fs(url)
                        filesystem.get_file(there, str(temporary))
        return path

    def read(self, name: str) -> bytes:
        """The bytes of a file, which is not kept.

        Raises:
            FileNotFoundError: If there is no such file.
            OSError: If it cannot be read or fetched.
            ValueError: If a package that the address needs is missing.
        """
        if "://" not in self.root:
            return read_input(Path(self.root) / name)
        url = f"{self.root.rstrip('/')}/{name}"
        with remote(url) as fsspec, fsspec.open(url, "rb") as file:
            return bytes(file.read(LARGEST_FILE))


__all__ = ["ShardStore"]
