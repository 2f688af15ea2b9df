"""Where rows go: a folder, or an object store; every file appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from pose_hrnet.deploy.bulk.columns import KINDS
from pose_hrnet.deploy.bulk.inputs import LOCAL
from pose_hrnet.deploy.bulk.tables import row_schema
from pose_hrnet.system.choices import RowFormat
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.files import encode_json, few_digits, replace_file
from pose_hrnet.system.folders import check_room, owned
from pose_hrnet.system.inputs import read_input
from pose_hrnet.system.remote import remote
from pose_hrnet.system.text import one_line
from pose_hrnet.system.transfer import address_in, shown_url

_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"})
"""Protocols of stores in which a file is there when all of it was sent, and not before."""
LOCK, PROBE = ".bulk.lock", ".pose_hrnet-probe"


class Store(Protocol):
    """The files of a folder."""

    def sizes(self) -> dict[str, int]:
        """Bytes of each file that is there, by its name."""

    def read(self, name: str) -> bytes:
        """The bytes of a file; FileNotFoundError if there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, in one piece."""

    def create(self, name: str, data: bytes) -> None:
        """Likewise, but leave one that is there as it is, where the store can tell."""


class Folder:
    """A folder of this machine, or of a disk that it shares."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def sizes(self) -> dict[str, int]:
        """As of `Store`, and so are the others."""
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.path) as files:
            return {each.name: each.stat().st_size for each in files}
        return {}

    def read(self, name: str) -> bytes:
        """See there."""
        return read_input(self.path / name)

    def write(self, name: str, data: bytes) -> None:
        """See there."""
        with replace_file(self.path / name) as temporary:
            temporary.write_bytes(data)

    def create(self, name: str, data: bytes) -> None:
        """See there; the folder is this process's alone."""
        if not (self.path / name).exists():
            self.write(name, data)


class ObjectStore:
    """A folder of an object store, in which every file appears whole.

    Args:
        url: Such as ``s3://bucket/folder``.

    Raises:
        ValueError: If files of such an address need not appear whole.
    """

    def __init__(self, url: str) -> None:
        url = address_in(url) or url
        protocol = url.partition("://")[0]
        if protocol not in _WHOLE:
            raise ValueError(
                f"{shown_url(url)} cannot be written to, as files of {protocol} can be seen "
                "before they are whole; give a folder, which may be mounted, or a URL of an "
                "object store such as s3://bucket/folder, gs:// or az://"
            )
        self.url = url.rstrip("/")

    def sizes(self) -> dict[str, int]:
        """As of `Store`, and so are the others."""
        with self._opened("listed") as (filesystem, root):
            if not filesystem.exists(root):
                return {}
            return {
                str(each["name"]).rstrip("/").rsplit("/", 1)[-1]: int(each["size"] or 0)
                for each in filesystem.ls(root, True)
            }

    def read(self, name: str) -> bytes:
        """See there."""
        with self._opened("fetched") as (filesystem, root):
            return bytes(filesystem.cat_file(f"{root}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        """See there."""
        with self._opened("written") as (filesystem, root):
            filesystem.pipe_file(f"{root}/{name}", data)

    def create(self, name: str, data: bytes) -> None:
        """See there."""
        with self._opened("written") as (filesystem, root):
            try:
                filesystem.pipe_file(f"{root}/{name}", data, mode="create")
            except FileExistsError:
                return
            except (TypeError, ValueError, NotImplementedError, OSError) as error:
                # A mode that fsspec's part for this store does not know, or a header that the
                # server does not: it cannot tell. What else is wrong shows in the second try.
                if isinstance(error, OSError) and error.errno != errno.ENOSYS:
                    raise
                if not filesystem.exists(f"{root}/{name}"):
                    filesystem.pipe_file(f"{root}/{name}", data)

    def probe(self) -> None:
        """Write a small file, and remove it, if that is allowed."""
        with self._opened("written") as (filesystem, root):
            filesystem.pipe_file(f"{root}/{PROBE}", b"probe")
            with suppress(Exception):  # of any kind: rights to remove are not needed
                filesystem.rm_file(f"{root}/{PROBE}")

    @contextmanager
    def _opened(self, done: str) -> Iterator[tuple[Any, str]]:
        """fsspec's filesystem, and what the folder is called there; errors as of `remote`."""
        with remote(self.url, done=done) as fsspec:
            yield fsspec.url_to_fs(self.url)


def local_folder(output: str) -> Path | None:
    """The folder of this machine that an output is; None: it is an address of elsewhere."""
    return Path(output.removeprefix(LOCAL)) if address_in(output) is None else None


@contextmanager
def opened_store(output: str) -> Iterator[Store]:
    """A folder, which is this process's alone while the block runs, or an object store.

    Args:
        output: Path or URL.

    Raises:
        FolderBusy: If another process works in the folder.
        OSError: If it cannot be written to.
        ValueError: If it is no address of an object store, or a package is missing.
    """
    folder = local_folder(output)
    if folder is None:
        yield ObjectStore(output)
        return
    check_room(folder)
    with owned(folder, LOCK):
        yield Folder(folder)


def check_store(output: str, *, probe: bool = True) -> None:
    """Ask early whether files can be written to a folder or URL.

    Args:
        output: Path or URL.
        probe: Write a small file to a store, too; otherwise it is not asked.

    Raises:
        OSError: If they cannot.
        ValueError: If it is no address of an object store, or a package is missing.
    """
    folder = local_folder(output)
    if folder is not None:
        check_room(folder)
        return
    store = ObjectStore(output)
    if probe:
        store.probe()


def encoded(table: Any, fmt: RowFormat) -> bytes:
    """The bytes of a file of rows.

    Args:
        table: With the columns of `row_schema`.
        fmt: ``parquet``, or ``jsonl``: a row a line.
    """
    if fmt == "jsonl":
        rows = zip(*(_plain(column) for column in table.columns), strict=True)
        lines = (encode_json(dict(zip(table.column_names, row, strict=True))) for row in rows)
        return b"".join(line + b"\n" for line in lines)
    parquet = import_extra("pyarrow.parquet", "ray")
    stream = BytesIO()
    parquet.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def decoded(data: bytes, fmt: RowFormat, name: str) -> Any:
    """The rows of a file, as a table.

    Args:
        data: Of `encoded`.
        fmt: Of the file.
        name: Of it, for errors.

    Raises:
        ValueError: If they are damaged.
    """
    arrow = import_extra("pyarrow", "ray")
    try:
        if fmt == "parquet":
            return import_extra("pyarrow.parquet", "ray").read_table(BytesIO(data))
        rows = [json.loads(line) for line in data.splitlines()]
        columns = {column: [row[column] for row in rows] for column in KINDS}
        return arrow.table(columns, schema=row_schema())
    except (ValueError, KeyError, TypeError, OSError) as error:  # Arrow's are ValueErrors
        raise ValueError(
            f"{name} in the output is damaged ({one_line(error)}); remove it, and run again"
        ) from None


def _plain(column: Any) -> list[Any]:
    """The values of a column; float32 in the fewest digits that keep what was computed."""
    values: list[Any] = _doubles(column.combine_chunks()).to_pylist()
    return values


def _doubles(array: Any) -> Any:
    """float32, also inside of lists, as the doubles that are written in the fewest digits."""
    arrow = import_extra("pyarrow", "ray")
    if arrow.types.is_list(array.type):
        values = _doubles(array.values)
        return arrow.ListArray.from_arrays(array.offsets, values, mask=array.is_null())
    if not arrow.types.is_float32(array.type):
        return array
    digits = few_digits(array.to_numpy(zero_copy_only=False))
    return arrow.array(digits, mask=array.is_null().to_numpy(zero_copy_only=False))


__all__ = [
    "Folder",
    "ObjectStore",
    "Store",
    "check_store",
    "decoded",
    "encoded",
    "local_folder",
    "opened_store",
]
