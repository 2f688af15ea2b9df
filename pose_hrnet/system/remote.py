"""Files under URLs that fsspec opens, such as ``s3://bucket/folder``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.text import one_line
from pose_hrnet.system.transfer import shown_url


@contextmanager
def remote(url: str, *, done: str = "fetched") -> Iterator[Any]:
    """fsspec, whose own errors, and those of what it uses, become one sentence.

    Args:
        url: What is opened in the block.
        done: What is done with it, for the sentence.

    Yields:
        The module.

    Raises:
        FileNotFoundError: If there is no such file, folder or bucket.
        OSError: If anything else goes wrong with it.
        ValueError: If a package that the URL needs is missing.
    """
    fsspec = import_extra("fsspec", "remote")
    try:
        yield fsspec
    except FileNotFoundError as error:
        if str(error).startswith(shown_url(url)):
            raise
        raise FileNotFoundError(
            f"{shown_url(url)} cannot be {done}: it, or what should hold it, does not exist "
            f"({one_line(error)}); check the address"
        ) from None
    except ImportError as error:  # such as s3fs, which fsspec names
        protocol = url.partition("://")[0]
        raise ValueError(
            f"{shown_url(url)} needs a package for {protocol}:// that is not installed "
            f"({one_line(error)}); install it, or give a folder"
        ) from None
    except Exception as error:  # whatever an unknown address, a network or a server lead to
        raise OSError(
            f"{shown_url(url)} cannot be {done} ({one_line(error)}); check the address, the "
            "network and your rights there"
        ) from None


__all__ = ["remote"]
