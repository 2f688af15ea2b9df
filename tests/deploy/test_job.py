"""Jobs: parts of inputs become files of rows, each once, whatever died on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_hrnet import PoseEstimator, load_model
from pose_hrnet.data.images import read_rgb
from pose_hrnet.deploy.bulk.columns import BulkEstimator
from pose_hrnet.deploy.bulk.engines import here
from pose_hrnet.deploy.bulk.inputs import find_inputs
from pose_hrnet.deploy.bulk.job import EARLIER, JOB, SUMMARY, Job, run_job
from pose_hrnet.deploy.bulk.parts import parts_of, tasks_of
from pose_hrnet.deploy.bulk.read import read_task
from pose_hrnet.deploy.bulk.store import Folder, ObjectStore, check_store, decoded
from pose_hrnet.deploy.bulk.tables import image_tables, images_of
from pose_hrnet.inference.files import predict_files
from pose_hrnet.inference.formats.writer import Outputs
from tests.helpers.builders import make_people, write_images
from tests.helpers.bulk import check_same, save_small, write_archive

pytest.importorskip("pyarrow", reason="the extra parquet, or ray, is not installed")


@pytest.fixture(scope="module")
def bulk(tmp_path_factory):
    path = save_small(tmp_path_factory.mktemp("model") / "small.safetensors")
    estimator = PoseEstimator(load_model(path, backend="eager", device="cpu"), batch_size=4)
    return BulkEstimator(estimator, model="small", sha256="ab")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Ten images."""
    return write_images(make_people(20), tmp_path_factory.mktemp("photos"))


@pytest.fixture
def store(tmp_path):
    (tmp_path / "out").mkdir()
    return Folder(tmp_path / "out")


def job_of(*inputs, fmt="parquet", size=4, **more):
    parts = parts_of(find_inputs([str(each) for each in inputs]), size)
    return Job(parts, fmt, "small", "ab", **more)


def rows_in(store, fmt="parquet"):
    names = sorted(name for name in store.sizes() if name.startswith("part-"))
    return [row for name in names for row in decoded(store.read(name), fmt, name).to_pylist()]


def summary_of(store):
    return json.loads(store.read(SUMMARY))


@pytest.mark.parametrize("fmt", ["parquet", "jsonl"])
def test_files_hold_what_predict_writes(bulk, photos, store, tmp_path, fmt):
    done = run_job(job_of(photos, fmt=fmt), store, here(bulk))
    assert (done.files, done.counts.images, done.counts.persons) == (3, 10, 10)
    rows = rows_in(store, fmt)
    assert [Path(row["path"]).name for row in rows] == [f"{n:06d}.png" for n in range(1, 11)]
    predict_files(bulk.estimator, [photos], tmp_path / "predict", outputs=Outputs(draw_above=None))
    check_same(rows, tmp_path / "predict/results.json")
    said = summary_of(store)
    assert (said["rows"], said["errors"], said["empty"], said["failures"]) == (10, 0, 0, [])
    assert said["job"]["model_sha256"] == "ab"


def test_jsonl_has_no_more_digits_than_single_precision(bulk, photos, store):
    run_job(job_of(photos / "000001.png", fmt="jsonl"), store, here(bulk))
    (name,) = (name for name in store.sizes() if name.startswith("part-"))
    row = json.loads(store.read(name).decode())
    assert len(json.dumps(row["keypoint_scores"])) < 17 * 14
    assert np.float32(row["score"]) == np.float32(row["keypoint_scores"]).mean(dtype=np.float32)


class Dies(Exception):
    """As a kill ends a driver."""


def killed_after(engine, tables):
    def run(tasks):
        for number, table in enumerate(engine(tasks)):
            if number == tables:
                raise Dies
            yield table

    return run


@pytest.mark.parametrize("tables", [0, 1, 2])
def test_a_killed_job_goes_on_and_neither_loses_nor_repeats_a_row(bulk, photos, store, tables):
    job = job_of(photos)
    with pytest.raises(Dies):
        run_job(job, store, killed_after(here(bulk), tables))
    there = {name for name in store.sizes() if name.startswith("part-")}
    assert len(there) == tables
    assert SUMMARY not in store.sizes()
    done = run_job(job, store, here(bulk))
    assert (done.earlier, done.counts.images) == (tables, 10)
    names = [row["path"] for row in rows_in(store)]
    assert len(names) == len(set(names)) == 10
    again = run_job(job, store, killed_after(here(bulk), 0))  # nothing is left to do
    assert (again.earlier, again.images, again.counts) == (3, 0, done.counts)


def test_tables_that_come_twice_and_in_any_order_are_rows_once(bulk, photos, store):
    def disorderly(tasks):
        tables = list(here(bulk)(tasks))
        yield from reversed([*tables, tables[0], tables[-1]])

    run_job(job_of(photos), store, disorderly)
    names = [Path(row["path"]).name for row in rows_in(store)]
    assert names == [f"{n:06d}.png" for n in range(1, 11)]


def test_what_a_dead_process_had_is_tried_one_by_one(bulk, photos, store, caplog):
    """One image kills its reader each time; the others of its task live."""

    def deadly(tasks):
        alive = (task for task in tasks if not any("000006" in path for _, path in task.items))
        return here(bulk)(alive)

    done = run_job(job_of(photos), store, deadly)
    assert (done.counts.images, done.counts.persons, done.counts.errors) == (10, 9, 1)
    assert "processes died over 4 images, which are tried one by one" in caplog.text
    (lost,) = (row for row in rows_in(store) if row["error"])
    assert lost["path"].endswith("000006.png")
    assert lost["error"].endswith("read or posed it died, and so when it was alone")
    assert summary_of(store)["failures"] == [lost["error"]]


def test_tables_hold_few_large_images(photos):
    """240 x 320 pixels are 230 kB: four in a MiB; one that is larger is alone."""
    (part,) = parts_of(find_inputs([str(photos)]))
    tasks = list(tasks_of(part, images_per_task=10))
    assert [len(table) for task in tasks for table in image_tables(task)] == [10]
    small = replace(tasks[0], table_bytes=2**20)
    assert [len(table) for table in image_tables(small)] == [4, 4, 2]
    alone = replace(tasks[0], table_bytes=1)
    assert [len(table) for table in image_tables(alone)] == [1] * 10
    (first, *_) = images_of(next(iter(image_tables(small))))
    assert (first.image.image == read_rgb(photos / "000001.png")).all()


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz")])
def test_archives_are_read_image_by_image(bulk, photos, store, tmp_path, suffix, mode):
    files = {
        "a/000001.png": (photos / "000001.png").read_bytes(),
        "a/000001.json": b"{}",
        "a/._000001.png": b"of macOS",
        "000002.png": b"broken",
        "000003.png": (photos / "000003.png").read_bytes(),
    }
    archive = write_archive(tmp_path / f"shard{suffix}", files, mode)
    done = run_job(job_of(archive, photos / "000004.png"), store, here(bulk))
    assert (done.files, done.counts.images, done.counts.errors) == (2, 4, 1)
    rows = {row["path"]: row for row in rows_in(store)}
    assert list(rows) == [
        str(photos / "000004.png"),
        *(f"{archive}/{name}" for name in ("a/000001.png", "000002.png", "000003.png")),
    ]
    assert "not an image" in rows[f"{archive}/000002.png"]["error"]


def test_archives_that_are_none_are_rows_with_their_error(bulk, photos, store, tmp_path):
    whole = write_archive(tmp_path / "b.tar", {
        "1.png": (photos / "000001.png").read_bytes(), "2.png": bytes(100_000),
    }).read_bytes()  # fmt: skip
    (tmp_path / "b.tar").write_bytes(whole[:-80_000])
    (tmp_path / "a.tar").write_bytes(b"no tar file")
    write_archive(tmp_path / "c.tar", {"readme.txt": b"nothing"})
    done = run_job(job_of(tmp_path), store, here(bulk))
    rows = rows_in(store)
    assert (done.counts.persons, done.counts.errors, len(rows)) == (1, 3, 4)
    said = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert "cannot be read further" in said["a.tar"]
    assert "cannot be read further" in said["b.tar"]
    assert said["c.tar"].endswith("holds no image")


def write_video(path, frames=6):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
    writer.release()
    return path


def test_videos_are_rows_of_their_frames(bulk, store, tmp_path):
    video = write_video(tmp_path / "clip.avi")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "none.mp4").write_bytes(b"no video" * 100)
    done = run_job(job_of(tmp_path, every=2), store, here(bulk))
    rows = rows_in(store)
    frames = [row for row in rows if row["error"] is None]
    assert [(row["path"], row["frame_index"]) for row in frames] == [
        (str(video), 0), (str(video), 2), (str(video), 4)
    ]  # fmt: skip
    assert [round(row["time_s"], 3) for row in frames] == [0, 0.2, 0.4]
    assert (done.files, done.counts.errors) == (3, 2)


def test_boxes_are_of_their_images(bulk, photos, store):
    path = str(photos / "000002.png")
    boxes = {path: np.array([[10.0, 20, 60, 100, 0.5], [0, 0, 320, 240, 1]])}
    done = run_job(job_of(photos, boxes=boxes), store, here(bulk))
    assert (done.counts.persons, done.counts.empty, done.counts.rows) == (2, 9, 11)
    first, second = (row for row in rows_in(store) if row["person"] is not None)
    assert first["box_xyxy"] == [10, 20, 60, 100]
    assert (first["path"], second["path"]) == (path, path)


def test_another_job_is_refused(bulk, photos, store, tmp_path):
    job = job_of(photos)
    run_job(job, store, here(bulk))
    before = {name: store.read(name) for name in store.sizes()}
    for other, words in (
        (job_of(photos, size=5), "other inputs"),
        (job_of(photos / "000001.png"), "other inputs"),
        (job_of(photos, fmt="jsonl"), "another format .'parquet', and now 'jsonl'"),
        (job_of(photos, every=2), "another every .1, and now 2"),
        (job_of(photos, settings={"detector": "yolox_s"}), "another detector .None, and now 'yol"),
    ):
        with pytest.raises(ValueError, match=words):
            run_job(other, store, here(bulk))
    assert {name: store.read(name) for name in store.sizes()} == before
    store.write(JOB, b"[")
    with pytest.raises(ValueError, match=r"_JOB\.json in the output is damaged"):
        run_job(job, store, here(bulk))
    (store.path / JOB).unlink()
    with pytest.raises(ValueError, match=r"but no _JOB\.json"):
        run_job(job, store, here(bulk))


@pytest.mark.parametrize("fmt", ["parquet", "jsonl"])
def test_a_damaged_file_of_rows_is_said(bulk, photos, store, fmt):
    job = job_of(photos, fmt=fmt)
    run_job(job, store, here(bulk))
    name = job.parts[1].file_name(fmt)
    store.write(name, store.read(name)[:100])
    with pytest.raises(ValueError, match=f"{name} in the output is damaged .* remove it"):
        run_job(job, store, here(bulk))


def test_object_stores_give_and_take(bulk, photos, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for image in photos.iterdir():
        memory.pipe_file(f"/bucket/photos/{image.name}", image.read_bytes())
    memory.pipe_file("/bucket/photos/notes.txt", b"of the photos")
    memory.pipe_file("/bucket/photos/more/broken.jpg", b"")
    store = ObjectStore("memory://bucket/out/")
    job = job_of("memory://bucket/photos")
    with pytest.raises(Dies):
        run_job(job, store, killed_after(here(bulk), 1))
    done = run_job(job, store, here(bulk))
    assert (done.earlier, done.counts.images, done.counts.errors) == (1, 11, 1)
    rows = rows_in(store)
    assert {row["path"].startswith("memory://") for row in rows} == {True}
    (broken,) = (row for row in rows if row["error"])
    assert broken["error"] == "image memory://bucket/photos/more/broken.jpg is empty (zero bytes)"
    check_store("memory://bucket/out")
    assert not any("tmp" in name for name in store.sizes())


def test_of_two_drivers_of_other_jobs_the_second_is_refused(bulk, photos):
    """They began at once: neither saw the file of the other."""
    pytest.importorskip("fsspec")
    store = ObjectStore("memory://bucket/raced")
    run_job(job_of(photos / "000001.png"), store, here(bulk))
    said = store.read(JOB)

    class Late(ObjectStore):
        def sizes(self):
            return {}

    with pytest.raises(ValueError, match="other inputs"):
        run_job(job_of(photos / "000002.png"), Late(store.url), here(bulk))
    assert store.read(JOB) == said


def test_a_job_of_the_first_version_goes_on(bulk, photos, store):
    settings = {"images_per_file": 4, "flip_test": None}
    job = job_of(photos, settings=settings)
    with pytest.raises(Dies):
        run_job(job, store, killed_after(here(bulk), 1))
    store.write(JOB, json.dumps({**job.facts(), "content": EARLIER}).encode())
    now = job_of(photos, settings={**settings, "backend": "auto"})
    assert run_job(now, store, here(bulk)).earlier == 1
    other = job_of(photos, settings={**settings, "flip_test": True})
    with pytest.raises(ValueError, match="another flip_test"):
        run_job(other, store, here(bulk))


def test_an_error_of_reading_is_said_and_is_no_death(bulk, photos, store, tmp_path, monkeypatch):
    """Of whatever is not foreseen: the images that it had keep their rows."""
    archive = write_archive(
        tmp_path / "a.tar", {f"{n}.png": (photos / "000001.png").read_bytes() for n in range(3)}
    )

    def stumbles(task):
        yield next(read_task(task))
        raise RuntimeError("no more threads")

    monkeypatch.setattr("pose_hrnet.deploy.bulk.tables.read_task", stumbles)
    done = run_job(
        job_of(archive, photos / "000001.png", photos / "000002.png"), store, here(bulk)
    )
    assert (done.counts.persons, done.counts.errors) == (2, 2)
    assert [row["error"] for row in rows_in(store) if row["error"]] == [
        f"{name} could not be read further (no more threads)"
        for name in (photos / "000002.png", archive)
    ]


def test_an_error_of_posing_is_said_and_is_no_death(bulk, photos, store, monkeypatch):
    monkeypatch.setattr(BulkEstimator, "rows_of", lambda *_: {}["nothing"])
    done = run_job(job_of(photos), store, here(bulk))
    assert done.counts.errors == 10
    assert {row["error"].partition(" could")[2] for row in rows_in(store)} == {
        " not be posed ('nothing')"
    }


SIGNED = "https://host.example/a.jpg?X-Signature=secret"


def test_signatures_of_addresses_are_in_no_sentence(bulk, store, monkeypatch):
    def fails(url):
        raise RuntimeError(f"no way to {url}")

    monkeypatch.setattr("pose_hrnet.deploy.bulk.images.read_web_image", fails)
    run_job(job_of(SIGNED), store, here(bulk))
    (row,) = rows_in(store)
    assert row["path"] == SIGNED
    assert "https://host.example/a.jpg cannot be read (no way to https" in row["error"]
    assert "secret" not in row["error"]
    assert b"secret" not in store.read(SUMMARY)


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_nor_of_images_that_are_none(bulk, store, monkeypatch, content):
    monkeypatch.setattr("pose_hrnet.deploy.bulk.images.read_web_image", lambda _: content)
    run_job(job_of(SIGNED), store, here(bulk))
    (row,) = rows_in(store)
    assert "https://host.example/a.jpg" in row["error"]
    assert "secret" not in row["error"]


def test_nor_of_images_over_which_processes_die(bulk, store):
    run_job(job_of(SIGNED), store, lambda tasks: iter(()))
    (row,) = rows_in(store)
    assert row["error"].startswith("https://host.example/a.jpg: the process")


def test_what_earlier_runs_did_is_counted_without_reading_it(bulk, photos, store, monkeypatch):
    job = job_of(photos)
    done = run_job(job, store, here(bulk))
    monkeypatch.setattr("pose_hrnet.deploy.bulk.job.decoded", lambda *_: 1 / 0)
    again = run_job(job, store, here(bulk))
    assert (again.earlier, again.counts) == (3, done.counts)
    monkeypatch.undo()
    for part, said in zip(job.parts, (b"{", b"[]", None), strict=True):
        if said is None:
            (store.path / part.counts_name).unlink()
        else:
            store.write(part.counts_name, said)
    assert run_job(job, store, here(bulk)).counts == done.counts


@pytest.mark.parametrize("fmt", ["parquet", "jsonl"])
def test_files_with_errors_are_done_again_if_asked_for(bulk, photos, store, fmt):
    job = job_of(photos, fmt=fmt)

    def deadly(tasks):
        return here(bulk)(t for t in tasks if not any("000006" in path for _, path in t.items))

    assert run_job(job, store, deadly).counts.errors == 1
    assert run_job(job, store, here(bulk)).counts.errors == 1
    done = run_job(job, store, here(bulk), again_errors=True)
    assert (done.earlier, done.images, done.counts.images, done.counts.errors) == (2, 4, 10, 0)
    rows = rows_in(store, fmt)
    assert len({row["path"] for row in rows}) == len(rows) == 10
    assert not any(row["error"] for row in rows)
    assert run_job(job, store, killed_after(here(bulk), 0), again_errors=True).counts.errors == 0
