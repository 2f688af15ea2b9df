"""Bulk prediction over Ray: rows as predict writes them, once, whoever is killed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pose_hrnet import PoseEstimator
from pose_hrnet.deploy.bulk.columns import Sick
from pose_hrnet.deploy.bulk.engines import Cluster, _Poser, _read, _Share, ray_engine
from pose_hrnet.deploy.bulk.estimate import estimate
from pose_hrnet.deploy.bulk.job import SUMMARY, run_job
from pose_hrnet.deploy.bulk.models import Models
from pose_hrnet.deploy.bulk.parts import parts_of, tasks_of
from pose_hrnet.deploy.bulk.plan import BoxFile, Wanted, plan_job, with_detector
from pose_hrnet.deploy.bulk.store import decoded, opened_store
from pose_hrnet.deploy.bulk.tables import image_tables, images_of
from pose_hrnet.inference.files import predict_files
from pose_hrnet.inference.formats.writer import Outputs
from pose_hrnet.inference.options import ModelOptions
from pose_hrnet.models.weights.identity import identity_of
from pose_hrnet.system.folders import FolderBusy
from tests.helpers.builders import make_people, write_images
from tests.helpers.bulk import Deadly, SickOnce, check_same, save_small, write_archive

pyarrow = pytest.importorskip("pyarrow", reason="the extra ray is not installed")

IMAGES = 24


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    path = save_small(tmp_path_factory.mktemp("model") / "small.safetensors")
    options = ModelOptions(str(path), backend="eager", device="cpu")
    return Models(options, "small", identity_of(path).sha256)


def asking(models, **what):
    """The models, asked for otherwise."""
    return replace(models, options=replace(models.options, **what))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = write_images(make_people(2 * IMAGES), tmp_path_factory.mktemp("photos"))
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def rows_in(output, fmt="parquet"):
    files = sorted(output.glob(f"part-*.{fmt}"))
    return [row for file in files for row in decoded(file.read_bytes(), fmt, "").to_pylist()]


def test_a_job_says_what_its_rows_depend_on(models, photos, tmp_path):
    wanted = Wanted([str(photos)], str(tmp_path), images_per_file=10)
    job = plan_job(wanted, models)
    assert [len(part.paths) for part in job.parts] == [10, 10, 5]
    detecting = asking(models, detector="yolox_s")
    base = plan_job(wanted, detecting).facts()
    for what in ({"files": "ab"}, {"detector_files": "cd"}, {"sha256": "ef"}):
        assert plan_job(wanted, replace(detecting, **what)).facts() != base, what
    for what in (
        {"precision": "fp32"}, {"backend": "compile"}, {"threshold": 0.31},
        {"detector": "other"}, {"flip_test": True},
    ):  # fmt: skip
        assert plan_job(wanted, asking(detecting, **what)).facts() != base, what
    looked = replace(detecting, detector_files="cd")
    assert with_detector(job, looked).facts()["detector_files_sha256"] == "cd"


def test_another_file_beside_the_weights_is_refused_by_actors(models):
    with pytest.raises(ValueError, match=r"belongs to it, is another file on .*expected 0000"):
        replace(models, files="0" * 64).load()
    detecting = asking(models, detector=models.options.checkpoint)
    with pytest.raises(ValueError, match=r"belongs to it, is another file on .*expected 0000"):
        replace(detecting, detector_files="0" * 64).load()


@pytest.fixture
def one_poser(monkeypatch):
    """An actor without a Ray."""
    monkeypatch.setattr(_Share, "here", lambda _: 1)
    return lambda models, folder: _Poser(models, _Share(1, on_gpu=False), folder)


# Private: Ray makes these in processes of its own, where no test can look.
def test_workers_read_relative_paths_where_the_driver_is(
    photos, models, tmp_path, monkeypatch, one_poser
):
    """Those of a cluster that runs already began in another folder."""
    (part,) = parts_of({f"{photos.name}/000001.png": "image"})
    (task,) = tasks_of(part)
    batch = pyarrow.table({"task": [pickle.dumps(task)]})
    monkeypatch.chdir(tmp_path)
    (table,) = _read(batch, str(photos.parent))
    (read,) = images_of(table)
    assert (read.image.path, read.image.error) == (f"{photos.name}/000001.png", None)
    monkeypatch.chdir(tmp_path)
    there = Path(models.options.checkpoint)
    relative = asking(models, checkpoint=there.name)
    assert one_poser(relative, str(there.parent)).bulk.model == "small"


def test_a_sick_actor_says_why_and_then_ends(models, photos, monkeypatch, one_poser):
    (part,) = parts_of({str(photos / "000001.png"): "image"})
    (task,) = tasks_of(part)
    (table,) = image_tables(task)
    poser = one_poser(models, ".")
    monkeypatch.setattr(poser.bulk, "_poses", lambda _: 1 / 0)
    with pytest.raises(Sick, match="division by zero"):
        poser(table)

    def ended(code):
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", ended)
    with pytest.raises(SystemExit):
        poser(table)


def test_boxes_find_their_images_in_folders_and_archives(models, photos, tmp_path):
    write_archive(tmp_path / "a.tar", {"x/7.png": (photos / "000001.png").read_bytes()})
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"000002.png": [[1, 2, 3, 4]], "7.png": [[1, 2, 3, 4, 0.1]]}))
    named = [str(photos), str(tmp_path / "a.tar")]
    job = plan_job(Wanted(named, "out", boxes=BoxFile(boxes)), models)
    assert {Path(path).name: rows.tolist() for path, rows in job.boxes.items()} == {
        "000002.png": [[1, 2, 4, 6, 1]], "7.png": [[1, 2, 4, 6, 0.1]]
    }  # fmt: skip
    weak = plan_job(Wanted(named, "out", boxes=BoxFile(boxes, min_score=0.5)), models)
    assert [Path(path).name for path in weak.boxes] == ["000002.png"]
    assert job.facts() != weak.facts()
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(ValueError, match=r"--boxes is of images, and .*clip\.mp4 is a video"):
        plan_job(Wanted([str(tmp_path / "clip.mp4")], "out", boxes=BoxFile(boxes)), models)
    (tmp_path / "b.tar").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"b\.tar is no tar file that can be read"):
        plan_job(Wanted([str(tmp_path / "b.tar")], "out", boxes=BoxFile(boxes)), models)


def test_an_estimate_is_of_all_that_there_is(models, photos, tmp_path):
    image = (photos / "000001.png").read_bytes()
    for name, count in (("a.tar", 4), ("b.tar", 6)):
        write_archive(tmp_path / name, {f"{n}.png": image for n in range(count)})
    (tmp_path / "none.mp4").write_bytes(b"no video")
    job = plan_job(Wanted([str(photos), str(tmp_path)], "out"), models)
    found = estimate(job, models.load(), 12)
    assert found.images == IMAGES + 1 + 10 + 1
    assert 10 <= found.counts.images <= 14
    assert min(found.read_s, found.pose_s, found.row_bytes) > 0
    assert found.device_hours == pytest.approx(found.images * found.pose_s / 3600)
    with pytest.raises(ValueError, match=r"none of a sample of 1 can be read: image .*broken"):
        estimate(plan_job(Wanted([str(photos / "broken.jpg")], "out"), models), models.load(), 3)


def test_another_file_of_weights_on_a_machine_is_refused(models):
    with pytest.raises(ValueError, match=r"is another file on .*expected abcdef"):
        replace(models, sha256="abcdef" * 10).load()


def test_two_jobs_do_not_share_a_folder(tmp_path):
    with (
        opened_store(str(tmp_path / "out")),
        pytest.raises(FolderBusy),
        opened_store(str(tmp_path / "out")),
    ):
        pass


def test_actors_share_the_processors_of_their_own_machine():
    def node(name, alive=True, **resources):
        return {"NodeID": name, "Alive": alive, "Resources": resources}

    nodes = [node("a", CPU=64.0, GPU=8.0), node("b", CPU=8.0, GPU=1.0), node("c", False, CPU=2.0)]
    on_gpu = _Share(9, on_gpu=True)
    assert [on_gpu.threads(nodes, "a", 64), on_gpu.threads(nodes, "b", 8)] == [8, 8]
    assert _Share(1, on_gpu=True).threads(nodes, "a", 64) == 64
    assert _Share(2, on_gpu=False).threads(nodes, "a", 16) == 16
    assert _Share(3, on_gpu=False).threads(nodes, "a", 16) == 8
    assert _Share(9, on_gpu=False).threads(nodes[1:2], "b", 2) == 1


@pytest.fixture(scope="module")
def engine_of():
    """One cluster for all tests of it here."""
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(
        num_cpus=2, object_store_memory=2**28, include_dashboard=False, log_to_driver=False,
        logging_level="ERROR",
    )  # fmt: skip
    yield ray_engine
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rows_over_ray_are_those_of_predict(models, photos, tmp_path, engine_of):
    estimator: PoseEstimator = models.load().estimator
    predict_files(estimator, [photos], tmp_path / "predict", outputs=Outputs(draw_above=None))
    job = plan_job(Wanted([str(photos)], str(tmp_path / "out"), images_per_file=10), models)
    with (
        opened_store(str(tmp_path / "out")) as store,
        engine_of(models, Cluster()) as engine,
    ):
        done = run_job(job, store, engine)
    assert (done.counts.images, done.counts.errors) == (IMAGES + 1, 1)
    check_same(rows_in(tmp_path / "out"), tmp_path / "predict/results.json")


def kill_workers(stop: threading.Event, times: int, ours: str) -> list[int]:
    """End processes of this one's cluster by SIGKILL, those that hold the models."""
    killed: list[int] = []
    while len(killed) < times and not stop.wait(0.2):
        for process in psutil.Process().children(recursive=True):
            with_models = False
            try:
                with_models = ours in " ".join(process.cmdline())
            except psutil.Error:
                continue
            if with_models and process.pid not in killed:
                process.kill()
                killed.append(process.pid)
                break
    return killed


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_actors_cost_no_row(models, photos, tmp_path, engine_of):
    job = plan_job(Wanted([str(photos)], str(tmp_path / "out"), images_per_file=2), models)
    stop, killed = threading.Event(), []
    with (
        opened_store(str(tmp_path / "out")) as store,
        engine_of(models, Cluster()) as engine,
    ):

        def watched(tasks):
            """Kills the actor once it has given something."""
            for number, table in enumerate(engine(tasks)):
                if number == 1:
                    killed.extend(kill_workers(stop, 1, "_Poser"))
                yield table

        done = run_job(job, store, watched)
    stop.set()
    assert len(killed) == 1
    paths = [row["path"] for row in rows_in(tmp_path / "out")]
    assert len(paths) == len(set(paths)) == IMAGES + 1
    assert done.counts.errors == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("often", [True, False])
def test_killed_readers_cost_no_row_but_of_what_kills(models, photos, tmp_path, engine_of, often):
    """Readers that are ended by SIGKILL within a tar file and at an image: each time, or once."""
    image = (photos / "000001.png").read_bytes()
    names = [f"{number:03d}.png" for number in range(40)]
    archive = write_archive(tmp_path / "a.tar", dict.fromkeys(names, image))
    job = plan_job(Wanted([str(photos), str(archive)], str(tmp_path / "out")), models)
    in_archive = Deadly("020.png", None if often else tmp_path / "one")
    in_folder = Deadly("000007.png", None if often else tmp_path / "other")
    with (
        opened_store(str(tmp_path / "out")) as store,
        engine_of(models, Cluster()) as engine,
    ):

        def deadly(tasks):
            return engine(
                replace(task, boxes=in_archive if task.kind == "archive" else in_folder)
                for task in tasks
            )

        done = run_job(job, store, deadly)
    if not often:
        assert (tmp_path / "one").exists()
        assert (tmp_path / "other").exists()
    rows = rows_in(tmp_path / "out")
    assert done.counts.images == len(rows) == IMAGES + 1 + 40
    died = [row["error"] for row in rows if "died" in (row["error"] or "")]
    assert len(died) == (2 if often else 0)
    assert done.counts.errors == 1 + len(died)
    alive = {Path(row["path"]).name for row in rows if str(archive) in row["path"]}
    assert alive == {*names, "a.tar"} - {"020.png"} if often else alive == set(names)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sick_actor_begins_anew_and_costs_no_row(models, photos, tmp_path, engine_of):
    """As after an error of CUDA that stays: no image is blamed for it."""
    sick = asking(models, detector=SickOnce(tmp_path / "mark"))
    job = plan_job(Wanted([str(photos)], str(tmp_path / "out"), images_per_file=5), models)
    with (
        opened_store(str(tmp_path / "out")) as store,
        engine_of(sick, Cluster()) as engine,
    ):
        done = run_job(replace(job, images_per_task=5), store, engine)
    assert (tmp_path / "mark").exists()
    assert (done.counts.persons, done.counts.errors) == (IMAGES, 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_driver_goes_on_and_repeats_and_loses_no_row(models, photos, tmp_path):
    """`pose-hrnet bulk`, ended by SIGKILL when its first files are there, and run again."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    many = tmp_path / "photos"
    for number in range(12):
        shutil.copytree(photos, many / f"{number:02d}")
    output = tmp_path / "out"
    command = [
        sys.executable, "-m", "pose_hrnet", "bulk", str(many), f"--output={output}",
        f"--checkpoint={models.options.checkpoint}", "--whole-image", "--backend=eager",
        "--device=cpu", "--images-per-file=20", "--format=jsonl",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not list(output.glob("part-*")):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    early = {path.name: path.read_bytes() for path in output.glob("part-*")}
    assert 0 < len(early) < 15
    assert not (output / SUMMARY).exists()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # of the broken ones
    assert f"{len(early)} of 15 files are there of an earlier run" in done.stderr
    assert {name: (output / name).read_bytes() for name in early} == early
    paths = [row["path"] for row in rows_in(output, "jsonl")]
    wanted = sorted(str(path) for path in many.rglob("*.*"))
    assert sorted(paths) == wanted
    said = json.loads((output / SUMMARY).read_text())
    assert (said["images"], said["errors"], said["files"]) == (12 * (IMAGES + 1), 12, 15)
