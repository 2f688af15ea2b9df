"""Files of object stores: what goes wrong with them is one sentence."""

from __future__ import annotations

import pytest

from pose_hrnet.system.remote import remote

fsspec = pytest.importorskip("fsspec")


def test_it_gives_fsspec():
    with remote("memory://folder/a") as module:
        assert module is fsspec


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (FileNotFoundError("no bucket"), FileNotFoundError, r"s3://b/a cannot be .* .no bucket."),
        (FileNotFoundError("s3://b/a is not there"), FileNotFoundError, "^s3://b/a is not there$"),
        (ImportError("install s3fs"), ValueError, r"s3://b/a needs a package .*install s3fs"),
        (KeyError("region"), OSError, r"s3://b/a cannot be written \('region'\); check"),
    ],
)
def test_errors_are_one_sentence(error, kind, words):
    with pytest.raises(kind, match=words), remote("s3://b/a?secret=1", done="written"):
        raise error


def test_an_unknown_protocol_is_said():
    with (
        pytest.raises(OSError, match=r"nosuch://b/a cannot be fetched .*nosuch"),
        remote("nosuch://b/a") as module,
    ):
        module.open("nosuch://b/a").open()
