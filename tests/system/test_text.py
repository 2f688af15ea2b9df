"""Counts are told in English; names and sizes are read, or named in an error."""

from __future__ import annotations

import pytest

from pose_hrnet.system.text import counted, parse_names


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


def test_names_are_read_in_any_order_and_mistakes_are_named():
    known = ("flip", "shift", "nms")
    assert parse_names("nms, flip,flip", "--compare", known) == ("flip", "nms")
    for wrong, said in (("flip,shft", "'shft'"), ("", "''"), (",", "','")):
        with pytest.raises(ValueError, match=f"--compare has {said}; give one or more of flip, "):
            parse_names(wrong, "--compare", known)
