"""How late the frames of a stream are, by its clock or by whether they were waited for."""

from __future__ import annotations

import pytest

from pose_hrnet.inference.video.lateness import ByClock, ByWaiting


def lates(lateness, waits, stamps=None, decoding=0.0):
    """Of frames that take so long to come, each asked for when the one before was there."""
    now, found = 100.0, []
    for number, wait in enumerate(waits):
        asked, now = now, now + wait + decoding
        found.append(lateness.of(asked, now, stamps[number] if stamps else 0.04 * number))
    return found


def test_by_its_clock_a_frame_is_late_by_what_it_was_longer_on_its_way():
    stamps = [1.0, 1.04, 1.08, 1.12, 1.16]
    found = lates(ByClock(), [0, 0.04, 0.54, 0, 0], stamps)
    assert found == pytest.approx([0, 0, 0.5, 0.46, 0.42])
    assert lates(ByClock(), [1, 2, 3], [0.0] * 3) == [0] * 3  # it does not say


@pytest.mark.parametrize("wait", [1 / 60, 1 / 25, 0.1, 2.0])
def test_frames_that_are_waited_for_are_not_late_however_many_are_sent(wait):
    assert lates(ByWaiting(), [wait] * 300, decoding=0.003) == pytest.approx([0] * 300)


@pytest.mark.parametrize("rate", [10, 25, 60])
def test_after_a_time_without_a_processor_what_has_waited_is_late_until_nothing_waits(rate):
    """For 2 s, whatever the camera sends in it, which is then there all at once."""
    usual, queue = [1 / rate] * 50, [0.0] * (2 * rate - 1)
    found = lates(ByWaiting(), [*usual, 2, *queue, *usual], decoding=0.001)
    assert max(found[:50]) == pytest.approx(0)
    assert min(found[50 : 50 + 2 * rate]) > 1.9
    assert max(found[50 + 2 * rate :]) == pytest.approx(0)


def test_who_was_silent_before_may_be_silent_again():
    """Of a camera that sends when something moves, one frame is lost to the first silence."""
    moves = [0.04] * 20
    found = lates(ByWaiting(), [*moves, 4, *moves, 3, *moves])
    assert [number for number, late in enumerate(found) if late > 0.1] == [20]


def test_few_that_come_together_are_late_by_little():
    found = lates(ByWaiting(), [0.2, 0, 0, 0, 0] * 20, decoding=0.002)
    assert max(found) < 0.25
