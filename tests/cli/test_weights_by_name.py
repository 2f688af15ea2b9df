"""``pose-hrnet weights list | download | path``, and names and addresses as checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_hrnet.config.networks import HRNetConfig
from pose_hrnet.models.weights.load import save_model
from pose_hrnet.models.weights.zoo import Entry, zoo
from pose_hrnet.system.download import is_offline
from pose_hrnet.system.transfer import Source
from tests.helpers.command_line import run_here
from tests.helpers.networks import card_of, tiny
from tests.helpers.web import Web, serve


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server that has the weights of a name that is put on the list: ``tiny``."""
    monkeypatch.setenv("POSE_HRNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("POSE_HRNET_OFFLINE", raising=False)
    save_model(tmp_path / "tiny", tiny().state_dict(), card_of(tiny()))
    data = (tmp_path / "tiny").read_bytes()
    (tmp_path / "tiny").unlink()
    with serve() as server:
        source = Source(server.put("tiny.pth", data), hashlib.sha256(data).hexdigest())
        monkeypatch.setitem(zoo(), "tiny", Entry("tiny", "pose", (source,), "tiny.pth"))
        yield server


def test_list_says_what_there_is() -> None:
    said, _ = run_here("weights", "list")
    lines = {line.split()[0]: line.split() for line in said.splitlines()}
    assert set(zoo()) == set(lines) - {"name"}
    found = " ".join(lines["coco_w48_384x288_udp"])
    assert found == "coco_w48_384x288_udp pose HRNet-W48 384x288 udp 0.773 AP COCO"
    assert lines["default"][-1] == "yes"
    # Not what the others of the column are: AP on all of val2017, with boxes of a detector.
    assert "0.534 AP of 200 images" in " ".join(lines["default"])


def test_list_says_all_of_one_and_a_part_of_the_names() -> None:
    said, _ = run_here("weights", "list", "official_coco_w32_256x192")
    for part in ("MIT (the official HRNet)", "19bc083708bb8d87", "drive.google.com", "val2017"):
        assert part in said
    said, _ = run_here("weights", "list", "UDP")
    assert all("_udp" in line for line in said.splitlines()[1:])
    _, told = run_here("weights", "list", "w33", code=2)
    assert "no published weights of the name 'w33'" in told


def test_download_says_where_it_is_and_path_finds_it(web: Web) -> None:
    _, told = run_here("weights", "path", "tiny", code=2)
    assert "pose-hrnet weights download tiny fetches it" in told
    assert web.asked == []
    said, _ = run_here("weights", "download", "tiny", "default")
    assert run_here("weights", "path", "tiny")[0] == said.splitlines()[0] + "\n"
    assert Path(said.splitlines()[0]).is_file()
    run_here("weights", "download", "tiny")
    assert len(web.asked) == 1


def test_every_name_is_looked_up_before_anything_is_downloaded(web: Web) -> None:
    _, told = run_here("weights", "download", "tiny", "coco_w32_256x19", code=2)
    assert "the nearest names are coco_w32_256x192" in told
    assert web.asked == []


def test_predict_by_name_and_offline(web: Web, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 48, 3), 90, np.uint8))
    command = (
        "predict",
        tmp_path / "a.png",
        "--whole-image",
        "--no-overlays",
        "--backend",
        "eager",
        "-c",
    )
    # Where no name on the list nor a file is meant.
    _, told = run_here(*command, "tiny", "--offline", "--output", tmp_path / "no", code=2)
    assert "tiny is not on this machine, and nothing is downloaded" in told
    assert not (tmp_path / "no").exists()
    assert not is_offline()
    run_here(*command, "tiny", "--output", tmp_path / "name")
    run_here(*command, "tiny", "--offline", "--output", tmp_path / "again")
    run_here(*command, f"{web.url}/tiny.pth", "--output", tmp_path / "address")
    results = {(tmp_path / d / "results.json").read_bytes() for d in ("name", "again", "address")}
    assert len(results) == 1
    assert len(web.asked) == 1  # the address is that of the name


def test_inspect_says_where_it_came_from(web: Web) -> None:
    said, _ = run_here("weights", "inspect", "tiny")
    assert f"source url:    {web.url}/tiny.pth" in said
    assert zoo()["tiny"].sources[0].sha256 in said


def test_export_is_named_after_the_name(web: Web, tmp_path: Path) -> None:
    run_here("export", "-c", "tiny", "--format", "torch", "--no-check", "-o", tmp_path)
    assert (tmp_path / "tiny.pt2").is_file()


@pytest.mark.parametrize("command", ["predict", "inspect"])
def test_a_wrong_name_is_one_sentence(tmp_path: Path, command: str) -> None:
    arguments = {
        "predict": ("predict", tmp_path, "-o", tmp_path / "o", "-c", "coco_w32_256x191"),
        "inspect": ("weights", "inspect", "coco_w32_256x191"),
    }[command]
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 48, 3), 90, np.uint8))
    _, told = run_here(*arguments, code=2)
    assert "nor are there published weights of that name; the nearest names are coco_w3" in told
    assert not (tmp_path / "o").exists()


def test_an_address_in_a_recipe_keeps_its_slashes() -> None:
    address = "https://host/a.pth#sha256=" + "0" * 64
    assert HRNetConfig(pretrained=address).pretrained == address
    assert HRNetConfig(pretrained=Path("weights") / "w.pth").pretrained == str(
        Path("weights") / "w.pth"
    )
