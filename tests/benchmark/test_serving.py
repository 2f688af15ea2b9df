"""`pose-hrnet benchmark serve`: what clients see, and what is lost."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import repeat

import psutil
import pytest

from pose_hrnet.benchmark import serving as benchmark
from pose_hrnet.benchmark.model import ModelChoice, random_checkpoint
from pose_hrnet.benchmark.prediction import first_jobs
from pose_hrnet.benchmark.serving import Asked, Load, ask, benchmark_serving
from pose_hrnet.benchmark.timing import Pace
from pose_hrnet.config.files import load_config
from pose_hrnet.deploy.server.limits import Limits
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.serving import listening, serving, tiny_estimator


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    people, folder = make_people(4), tmp_path_factory.mktemp("people")
    annotations = write_annotations(people, folder / "people.json")
    return first_jobs(annotations, write_images(people, folder / "images"), 3)


def test_clients_count_answers_and_what_is_lost(jobs):
    good = [Asked.of(job) for job in jobs]
    bad = replace(good[0], body=b"no image")
    few = replace(good[0], persons=good[0].persons + 1)
    load = Load()
    with serving(tiny_estimator()) as server, listening(server) as port:
        ask(f"http://127.0.0.1:{port}", iter([*good, bad, *good, few]), 3, load)
    assert (len(load.seconds), load.lost) == (2 * len(good), 2)
    assert "p50" in load.percentiles()
    ask(f"http://127.0.0.1:{port}", iter(good), 2, gone := Load())
    assert (gone.seconds, gone.lost) == ([], len(good))
    assert "refused" in gone.reason


def test_what_a_full_server_refuses_is_lost(jobs):
    load = Load()
    with (
        serving(tiny_estimator(), limits=Limits(max_queue=1)) as server,
        server.admission.admit(1),
        listening(server) as port,
    ):
        ask(f"http://127.0.0.1:{port}", repeat(Asked.of(jobs[0]), 3), 1, load)
    assert load.lost == 3
    assert load.reason.startswith("503, 1 image wait")


def test_whatever_a_client_meets_is_a_lost_answer(jobs):
    asked = Asked.of(jobs[0])
    odd = replace(asked, target="/v1/poses?boxes=\n")  # http.client refuses to send it
    listed = replace(asked, target="/v1/poses?format=coco")  # a list has no images
    load = Load()
    with serving(tiny_estimator()) as server, listening(server) as port:
        ask(f"http://127.0.0.1:{port}", iter([odd, listed, asked]), 1, load)
    assert (len(load.seconds), load.lost) == (1, 2)


def test_lost_answers_are_told_and_give_no_times(jobs, tmp_path, monkeypatch):
    # Private: a server in this process, which refuses everybody, in place of a program.
    @contextmanager
    def refusing(*_):
        with (
            serving(tiny_estimator(), limits=Limits(max_persons=0)) as server,
            listening(server) as port,
        ):
            yield f"http://127.0.0.1:{port}", psutil.Process()

    monkeypatch.setattr(benchmark, "_server", refusing)
    checkpoint = random_checkpoint(load_config("demo"), tmp_path)
    choice = ModelChoice(checkpoint, (), ("eager",), ("fp32",), (3,), True, "cpu")
    once = Pace(rounds=1, turn_seconds=0)
    compared, lasting = benchmark_serving(
        choice, jobs, once, model_name="tiny", clients=2, minutes=0.001
    )
    for row in (*compared.rows[1:], *lasting.rows):
        assert row.round_seconds == ()
        assert "lost (422, image number 1 has" in row.reason
    assert len(compared.notes) == 2
    assert all("of 0 answers, 16 lost (422" in note for note in compared.notes)


@pytest.mark.slow
def test_a_server_stands_beside_predict_and_itself_without_batches(jobs, tmp_path):
    checkpoint = random_checkpoint(load_config("demo"), tmp_path)
    choice = ModelChoice(checkpoint, (), ("eager",), ("fp32",), (3,), True, "cpu")
    once = Pace(rounds=1, turn_seconds=0)
    compared, lasting = benchmark_serving(
        choice, jobs, once, model_name="tiny", clients=2, minutes=0.01
    )
    assert [(row.variant, row.reason) for row in compared.rows] == [
        (name, "") for name in ("predict", "serve", "serve --max-batch 1")
    ]
    assert compared.notes[0].startswith("serve: p50")
    assert "0 lost" in compared.notes[0]
    assert "times as fast as without" in compared.notes[2]
    assert "0 lost" in lasting.notes[0]
    assert len(lasting.settings["resident_bytes"]) == 10
    broken = replace(choice, checkpoint=tmp_path / "nowhere.pth")
    (compared,) = benchmark_serving(broken, jobs, once, model_name="none", clients=2)
    assert "the server did not start" in compared.rows[1].reason
