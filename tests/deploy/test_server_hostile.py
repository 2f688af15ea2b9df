"""A server goes on answering, whatever it is sent (`tests.fuzz.requests`)."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx2
import pytest

from pose_hrnet.deploy.server.limits import Limits
from tests.fuzz.requests import attack
from tests.helpers.serving import JPEG, listening, picture, serving, tiny_estimator

LIMITS = Limits(max_pixels=8_000_000, body_seconds=3.0)
AT_ONCE = 8


@pytest.mark.parametrize(
    "seeds", [range(60), pytest.param(range(60, 560), marks=pytest.mark.slow)], ids=["60", "500"]
)
def test_hostile_requests_leave_it_answering(seeds, caplog):
    good = picture()
    with (
        serving(tiny_estimator(), limits=LIMITS) as server,
        listening(server) as usual,
        listening(server, seconds=2.0) as port,
    ):
        address = f"http://127.0.0.1:{usual}"

        def answer():
            while True:  # on a busy machine a good body may come too late for the short time, too
                said = httpx2.post(f"{address}/v1/poses", content=good, headers=JPEG, timeout=60)
                if said.status_code != 408:
                    return said

        before = answer().json()
        with ThreadPoolExecutor(AT_ONCE) as attackers:
            coming = {seed: attackers.submit(attack(seed).send, port) for seed in seeds}
            for seed, future in coming.items():
                said = future.result()
                status = re.match(rb"HTTP/1.1 (\d+)", said)
                assert not said or status, (seed, attack(seed).kind, said[:200])
                assert not status or status[1] != b"500", (seed, attack(seed).kind, said[-200:])
                assert b"Traceback" not in said
                if seed % 20 == 0:
                    assert answer().json() == before
        assert answer().json() == before
        assert httpx2.get(f"{address}/healthz").json() == {"status": "ok"}
        names, told = ("images_waiting", "body_bytes", "pixel_bytes"), ""
        while not all(f"\npose_{name} 0.0\n" in told for name in names):
            told = httpx2.get(f"{address}/metrics").text
        assert 'status="500"' not in told
    assert [r.getMessage() for r in caplog.records if r.exc_info] == []


def test_attacks_are_of_every_kind_and_the_same_by_their_number():
    assert len({attack(seed).kind for seed in range(60)}) == 11
    assert attack(5) == attack(5)
    assert replace(attack(5), kind="") != replace(attack(6), kind="")
