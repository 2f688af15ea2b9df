"""What a user names as inputs of a bulk job."""

from __future__ import annotations

from pathlib import Path

import pytest

from pose_hrnet.deploy.bulk.inputs import find_inputs, kind_of
from pose_hrnet.deploy.bulk.parts import digest_of, parts_of, tasks_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.PNG", "sub/c.webp", "clip.mp4", "shard.tar", "x.tar.gz", "notes.md",
                 "sub/._c.webp", "out/old.jpg"):  # fmt: skip
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path("in")


def test_folders_patterns_and_files(folder, caplog):
    caplog.set_level("INFO", "pose_hrnet")
    found = find_inputs(["in", "in/b.jpg"], skip=folder / "out")
    assert found == {
        "in/a.PNG": "image", "in/b.jpg": "image", "in/clip.mp4": "video",
        "in/shard.tar": "archive", "in/sub/c.webp": "image", "in/x.tar.gz": "archive",
    }  # fmt: skip
    assert "passed over 2 files that are none by their suffix" in caplog.text
    assert list(find_inputs(["in/*.jpg"])) == ["in/b.jpg"]
    assert list(find_inputs(["in/**/*.webp", "in/s*"])) == ["in/sub/c.webp", "in/shard.tar"]


def test_lists_hold_a_path_or_address_a_line(folder):
    Path("list.txt").write_text(
        "\ufeffin/b.jpg\n\n# a note\n  in/odd name.dat \ns3://bucket/a.jpg\nin/none.jpg\n", "utf-8"
    )
    assert find_inputs(["list.txt"]) == {
        "in/b.jpg": "image", "in/odd name.dat": "image", "s3://bucket/a.jpg": "image",
        "in/none.jpg": "image",
    }  # fmt: skip
    Path("list.txt").write_bytes(b"a.jpg\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"list.txt: line 2 is no UTF-8; expected a list"):
        find_inputs(["list.txt"])
    Path("list.txt").write_text("")
    with pytest.raises(ValueError, match=r"there is no image, video or tar file in list\.txt"):
        find_inputs(["list.txt"])


def test_addresses(folder):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for name in ("b.jpg", "a.jpg", "c/d.mp4", "c/e.tar", "c/f.json"):
        memory.pipe_file(f"/inputs/{name}", b"1")
    assert find_inputs(["memory://inputs/"]) == {
        "memory://inputs/a.jpg": "image",
        "memory://inputs/b.jpg": "image",
        "memory://inputs/c/d.mp4": "video",
        "memory://inputs/c/e.tar": "archive",
    }
    assert len(find_inputs(["memory://inputs/*.jpg"])) == 2
    assert find_inputs(["http://host/a?b=1"]) == {"http://host/a?b=1": "image"}
    inside = folder.absolute() / "sub"
    assert list(find_inputs([f"file://{inside}"])) == [str(inside / "c.webp")]


@pytest.mark.parametrize(
    ("named", "error", "words"),
    [
        ("nowhere", FileNotFoundError, "nowhere does not exist; give images, videos"),
        ("in/*.gif", FileNotFoundError, r"no file is found by in/\*.gif"),
        ("in/notes.md/..", FileNotFoundError, "does not exist"),
        ("empty", ValueError, "there is no image, video or tar file in empty"),
        ("memory://nothing/here", FileNotFoundError, "memory://nothing/here does not exist"),
        ("memory://nothing/*.jpg", FileNotFoundError, "no file is found by memory://nothing"),
        ("nosuch://a", OSError, "nosuch://a cannot be listed"),
    ],
)
def test_what_is_not_there_is_one_sentence(folder, named, error, words):
    pytest.importorskip("fsspec")
    Path("empty").mkdir()
    with pytest.raises(error, match=words):
        find_inputs([named])


def test_kinds():
    assert [kind_of(name) for name in ("A.JPG", "a.Tar", "a.tgz", "a.mkv", ".a.jpg", "a")] == [
        "image", "archive", "archive", "video", None, None
    ]  # fmt: skip


def test_parts_tell_their_inputs():
    inputs = {f"{n}.jpg": "image" for n in range(5)} | {"a.mp4": "video", "b.tar": "archive"}
    parts = parts_of(inputs, 2)
    assert [(part.kind, part.paths) for part in parts] == [
        ("image", ("0.jpg", "1.jpg")), ("image", ("2.jpg", "3.jpg")), ("image", ("4.jpg",)),
        ("video", ("a.mp4",)), ("archive", ("b.tar",)),
    ]  # fmt: skip
    assert parts[3].file_name("jsonl").startswith("part-000003-")
    assert len({part.file_name("parquet") for part in parts}) == 5
    assert digest_of(parts) == digest_of(parts_of(inputs, 2)) != digest_of(parts_of(inputs, 3))
    tasks = list(tasks_of(parts[0], images_per_task=1, every=3))
    assert [(task.items, task.every) for task in tasks] == [
        (((0, "0.jpg"),), 3), (((1, "1.jpg"),), 3)
    ]  # fmt: skip
    (one,) = tasks_of(parts[1], items=[1])
    assert one.items == ((1, "3.jpg"),)
