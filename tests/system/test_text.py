"""Counts are told in English."""

from __future__ import annotations

import pytest

from pose_hrnet.system.text import counted


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [
        (1, "person", "1 person"),
        (0, "person", "0 persons"),
        (1234, "image", "1,234 images"),
        (1, "annotated box", "1 annotated box"),
        (2, "annotated box", "2 annotated boxes"),
        (3, "process", "3 processes"),
        (2, "entry", "2 entries"),
        (2, "epoch", "2 epochs"),
        (2, "batch", "2 batches"),
    ],
)
def test_one_and_several(count, noun, words):
    assert counted(count, noun) == words
