"""Threads ahead and behind: order, bounds, errors."""

from __future__ import annotations

import threading
import time

import pytest

from pose_hrnet.system.threads import Behind, ahead

PATIENCE = 60
"""Seconds after which nobody waits any more."""


def test_items_come_in_order_and_not_too_far_ahead():
    made = []

    def source():
        for number in range(20):
            made.append(number)
            yield number

    for number in ahead(source(), 2):
        while len(made) < min(number + 3, 20):  # it does come so far
            time.sleep(0)
        assert len(made) <= number + 3
    assert number == 19


def test_items_are_made_in_another_thread_while_one_is_used():
    """With nobody beside them, maker and user would wait for each other for ever."""
    used = threading.Event()

    def source():
        yield 1
        assert used.wait(PATIENCE)
        yield 2

    seen = []
    for item in ahead(source()):
        seen.append(item)
        used.set()
    assert seen == [1, 2]


def test_errors_of_the_source_come_where_the_items_do():
    def source():
        yield 1
        raise KeyError("two")

    items = ahead(source())
    assert next(items) == 1
    with pytest.raises(KeyError, match="two"):
        next(items)


def test_who_stops_early_leaves_no_thread():
    before = threading.active_count()
    items = ahead(iter(range(100)))
    next(items)
    items.close()
    assert threading.active_count() == before


def test_work_behind_is_done_at_the_end_of_the_block():
    done = []
    with Behind(2) as worker:
        for number in range(5):
            worker.do(lambda number=number: done.append(number))
    assert done == [0, 1, 2, 3, 4]


def test_no_more_work_waits_than_there_is_room_for():
    """Of three, with pieces of two: one is at work, and who hands over another waits for it."""
    goes_on, done, handed_over = threading.Event(), [], threading.Event()

    def hand_over_another():
        worker.do(lambda: done.append(2), 2)
        handed_over.set()

    with Behind(3) as worker:
        worker.do(lambda: done.append(1) if goes_on.wait(PATIENCE) else None, 2)
        giver = threading.Thread(target=hand_over_another)
        giver.start()
        assert not handed_over.wait(0.1)
        goes_on.set()
        assert handed_over.wait(PATIENCE)
        assert done[0] == 1
        giver.join()
    assert done == [1, 2]


def test_errors_behind_are_raised():
    def fail():
        raise OSError("full")

    with pytest.raises(OSError, match="full"), Behind(2) as worker:
        worker.do(fail)


def test_an_error_of_the_block_is_not_hidden_by_one_behind():
    def fail():
        raise OSError("full")

    def block():
        with Behind(2) as worker:
            worker.do(fail)
            raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        block()
