"""`pose-hrnet bulk`: bad input is one sentence, before a cluster begins; what a dry run says."""

from __future__ import annotations

import pytest

from tests.helpers.builders import make_people, write_images
from tests.helpers.bulk import save_small
from tests.helpers.command_line import run_here

pytest.importorskip("pyarrow", reason="the extra ray is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bulk")
    write_images(make_people(8), folder / "photos")
    save_small(folder / "small.safetensors")
    (folder / "boxes.json").write_text('[{"file_name": "x.png", "bbox": [1, 2, 3, 4]}]')
    (folder / "list.lst").write_bytes(b"\xff\n")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def bulk(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def run(*arguments, code=2):
        common = ["--checkpoint=small.safetensors", "--output=out", "--backend=eager"]
        said = run_here("bulk", *common, *arguments, code=code)
        assert not (folder / "out").exists()
        return said

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere does not exist; give images, videos, tar files, folders"),
        (["empty"], "there is no image, video or tar file in empty"),
        (["list.lst"], "list.lst: line 1 is no UTF-8"),
        (["photos", "--boxes=boxes.json"], "no image has boxes in boxes.json"),
        (["photos", "--boxes=none.json"], "none.json"),
        (["photos", "--boxes=boxes.json", "--whole-image"], "each say where the persons are"),
        (["photos", "--boxes=boxes.json", "--detector=a"], "each say where the persons are"),
        (["photos", "--whole-image", "--detector-threshold=0.5"], "does nothing with --whole"),
        (["photos", "--whole-image", "--min-box-score=0.5"], "does nothing without --boxes"),
        (["photos", "--whole-image", "--price=2"], "--price does nothing without --dry-run"),
        (["photos", "--whole-image", "--every=0"], "every"),
        (["photos", "--whole-image", "--device=tpu"], "tpu"),
        (["photos", "--detector=nosuch"], "nosuch is no file, and no detector of that name"),
        (["nosuch://a/b.jpg", "--whole-image"], "nosuch://a/b.jpg cannot be listed"),
        (["photos", "--whole-image", "--output=http://host/a"], "http://host/a cannot be written"),
        (["photos", "--whole-image", "--output=nosuch://b"], "nosuch://b cannot be written"),
        (["photos", "--whole-image", "--output=boxes.json"], "is a file, not a folder"),
        (["photos", "--whole-image", "--checkpoint=none.pth"], "none.pth"),
    ],
)
def test_bad_input_is_one_sentence(bulk, arguments, words):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    _, errors = bulk(*arguments)
    assert words in errors


def test_a_dry_run_writes_nothing_and_says_what_all_costs(bulk):
    said, _ = bulk("photos", "--whole-image", "--dry-run=2", "--price=2", code=0)
    assert "4, of which 2 were posed here" in said
    assert "at 2 for a device and an hour" in said
    assert "on 1 device like this" in said


def test_a_dry_run_does_not_touch_the_store(bulk):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    bulk("photos", "--whole-image", "--dry-run=1", "--output=memory://dry/run", code=0)
    assert not memory.exists("/dry")
    pytest.importorskip("ray", reason="the extra ray is not installed")
    bulk("nowhere", "--whole-image", "--output=memory://dry/run")  # said before any probe
    assert not memory.exists("/dry")
