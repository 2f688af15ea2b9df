"""What kills processes costs its own row alone: in archives and videos, wherever it stands."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest

from pose_hrnet.deploy.bulk.again import Pieces, tasks_again
from pose_hrnet.deploy.bulk.columns import BulkEstimator
from pose_hrnet.deploy.bulk.engines import here
from pose_hrnet.deploy.bulk.inputs import find_inputs
from pose_hrnet.deploy.bulk.job import SUMMARY, Job, most_lost, run_job
from pose_hrnet.deploy.bulk.parts import Part, parts_of
from pose_hrnet.deploy.bulk.read import read_task
from pose_hrnet.deploy.bulk.rows import Gap
from pose_hrnet.deploy.bulk.store import Folder, decoded
from pose_hrnet.deploy.bulk.tables import images_of
from tests.helpers.builders import make_people, write_images
from tests.helpers.bulk import write_archive
from tests.helpers.videos import write_video

pytest.importorskip("pyarrow", reason="the extra parquet, or ray, is not installed")


class Blank:
    """Poses nobody in anything."""

    def predict_stream(self, boxes):
        return iter(())

    detector = None


@pytest.fixture
def bulk():
    return BulkEstimator(Blank(), model="none", sha256="ab")


@pytest.fixture
def store(tmp_path):
    (tmp_path / "out").mkdir()
    return Folder(tmp_path / "out")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    folder = write_images(make_people(2), tmp_path_factory.mktemp("photos"))
    return next(folder.iterdir()).read_bytes()


def job_of(*inputs, **more):
    return Job(
        parts_of(find_inputs([str(each) for each in inputs])), "parquet", "none", "ab", **more
    )


def rows_in(store):
    names = sorted(name for name in store.sizes() if name.startswith("part-"))
    return [row for name in names for row in decoded(store.read(name), "parquet", "").to_pylist()]


def dying(monkeypatch, bulk, *, actor=(), reader=(), counting=True):
    """An engine whose actors die over the tables with some images, and its readers over others.

    A reader that dies gives what it had read before, but for what was not yet in a table.
    """
    from pose_hrnet.deploy.bulk import tables

    def run(tasks):
        run.rounds += 1
        for task in tasks:
            if not counting and task.start > 10**9:
                continue
            died = []

            def read(task, died=died):
                for each in read_task(task):
                    if each.image.image is not None and each.number in reader:
                        died.append(each)
                        return
                    yield each

            monkeypatch.setattr(tables, "read_task", read)
            made = list(tables.image_tables(task))
            if died:
                made = made[:-1]
            for table in made:
                if not any(each.number in actor for each in images_of(table)):
                    yield tables.row_table(table, bulk)

    run.rounds = 0
    return run


@pytest.mark.parametrize(
    "deadly",
    [
        {"actor": [50]}, {"reader": [50]}, {"reader": [0]}, {"actor": [199], "reader": [198]},
        {"reader": [3, 4, 90]}, {"actor": range(60, 75)}, {"reader": [199]},
    ],
)  # fmt: skip
def test_one_deadly_image_of_an_archive_costs_its_own_row(
    bulk, store, tmp_path, image, monkeypatch, deadly
):
    names = [f"{number:03d}.png" for number in range(200)]
    archive = write_archive(tmp_path / "a.tar", dict.fromkeys(names, image))
    engine = dying(monkeypatch, bulk, **deadly)
    done = run_job(job_of(archive), store, engine)
    dead = sorted({number for some in deadly.values() for number in some})
    assert (done.counts.images, done.counts.errors) == (200, len(dead))
    rows = rows_in(store)
    alive = [row["path"] for row in rows if row["error"] is None]
    assert alive == [f"{archive}/{n}" for i, n in enumerate(names) if i not in dead]
    said = [row["error"] for row in rows if row["error"]]
    assert said == [
        f"{archive}, image {number} in it from 0: the process that read or posed it died, and so "
        "when it was alone" for number in dead
    ]  # fmt: skip
    assert engine.rounds <= 12


def test_a_video_whose_frame_kills_is_there_but_for_it(bulk, store, tmp_path, monkeypatch):
    video = write_video(tmp_path / "a.avi", [n / 10 for n in range(12)])
    run_job(job_of(video, every=2), store, dying(monkeypatch, bulk, actor=[3]))
    rows = rows_in(store)
    assert [row["frame_index"] for row in rows] == [0, 2, 4, None, 8, 10]
    assert "image 3 in it from 0: the process" in rows[3]["error"]


def test_an_input_that_cannot_even_be_counted_says_that_its_rest_is_missing(
    bulk, store, tmp_path, image, monkeypatch
):
    archive = write_archive(tmp_path / "a.tar", {f"{n}.png": image for n in range(9)})
    run_job(job_of(archive), store, dying(monkeypatch, bulk, reader=[0], counting=False))
    (row,) = rows_in(store)
    assert row["error"].endswith("the process that read it died; what is behind it is not there")


def test_a_job_that_loses_much_stops_and_goes_on_later(bulk, store, tmp_path, image, monkeypatch):
    """As where a device is broken: no row says that it is the image."""
    for name in ("a", "b"):
        write_archive(tmp_path / f"{name}.tar", {f"{n:02d}.png": image for n in range(30)})
    (tmp_path / "c.png").write_bytes(image)
    job = job_of(tmp_path / "a.tar", tmp_path / "b.tar", tmp_path / "c.png")
    sick = dying(monkeypatch, bulk, actor=range(5, 16))
    with pytest.raises(ValueError, match=r"died over 22 of 61 images, .* are not written: look"):
        run_job(job, store, sick)
    parts = [name for name in store.sizes() if name.startswith("part-")]
    assert len(parts) == 1
    assert SUMMARY not in store.sizes()
    done = run_job(job, store, here(bulk))
    assert (done.earlier, done.counts.images, done.counts.errors) == (1, 61, 0)
    assert (most_lost(61), most_lost(10_000)) == (20, 100)


def test_a_bound_on_what_is_lost_can_be_given(bulk, store, tmp_path, image, monkeypatch):
    archive = write_archive(tmp_path / "a.tar", {f"{n:02d}.png": image for n in range(30)})
    sick = dying(monkeypatch, bulk, actor=range(22))
    with pytest.raises(ValueError, match=r"22 of 30 images"):
        run_job(job_of(archive), store, sick)
    done = run_job(job_of(archive, max_lost=22), store, sick)
    assert done.counts.errors == 22


class Watched:
    """A `Progress` that notes what it is told."""

    def __init__(self):
        self.total, self.done = None, 0

    @contextmanager
    def task(self, name, total, unit):
        self.total = total
        yield self

    def advance(self, amount=1, note=""):
        self.done += amount


@pytest.mark.parametrize("is_counted", [True, False])
def test_progress_counts_each_image_once(bulk, store, tmp_path, image, is_counted):
    """Also where a table comes twice; of archives it is not known how many there are."""
    inputs = [tmp_path / f"{number}.png" for number in range(5)]
    for path in inputs:
        path.write_bytes(image)
    if not is_counted:
        inputs.append(write_archive(tmp_path / "a.tar", {"x.png": image, "y.png": image}))

    def twice(tasks):
        for table in here(bulk)(tasks):
            yield from (table, table)

    watched = Watched()
    run_job(job_of(*inputs), store, twice, progress=watched)
    assert (watched.total, watched.done) == ((5, 5) if is_counted else (None, 7))


def test_pieces_get_smaller_until_each_image_was_alone():
    pieces = Pieces()
    gaps = {0: [Gap(0, 3, 11), Gap(1, 2, None)]}
    assert pieces.round(gaps) == gaps
    known = {0: [Gap(0, 3, 11), Gap(1, 2, None)]}
    assert pieces.round(known) == {0: [Gap(0, 3, 4), Gap(0, 4, 7), Gap(0, 7, 11)]}
    assert pieces.round({0: [Gap(0, 3, 5)]}) == {0: [Gap(0, 4, 5)]}
    assert pieces.round({0: [Gap(0, 3, 5)]}) == {}


def test_a_task_of_a_range_reads_it_alone(tmp_path, image):
    archive = str(write_archive(tmp_path / "a.tar", {f"{n}.png": image for n in range(6)}))
    part = Part(0, "archive", (archive,))

    def read(*gaps):
        return [
            (each.number, each.total, Path(each.image.path).name)
            for task in tasks_again(part, gaps)
            for each in read_task(task)
        ]

    assert read(Gap(0, 2, 4)) == [(2, 0, "2.png"), (3, 0, "3.png")]
    assert read(Gap(0, 4, None)) == [(4, 0, "4.png"), (5, 6, "5.png"), (-1, 6, "a.tar")]
