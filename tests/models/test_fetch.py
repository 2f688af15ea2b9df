"""What a user names for a checkpoint: fetched from a server on the loopback, checked and kept."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from pose_hrnet import PoseEstimator, load_model
from pose_hrnet.models.weights import fetch as module
from pose_hrnet.models.weights.fetch import checkpoint_path, fetch
from pose_hrnet.models.weights.files import read_checkpoint
from pose_hrnet.models.weights.inspect import inspect_weights
from pose_hrnet.models.weights.load import initialise, load_network, save_model
from pose_hrnet.models.weights.zoo import Entry, find_entry, kept_at, kept_file
from pose_hrnet.system import transfer as web_module
from pose_hrnet.system.transfer import Source
from tests.helpers.mmpose_files import CONFIG_1X, META_1X, UDP_1X, changed, data_set, in_mmpose
from tests.helpers.networks import card_of, imagenet_layout, same, tiny
from tests.helpers.web import Web, serve


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server, and an empty cache."""
    monkeypatch.setattr(web_module, "TIMEOUT", 0.3)
    monkeypatch.setenv("POSE_HRNET_CACHE", str(tmp_path / "cache"))
    for name in ("POSE_HRNET_OFFLINE", "POSE_HRNET_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    with serve() as server:
        yield server


def torch_file(contents: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    return buffer.getvalue()


def mmpose_file(model: Any, meta: dict[str, Any] = META_1X) -> bytes:
    return torch_file({"state_dict": in_mmpose(model, "head."), "meta": meta})


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def published(web: Web, data: bytes, stem: str = "td-hm_hrnet-w8_coco-256x192") -> str:
    """Served under a name as MMPose gives them; its address."""
    return web.put(f"{stem}-{sha256(data)[:8]}_20220914.pth", data)


def kept(tmp_path: Path) -> list[str]:
    files = (tmp_path / "cache").rglob("*")
    return sorted(path.name for path in files if path.is_file() and path.suffix != ".lock")


def test_an_mmpose_file_is_kept_as_ours_with_card_and_source(web: Web, tmp_path: Path) -> None:
    model = tiny()
    data = mmpose_file(model, {"cfg": changed(CONFIG_1X, UDP_1X)})
    url = published(web, data)
    path = checkpoint_path(url)
    assert path.suffix == ".safetensors"
    assert kept(tmp_path) == [path.name]
    network, card, _ = load_network(url)
    assert same(network, model)
    assert (card.codec.name, card.codec.input_wh) == ("udp", (192, 256))
    assert inspect_weights(url).source == {"url": url, "sha256": sha256(data)}
    assert len(web.asked) == 1


def test_every_way_in_takes_addresses(web: Web, tmp_path: Path) -> None:
    model, other = tiny(), tiny(seed=2)
    url = published(web, mmpose_file(model))
    load_model(url, backend="eager", device="cpu")
    # As a path pathlib makes of it, with one slash.
    PoseEstimator.from_pretrained(str(Path(url)), batch_size=2)
    initialise(other, url)
    assert same(model, other)
    assert len(web.asked) == 1


def test_settings_in_a_name_count_after_conversion(web: Web) -> None:
    url = published(web, torch_file(tiny().state_dict()), "hrnet_w8_coco_128x96_dark")
    card = load_network(url).card
    assert (card.codec.name, card.codec.input_wh) == ("dark", (96, 128))


def test_ours_are_kept_with_their_card(web: Web, tmp_path: Path) -> None:
    model = tiny(num_keypoints=4)
    save_model(tmp_path / "best.safetensors", model.state_dict(), card_of(model))
    data = (tmp_path / "best.safetensors").read_bytes()
    url = web.put("best.safetensors", data)
    network, card, _ = load_network(f"{url}#sha256={sha256(data)}")
    assert same(network, model)
    assert card == card_of(model)


def test_a_backbone_is_kept_without_a_card_and_starts_training(web: Web) -> None:
    model, other = tiny(), tiny(seed=2)
    url = published(web, torch_file(imagenet_layout(model)), "hrnet_w8")
    initialise(other, url)
    assert torch.equal(other.conv1.weight, model.conv1.weight)
    with pytest.raises(ValueError, match="no keypoint head"):
        load_network(url)


def test_a_detector_is_kept_as_tensors(web: Web, tmp_path: Path) -> None:
    data = torch_file({"model": {"backbone.a": torch.ones(2)}, "start_epoch": 3})
    entry = Entry("finder", "detector", (Source(web.put("finder.pth", data), sha256(data)),), "f")
    path = fetch(entry)
    assert path.suffix == ".safetensors"
    assert torch.equal(read_checkpoint(path).tensors["backbone.a"], torch.ones(2))
    assert kept(tmp_path) == ["finder.safetensors"]


def test_onnx_is_kept_as_it_came_and_nothing_else_under_its_name(web: Web, tmp_path: Path) -> None:
    path = checkpoint_path(web.put("m.onnx", b"\x08\x07onnx"))
    assert (path.name, path.read_bytes()) == ("m.onnx", b"\x08\x07onnx")
    with pytest.raises(ValueError, match="this is no ONNX model"):
        checkpoint_path(web.put("other.onnx", b"something"))
    assert kept(tmp_path) == ["m.onnx"]


def test_what_needs_names_for_its_keypoints_is_kept_with_all_that_it_says(
    web: Web, tmp_path: Path
) -> None:
    data = mmpose_file(tiny(num_keypoints=5), {"cfg": changed(CONFIG_1X, UDP_1X)})
    url = published(web, data)
    with pytest.raises(ValueError, match="no names for them"):
        load_network(url)
    (name,) = kept(tmp_path)
    assert name.endswith(".pth")
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"some text", "this is no checkpoint"),
        (torch_file({"epoch": 3}), "holds no state dict"),
        (torch_file({"a.weight": torch.ones(2)}), "network"),
    ],
)
def test_what_is_no_checkpoint_is_refused_and_not_kept(
    web: Web, tmp_path: Path, data: bytes, message: str
) -> None:
    url = published(web, data)
    with pytest.raises(ValueError, match=f"{url}: .*{message}"):
        checkpoint_path(url)
    assert kept(tmp_path) == []


def test_a_wrong_hash_in_the_name_is_refused_with_both(web: Web, tmp_path: Path) -> None:
    data = mmpose_file(tiny())
    url = web.put("td-hm_hrnet-w8_coco-256x192-00000000_20220914.pth", data)
    with pytest.raises(ValueError, match=f"sha256 {sha256(data)}, but 00000000") as caught:
        checkpoint_path(url)
    assert "#sha256=" in str(caught.value)
    assert kept(tmp_path) == []
    checkpoint_path(f"{url}#sha256={sha256(data)}")  # what the sentence says to do


def test_without_a_hash_it_is_said(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    data = mmpose_file(tiny())
    checkpoint_path(web.put("hrnet.pth", data))
    assert f"could not be checked; it has the sha256 {sha256(data)}" in caplog.text


def test_the_users_own_mirror_comes_first_and_is_checked(
    web: Web, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = mmpose_file(tiny())
    url = published(web, data)
    entry = Entry("w8", "pose", (Source(url, sha256(data)),), "w8.pth")
    web.put("mirror/w8.pth", b"of somebody else")
    monkeypatch.setenv("POSE_HRNET_MIRROR", f"{web.url}/mirror/")
    fetch(entry)
    assert [name for name, _ in web.asked] == ["mirror/w8.pth", url.removeprefix(f"{web.url}/")]
    assert "trying the next address" in caplog.text


def test_a_full_disk_while_it_is_kept_leaves_no_half_file(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    url = published(web, mmpose_file(tiny()))
    monkeypatch.setattr(module, "write_checkpoint", full)
    with pytest.raises(OSError, match=r"kept in .* \(No space left on device\); see to its room"):
        checkpoint_path(url)
    assert [name for name in kept(tmp_path) if name.endswith(".safetensors")] == []
    monkeypatch.undo()
    monkeypatch.setenv("POSE_HRNET_CACHE", str(tmp_path / "cache"))
    assert checkpoint_path(url).suffix == ".safetensors"  # once there is room
    assert len(web.asked) == 1


def test_what_is_not_converted_yet_is_not_taken(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that looks for it in the meantime has to wait."""
    seen: list[Path | None] = []
    write = module.write_checkpoint
    entry = listed(web, mmpose_file(tiny()))

    def watched(*arguments: Any, **options: Any) -> None:
        seen.append(kept_file(entry))
        write(*arguments, **options)

    monkeypatch.setattr(module, "write_checkpoint", watched)
    assert fetch(entry) == kept_file(entry)
    assert seen == [None]


def test_a_wrong_mirror_is_said(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSE_HRNET_MIRROR", "http://example.com/weights")
    with pytest.raises(ValueError, match=r"POSE_HRNET_MIRROR: http://example.com/.* not en"):
        checkpoint_path(published(web, mmpose_file(tiny())))


def test_a_cache_that_is_a_file_is_said(web: Web, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(OSError, match=r"cannot be kept in .*cache.*set POSE_HRNET_CACHE"):
        checkpoint_path(published(web, mmpose_file(tiny())))


def test_a_folder_that_cannot_be_made_is_said_and_no_lock_stays(web: Web) -> None:
    entry = listed(web, mmpose_file(tiny()))
    folder = kept_at(entry)
    folder.mkdir(parents=True)
    (folder / "incoming").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot be kept in .*File exists.*set POSE_HRNET_CACHE"):
        fetch(entry)
    (folder / "incoming").unlink()
    assert fetch(entry) == kept_file(entry)


def test_offline_what_is_kept_is_used_and_nothing_else(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = published(web, mmpose_file(tiny()))
    checkpoint_path(url)
    monkeypatch.setenv("POSE_HRNET_OFFLINE", "1")
    checkpoint_path(url)
    checkpoint_path("default")
    with pytest.raises(ConnectionError, match=r"coco_w32_256x192 is not on this machine"):
        checkpoint_path("coco_w32_256x192")
    assert kept_file(find_entry("coco_w32_256x192")) is None


def _fetch_it(url: str) -> None:
    checkpoint_path(url)


def test_two_processes_at_once_download_once(web: Web, tmp_path: Path) -> None:
    url = published(web, mmpose_file(tiny()))
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_fetch_it, args=(url,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(web.asked) == 1
    assert len(kept(tmp_path)) == 1


def test_a_path_counts_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco_w32_256x192").write_text("mine")
    assert checkpoint_path("coco_w32_256x192") == Path("coco_w32_256x192")
    assert checkpoint_path("sub/default") == Path("sub/default")
    assert checkpoint_path("none.pth") == Path("none.pth")
    with pytest.raises(FileNotFoundError, match="give coco_w32_256x192_udp, the name of these"):
        checkpoint_path(f"weights/{find_entry('coco_w32_256x192_udp').file}")


def test_names_of_other_things_and_unknown_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finds persons and no keypoints; give it as --detector"):
        checkpoint_path("yolox_s")
    with pytest.raises(FileNotFoundError, match=r"nor .* that name; the nearest names are c"):
        checkpoint_path("coco_w32_256x193")


# Of the list: keypoints that their number does not tell, and facts that the file has otherwise.


def listed(web: Web, data: bytes, **facts: Any) -> Entry:
    source = Source(published(web, data), sha256(data)[:8])
    return Entry("w8", "pose", (source,), "hrnet_w8_256x192.pth", **facts)


def test_animals_are_not_taken_for_people(web: Web) -> None:
    skeleton = find_entry("ap10k_w32_256x256").skeleton
    card = load_network(fetch(listed(web, mmpose_file(tiny()), skeleton=skeleton))).card
    assert card.skeleton == skeleton


def test_names_in_the_file_count_before_the_list(web: Web) -> None:
    skeleton = find_entry("ap10k_w32_256x256").skeleton
    names = tuple(f"point {i}" for i in range(17))
    said = data_set(names, sigmas=[0.1] * 17, dataset_keypoint_weights=[1.0] * 17)
    meta = {**META_1X, "dataset_meta": said}
    entry = listed(web, mmpose_file(tiny(), meta), skeleton=skeleton)
    assert load_network(fetch(entry)).card.skeleton.keypoint_names == names


def test_keypoints_that_only_the_file_can_name_are_not_guessed(web: Web, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not name its keypoints"):
        fetch(listed(web, mmpose_file(tiny()), skeleton="file"))
    assert kept(tmp_path) == []


def test_a_file_other_than_the_list_has_it_is_said(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    entry = listed(web, mmpose_file(tiny()), network="HRNet-W8", input="384x288", codec="gaussian")
    fetch(entry)
    assert "its file has input size 256x192 where the list has 384x288" in caplog.text
    assert "network" not in caplog.text


def test_the_kept_file_of_another_hash_is_another(web: Web) -> None:
    entry = listed(web, mmpose_file(tiny()))
    newer = mmpose_file(tiny(seed=2))
    first = fetch(entry)
    second = fetch(replace(entry, sources=(Source(published(web, newer), sha256(newer)),)))
    assert first != second
    with safe_open(second, "pt") as file:
        assert sha256(newer) in file.metadata()["source"]
