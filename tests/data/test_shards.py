"""Shards hold the crops of the images, in an order that is resumed and shared out exactly."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from pose_hrnet.cli.app import app
from pose_hrnet.config.files import load_config
from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.data.augment import Region, draw_region, reach_xyxy
from pose_hrnet.data.crops import CropDataset, cut
from pose_hrnet.data.loader import crop_loader
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.data.shards.reader import ShardPictures, ShardSampler, read_index
from pose_hrnet.data.shards.store import ShardStore
from pose_hrnet.data.shards.writer import StoredCrops, write_shards
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.system.folders import FolderBusy, owned
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.data import training_crops, training_data
from pose_hrnet.training.report import read_metrics
from pose_hrnet.training.train import train
from tests.helpers import mpii_files
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.pictures import shift_and_difference
from tests.helpers.training_runs import NETWORK

INPUT_WH = (96, 128)
CODEC = HeatmapCodec(input_wh=INPUT_WH)
LARGEST = AugmentConfig(half_body_probability=0.5)
STILL = AugmentConfig(
    half_body_probability=0, scale_std=0, rotation_probability=0, flip_probability=0
)


@pytest.fixture
def shards(tmp_path):
    """Ten made-up persons in three shards."""
    people = make_people(10)
    folder = write_images(people, tmp_path / "images")
    write(people, folder, tmp_path / "shards", persons_per_shard=4)
    return tmp_path / "shards"


def write(people, folder, output, **settings):
    running = {name: settings.pop(name) for name in ("seed", "workers") if name in settings}
    stored = StoredCrops(INPUT_WH, LARGEST, COCO17, **settings)
    return write_shards(people, folder, output, stored, **running)


def dataset(root, augmentation=None, store=None, **settings):
    store = store or ShardStore(str(root))
    index = read_index(store)
    pictures = ShardPictures(index, store, **settings)
    return CropDataset(index.people, pictures, CODEC, 1.25, augmentation=augmentation), index


def test_reach_holds_all_that_augmentation_can_show():
    people, rng = make_people(5), np.random.default_rng(0)
    corners = np.array([[0, 0], INPUT_WH, [0, INPUT_WH[1]], [INPUT_WH[0], 0]], np.float64)
    for row in range(2):
        region = Region(np.array([100.0, 90.0]), np.array([90.0, 120.0]))
        given = (region, people.keypoints_image[row], people.visibility[row], COCO17)
        left, top, right, bottom = reach_xyxy(*given, LARGEST)
        points = []
        for _ in range(1200):
            drawn = draw_region(*given, LARGEST, rng)
            frames = CropFrames.of_regions(
                drawn.center_image[None], drawn.size_wh[None], INPUT_WH, "official",
                rotations_deg=drawn.rotation_deg,
            )  # fmt: skip
            points.append(frames.to_image(corners[None])[0])
        low, high = np.concatenate(points).min(0), np.concatenate(points).max(0)
        assert (low >= (left - 1e-6, top - 1e-6)).all()
        assert (high <= (right + 1e-6, bottom + 1e-6)).all()
        # and not much more than that: nearly all of it was reached
        assert (high - low).prod() > 0.8 * (right - left) * (bottom - top)


@pytest.mark.parametrize("detail", [1.0, 3.0])
def test_augmented_crops_of_real_persons_agree_with_those_of_their_images(
    shared: Path, tmp_path, detail
):
    folder = shared / "coco" / "val"
    people = labelled_people(load_people(shared / "coco/annotations/person_keypoints_val.json"))
    people = people[:40]
    write(people, folder, tmp_path, persons_per_shard=15, detail=detail, quality=95)
    crops, index = dataset(tmp_path)
    index.check_fits(INPUT_WH, 1.25, LARGEST)
    for factor in (0.5, 3):  # the margin is the same for every size of this aspect
        index.check_fits(tuple(int(factor * side) for side in INPUT_WH), 1.25, LARGEST)
    plain = CropDataset(people, folder, CODEC, 1.25)
    row_of_id = {person: row for row, person in enumerate(index.people.ids.tolist())}
    rng, shifts, differences, black = np.random.default_rng(0), [], [], []
    for row in range(len(people)):
        other = row_of_id[people.ids[row]]
        seeds = rng.integers(1000)
        pair = []
        for data, at in ((plain, row), (crops, other)):
            region = draw_region(
                Region(data.frames.centers_image[at], data.frames.sizes_wh[at]),
                data.people.keypoints_image[at],
                data.people.visibility[at],
                COCO17,
                LARGEST,
                np.random.default_rng(seeds),
            )
            frames = CropFrames.of_regions(
                region.center_image[None], region.size_wh[None], INPUT_WH, "official",
                rotations_deg=region.rotation_deg, mirrored=region.flip,
            )  # fmt: skip
            picture = data.pictures.read(int(data.people.image_index[at]), 1)
            points = frames.to_input(data.people.keypoints_image[[at]])[0]
            pair.append((cut(picture.pixels, frames.affines[0], INPUT_WH), points))
        seen = people.visibility[row] > 0
        np.testing.assert_allclose(pair[0][1][seen], pair[1][1][seen], atol=0.6)
        shift, difference = shift_and_difference(pair[0][0], pair[1][0])
        shifts.append(shift)
        differences.append(difference)
        inside = pair[0][0].max(axis=2) > 60
        black.append((pair[1][0].max(axis=2)[inside] == 0).mean() if inside.any() else 0.0)
    assert np.median(shifts) < 0.05
    assert np.mean(differences) < (8 if detail == 1 else 4)
    assert max(black) < 1e-3  # nothing that the image shows is missing


def test_tars_are_webdatasets_and_the_index_agrees(shards):
    index = json.loads((shards / "index.json").read_text())
    assert [shard["count"] for shard in index["shards"]] == [4, 3, 3]
    for shard in index["shards"]:
        data = (shards / shard["name"]).read_bytes()
        with tarfile.open(shards / shard["name"]) as tar:
            names = tar.getnames()
            assert names == [f"{key}.{kind}" for key in shard["keys"] for kind in ("json", "jpg")]
            for entry in shard["entries"]:
                key = entry["sample"]["key"]
                assert json.load(tar.extractfile(f"{key}.json")) == entry["sample"]
                jpeg = data[entry["offset"] : entry["offset"] + entry["size"]]
                assert jpeg == tar.extractfile(f"{key}.jpg").read()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers(shards, workers):
    crops, index = dataset(shards, LARGEST, decode="fast")
    sampler = ShardSampler(index.counts, buffer=4)
    loader = crop_loader(crops, batch_size=4, workers=workers, sampler=sampler)
    for sampler.epoch in (0, 3):
        keys = list(sampler)
        batches = list(loader)
        rows = torch.cat([batch.rows for batch in batches]).tolist()
        assert rows == [row for _, row in keys]
        assert torch.equal(batches[1].pixels[2], crops[keys[6]].pixels)


def test_order_is_random_local_and_its_epochs_differ():
    counts = np.full(50, 100)
    sampler = ShardSampler(counts, buffer=300)
    orders = []
    for sampler.epoch in (0, 1):
        orders.append(np.array([row for _, row in sampler]))
        assert sorted(orders[-1]) == list(range(5000))
        shards_in_use = [len(set(orders[-1][i : i + 32] // 100)) for i in range(0, 5000, 32)]
        assert max(shards_in_use) <= 5
        assert np.mean(shards_in_use) > 3
    assert (orders[0] != orders[1]).mean() > 0.9


def test_processes_share_an_epoch_and_any_number_of_them_goes_on():
    counts = np.array([7, 11, 3, 20, 9])
    whole = ShardSampler(counts, seed=1, buffer=5)
    whole.epoch = 2
    order = [row for _, row in whole]
    for world_size in (2, 4):
        samplers = [
            ShardSampler(counts, seed=1, buffer=5, batch_size=8 // world_size, rank=rank,
                         world_size=world_size)
            for rank in range(world_size)
        ]  # fmt: skip
        for start in (0, 24):
            parts = []
            for sampler in samplers:
                sampler.epoch, sampler.start = 2, start
                parts.append([row for _, row in sampler])
                assert len(sampler) == len(parts[-1]) == len(parts[0])
            share = 8 // world_size
            for step in range((50 - start) // 8):
                seen = [row for part in parts for row in part[step * share : (step + 1) * share]]
                assert seen == order[start + 8 * step : start + 8 * step + 8]
            assert {row for part in parts for row in part} == set(order[start:]) | set(
                order[: -50 % world_size]
            )


def test_shards_of_a_url_are_fetched_once_and_read_the_same(shards, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for path in shards.iterdir():
        memory.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    store = ShardStore("memory://bucket", cache=tmp_path / "cache")
    remote, _ = dataset(None, LARGEST, store=store)
    local, _ = dataset(shards, LARGEST)
    for row in range(10):
        assert torch.equal(remote[0, row].pixels, local[0, row].pixels)
    for path in shards.glob("*.tar"):
        memory.rm_file(f"/bucket/{path.name}")
    again = CropDataset(remote.people, ShardPictures(remote.pictures.index, store), CODEC, 1.25)
    assert all(again[0, row].readable for row in range(10))
    with pytest.raises(FileNotFoundError, match=r"index\.json does not exist"):
        read_index(ShardStore("memory://elsewhere"))


def test_more_than_the_shards_hold_is_refused(shards, tmp_path):
    _, index = dataset(shards)
    index.check_fits(INPUT_WH, 1.25, LARGEST)
    width, height = INPUT_WH
    high = f"an input of {2 * height}x{width} (height x width), cut for the aspect of "
    few = AugmentConfig(half_body_min_keypoints=3)
    for wanted, words in (
        (((width, 2 * height), 1.25, LARGEST), f"{high}{height}x{width}"),
        ((INPUT_WH, 1.5, LARGEST), "data.box_padding 1.5, cut for 1.25"),
        ((INPUT_WH, 1.25, AugmentConfig(scale_std=0.5)), "augment.scale_std 0.5, cut for 0.35"),
        ((INPUT_WH, 1.25, AugmentConfig(rotation_std=60)), "augment.rotation_std 60, cut for 45"),
        ((INPUT_WH, 1.25, few), "augment.half_body_min_keypoints 3, cut for 8"),
    ):
        with pytest.raises(ValueError, match="does not hold the crops") as caught:
            index.check_fits(*wanted)
        # The folder, and no setting but the one that differs.
        assert str(caught.value).startswith(f"{index.root} does not hold")
        assert str(caught.value).split(": ")[1].startswith(f"{words}; set what it was cut for")
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(ValueError, match="is not an index of crop shards"):
        read_index(ShardStore(str(tmp_path)))


def test_unreadable_images_and_cut_shards_are_told(tmp_path, caplog):
    people = make_people(4)
    folder = write_images(people, tmp_path / "images")
    (folder / "000001.png").write_bytes(b"")
    write(people, folder, tmp_path)
    assert "left out: 2 of 4 persons" in caplog.text
    tar = tmp_path / "00000.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    crops, _ = dataset(tmp_path)
    assert not crops[0, 1].readable
    assert f"image {tmp_path}/00000.tar/" in caplog.text
    assert "behind the end of its shard" in caplog.text


def test_command_writes_what_training_reads(tmp_path):
    people = make_people(10)
    images = write_images(people, tmp_path / "images")
    annotations = write_annotations(people, tmp_path / "people.json")
    result = CliRunner().invoke(
        app,
        ["data", "shard", "demo", "--annotations", str(annotations), "--images", str(images),
         "--output", str(tmp_path / "shards"), "--size", "64x32", "--persons", "4"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "10 persons in 3 shards" in result.output.replace("\n", " ")
    settings = [
        f"data.train={{shards: {tmp_path / 'shards'}}}", f"data.val.annotations={annotations}",
        f"data.val.images={images}", "data.workers=0", "data.decode=fast",
        *NETWORK, "codec.sigma=1", "codec.input_wh=[32, 64]", "train.batch_size=4",
        "optimizer.schedule=step", "train.precision=fp32",
    ]  # fmt: skip
    config = load_config("demo", [*settings, "train.epochs=1"])
    train(config, tmp_path / "run", device="cpu")
    (line,) = read_metrics(tmp_path / "run/metrics.jsonl")
    assert line["step"] == 3
    assert line["unreadable"] == 0


def test_shards_of_several_data_sets_bring_their_own_keypoints(tmp_path):
    people = make_people(4)
    coco = write_annotations(people, tmp_path / "coco.json")
    images = write_images(people, tmp_path / "images")
    mpii = mpii_files.write(tmp_path / "mpii.json", mpii_files.row("000001.png"))
    skeleton = tmp_path / "mine.yaml"
    skeleton.write_text("keypoints: [snout, left_wrist, right_wrist]\nupper_body: [snout]\n")
    sets = [
        {"annotations": str(coco), "images": str(images), "mapping": {"snout": "nose"}},
        {"annotations": str(mpii), "images": str(images), "mapping": {"snout": "head_top"}},
    ]
    small = ["codec.input_wh=[96, 128]", f"data.val.annotations={coco}", "data.workers=0"]
    mixed = load_config(
        "demo", [f"data.train={json.dumps(sets)}", f"data.skeleton={skeleton}", *small]
    )
    recipe = tmp_path / "mixed.yaml"
    recipe.write_text(yaml.safe_dump(mixed.model_dump(mode="json")))
    output = tmp_path / "shards"
    command = ["data", "shard", str(recipe), "--output", str(output)]
    result = CliRunner().invoke(app, command)
    assert "5 persons in 1 shard," in result.output.replace("\n", " ")

    config = load_config("demo", [f"data.train={{shards: {output}}}", *small])
    _, card = build_model(config)
    assert card.skeleton == build_model(mixed)[1].skeleton
    assert card.skeleton.keypoint_names == ("snout", "left_wrist", "right_wrist")
    whole, cut_out = training_data(mixed, card), training_data(config, card)
    by_id = {id_: row for row, id_ in enumerate(cut_out.people.ids.tolist())}
    for row, id_ in enumerate(whole.people.ids.tolist()):
        other = by_id[id_]
        assert (whole.people.visibility[row] == cut_out.people.visibility[other]).all()
        plain = config.model_copy(update={"augment": STILL})
        pair = [
            training_crops(plain, card, data)[0, at]
            for data, at in ((whole, row), (cut_out, other))
        ]
        np.testing.assert_allclose(pair[0].keypoints_input, pair[1].keypoints_input, atol=0.6)
        assert pair[0].readable
        assert pair[1].readable
    wider = config.model_copy(update={"augment": AugmentConfig(scale_std=0.9)})
    with pytest.raises(ValueError, match="does not hold the crops"):
        training_data(wider, card)


def test_written_again_they_replace_those_of_before_when_all_are_there(shards, tmp_path):
    people = make_people(10)
    (shards / "mine.tar").touch()
    before = {path.name: path.read_bytes() for path in shards.iterdir()}
    assert len(before) == 3 + 2
    with pytest.raises(ValueError, match="is readable"):
        write(people, tmp_path / "nowhere", shards)
    assert {path.name: path.read_bytes() for path in shards.iterdir()} == before
    with owned(shards), pytest.raises(FolderBusy, match="another process works in"):
        write(people, tmp_path / "images", shards)
    assert {path.name: path.read_bytes() for path in shards.iterdir()} == before
    write(people, tmp_path / "images", shards, persons_per_shard=10)
    assert {path.name for path in shards.iterdir()} == {"00000.tar", "index.json", "mine.tar"}
    assert len(dataset(shards)[0]) == 10


def test_an_index_of_something_else_is_not_written_over(tmp_path):
    people = make_people(2)
    folder = write_images(people, tmp_path / "images")
    index = folder / "index.json"
    for text in ("{}", '{"format": "other", "shards": []}', "no json"):
        index.write_text(text)
        with pytest.raises(ValueError, match=r"is not of shards .* choose another --output"):
            write(people, folder, folder)
        assert index.read_text() == text


HOSTILE = {
    "name": ("shards.0.name", "../../etc/00000.tar"), "absolute": ("shards.0.name", "/a.tar"),
    "hidden": ("shards.0.name", ".a.tar"), "no tar": ("shards.0.name", "passwd"),
    "below": ("shards.0.name", "a/b.tar"), "line": ("shards.0.name", "a.tar\n"),
    "count": ("shards.0.count", 10**9), "keys": ("shards.0.keys", []),
    "offset": ("shards.0.entries.0.offset", -1), "size": ("shards.0.entries.0.size", 2**40),
    "width": ("shards.0.entries.0.sample.width", 0),
    "box": ("shards.0.entries.0.sample.bbox", [1, 2]),
    "keypoints": ("shards.0.entries.0.sample.keypoints", [1, 2]),
    "area": ("shards.0.entries.0.sample.area", None), "padding": ("cut.box_padding", -1),
    "input": ("cut.input_wh", [96]), "sigmas": ("skeleton.sigmas", [-1] * 17),
    "skeleton": ("skeleton.flip_pairs", [[0, 99]]), "format": ("format", "x" * 1000),
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), HOSTILE.values(), ids=list(HOSTILE))
def test_an_index_of_others_is_read_whole_or_refused(shards, tmp_path, key, value):
    index = json.loads((shards / "index.json").read_text())
    section: Any = index
    *path, last = key.split(".")
    for part in path:
        section = section[int(part) if part.isdigit() else part]
    section[last] = value
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"index\.json (is not an index|has )") as error:
        read_index(ShardStore(str(tmp_path)))
    assert len(str(error.value)) < 400 + len(str(tmp_path))


def test_an_address_whose_package_is_missing_is_one_sentence(monkeypatch):
    fsspec = pytest.importorskip("fsspec")

    def lacking(*args, **kwargs):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "open", lacking)
    with pytest.raises(ValueError, match=r"s3://a/index.json needs a package for s3:// that is"):
        read_index(ShardStore("s3://a"))
    monkeypatch.undo()
    with pytest.raises(OSError, match="cannot be fetched"):
        read_index(ShardStore("nosuch://a"))
