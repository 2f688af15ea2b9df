"""Counts, sizes and durations in English; names and sizes are read, or named in an error."""

from __future__ import annotations

import pytest

from pose_hrnet.system.text import (
    clock_seconds,
    counted,
    duration,
    few,
    format_size,
    gigabytes,
    one_line,
    parse_names,
    parse_size,
    speed,
)


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


@pytest.mark.parametrize(
    ("size", "words"), [(3.44e9, "3.4 GB"), (5e6, "5 MB"), (99e6, "99 MB"), (1e8, "0.1 GB")]
)
def test_bytes(size, words):
    assert gigabytes(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (12.3, "12 s"),
        (89, "89 s"),
        (240, "4 min"),
        (3 * 3600 + 20 * 60, "3 h 20 min"),
        (2 * 86400 + 5 * 3600, "2 d 5 h"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12.5", 12.5), ("1:02.5", 62.5), ("00:00:03.990000000", 3.99), ("1:00:00", 3600),
        ("", None), ("3:", None), ("-1", None), ("nan", None), ("1:1:1:1", None), ("٣", None),
    ],
)  # fmt: skip
def test_times_of_a_clock(text, seconds):
    assert clock_seconds(text) == seconds


def test_speeds():
    assert [speed(2.44), speed(834.2), speed(12_345)] == [
        "2.4 crops/s",
        "834 crops/s",
        "12,345 crops/s",
    ]


def test_a_long_message_keeps_both_ends_on_one_line():
    assert one_line(ValueError("one\n  two. ")) == "one two"
    assert one_line(ValueError()) == "ValueError"
    told = one_line(ValueError("begins " + "x" * 1000 + " ends"), 90)
    assert told.startswith("begins ")
    assert told.endswith(" ends")
    assert len(told) <= 90 + len(" ... ")


def test_few_of_many_names():
    assert few("abc") == "a, b, c"
    assert few("abcd") == "a, b, c, ..."


def test_a_size_is_height_by_width():
    assert parse_size("256x192", "--size") == parse_size("256X192", "--size") == (192, 256)
    assert format_size((192, 256)) == "256x192"
    for wrong in ("256", "256x", "x192", "256x192x3", "-1x5", "256 x 192"):
        with pytest.raises(ValueError, match=f"--size is '{wrong}'; expected HEIGHTxWIDTH"):
            parse_size(wrong, "--size")


def test_names_are_read_in_any_order_and_mistakes_are_named():
    known = ("flip", "shift", "nms")
    assert parse_names("nms, flip,flip", "--compare", known) == ("flip", "nms")
    for wrong, said in (("flip,shft", "'shft'"), ("", "''"), (",", "','")):
        with pytest.raises(ValueError, match=f"--compare has {said}; give one or more of flip, "):
            parse_names(wrong, "--compare", known)
