"""Which models the options of `predict`, `serve` and `bulk` name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pose_hrnet.cli.models import checkpoint_meant, detector_meant
from pose_hrnet.system.defaults import DETECTOR, ListedName

BOXES = Path("boxes.json")


@pytest.mark.parametrize(
    ("boxes", "detector", "threshold", "whole_image", "meant"),
    [
        (None, None, None, False, DETECTOR),
        (None, "a.yaml", 0.3, False, "a.yaml"),
        (None, None, None, True, None),
        (None, "none", None, False, None),
        (None, "none", None, True, None),
        (BOXES, None, None, False, None),
        (BOXES, "none", None, False, None),
    ],
)
def test_which_detector_is_meant(boxes, detector, threshold, whole_image, meant):
    assert detector_meant(boxes, detector, threshold, whole_image=whole_image) == meant


def test_a_name_that_we_chose_is_told_from_one_that_was_given():
    """Only the latter may be a file of the current folder."""
    chosen = [
        checkpoint_meant(None),
        detector_meant(None, None, None, whole_image=False),
    ]
    assert all(isinstance(name, ListedName) for name in chosen)
    assert chosen == ["default", "yolox_s"]
    assert type(checkpoint_meant("default")) is str
    assert type(detector_meant(None, "yolox_s", None, whole_image=False)) is str


@pytest.mark.parametrize(
    ("boxes", "detector", "threshold", "whole_image", "words"),
    [
        (BOXES, "a", None, False, "--boxes and --detector each say where the persons are"),
        (BOXES, None, None, True, "--boxes and --whole-image each say"),
        (None, "a", None, True, "--whole-image and --detector each say"),
        (BOXES, None, 0.3, False, "--detector-threshold does nothing with --boxes"),
        (None, "none", 0.3, False, "--detector-threshold does nothing with --whole-image"),
    ],
)
def test_what_contradicts_itself_is_refused(boxes, detector, threshold, whole_image, words):
    with pytest.raises(ValueError, match=words):
        detector_meant(boxes, detector, threshold, whole_image=whole_image)
