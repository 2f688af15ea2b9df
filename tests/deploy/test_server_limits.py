"""What images and requests may hold of a server: memory, threads, and for how long."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading

import pytest

from pose_hrnet.deploy.server import decoding
from pose_hrnet.deploy.server.decoding import Decoders
from pose_hrnet.deploy.server.limits import Budget, Refused
from tests.helpers.serving import PATIENT


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_decoding_takes_no_more_memory_than_is_expected_of_it(tmp_path):
    command = [sys.executable, "-m", "tests.helpers.decoding_peaks", str(tmp_path)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert len(found) == 20
    wrong = {
        name: (peak, expected)
        for name, (peak, expected) in found.items()
        if not peak <= expected <= 2 * peak
    }
    assert wrong == {}


def test_a_budget_is_given_in_order_and_given_back():
    async def scenario():
        budget, order = Budget(10), []

        async def someone(name, size, leave):
            async with budget.taking(size):
                order.append(name)
                await leave.wait()

        leave = {name: asyncio.Event() for name in "abcd"}
        sizes = {"a": 6, "b": 8, "c": 1, "d": 1000}
        tasks = {}
        for name in "abcd":
            tasks[name] = asyncio.ensure_future(someone(name, sizes[name], leave[name]))
            await asyncio.sleep(0)
        assert (order, budget.taken) == (["a"], 6)  # c is small, but came after b
        tasks["b"].cancel()
        leave["a"].set()
        await tasks["a"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (order, budget.taken) == (["a", "c"], 1)
        leave["c"].set()
        leave["d"].set()
        await asyncio.gather(tasks["c"], tasks["d"])
        assert (order, budget.taken) == (["a", "c", "d"], 0)

    asyncio.run(scenario())


def test_a_budget_is_held_by_who_cannot_let_go():
    async def scenario():
        budget = Budget(10)
        async with budget.taking(7) as taken:
            taken.hold()
        assert budget.taken == 7
        taken.release()
        assert budget.taken == 0

    asyncio.run(scenario())


def test_a_decoder_over_its_time_is_left_alone_until_it_ends(monkeypatch):
    monkeypatch.setattr(decoding, "_TURNS", 100 * PATIENT)  # a thread begins when it begins
    let = threading.Event()

    async def scenario():
        decoders = Decoders(0.01, count=2)
        for stuck in (1, 2):
            with pytest.raises(Refused, match="to decode; send a smaller") as late:
                await decoders.run(let.wait, PATIENT)
            assert late.value.status == 422
            assert decoders.stuck == stuck
        assert decoders.all_stuck
        with pytest.raises(Refused, match="decoders are busy") as none:
            await decoders.run(let.wait, PATIENT)
        assert (none.value.status, none.value.retry_after) == (503, 10)
        let.set()
        while decoders.stuck:
            await asyncio.sleep(0)
        decoders.seconds = PATIENT
        assert await decoders.run(let.wait) is True
        decoders.close()

    asyncio.run(scenario())
