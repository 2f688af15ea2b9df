"""Every sample once, the same global batches for any number of processes, and their journey."""

from __future__ import annotations

import multiprocessing
from itertools import zip_longest

import numpy as np
import pytest
import torch

from pose_hrnet.data.crops import CropDataset
from pose_hrnet.data.loader import (
    EpochSampler,
    Share,
    _end_all_workers,
    crop_loader,
    end_workers,
    on_device,
)
from pose_hrnet.keypoints.codec import HeatmapCodec
from tests.helpers.builders import make_batch, make_people


def dealt(total, world_size, batch_size, start=0, even=True):
    """What each process has."""
    order = np.random.default_rng(total).permutation(total)
    shares = [Share(rank, world_size, batch_size, even) for rank in range(world_size)]
    parts = [share.of(order, start).tolist() for share in shares]
    assert [len(part) for part in parts] == [share.count(total, start) for share in shares]
    return order.tolist(), parts


def steps(parts, batch_size):
    """The samples of each step, of all processes together."""
    count = max(map(len, parts))
    slices = [slice(i, i + batch_size) for i in range(0, count, batch_size)]
    return [[row for part in parts for row in part[piece]] for piece in slices]


@pytest.mark.parametrize("total", [8, 30, 31, 33, 64, 3])
@pytest.mark.parametrize("start", [0, 8])
def test_steps_are_the_same_whatever_the_number_of_processes(total, start):
    start = min(start, total)
    order, one = dealt(total, 1, 8, start)
    assert one[0] == order[start:]
    expected = steps(one, 8)
    for world_size in (2, 4, 8):
        _, parts = dealt(total, world_size, 8 // world_size, start)
        assert len(set(map(len, parts))) == 1  # equal shares
        found = steps(parts, 8 // world_size)
        assert len(found) == len(expected)
        whole = (total - start) // 8
        assert found[:whole] == expected[:whole]
        seen = [row for part in parts for row in part]
        assert set(seen) >= set(order[start:])
        assert len(seen) - (total - start) == -(total - start) % world_size  # repeated


@pytest.mark.parametrize("total", [1, 5, 16, 23])
def test_evaluation_has_whole_batches_each_once(total):
    order, parts = dealt(total, 3, 4, even=False)
    batches = [[part[i : i + 4] for i in range(0, len(part), 4)] for part in parts]
    again = [batch for turn in zip_longest(*batches) for batch in turn if batch is not None]
    assert again == [order[i : i + 4] for i in range(0, total, 4)]


def test_epochs_differ_and_processes_agree_on_their_order():
    people = make_people(10)
    whole = EpochSampler(people, shuffle=True, seed=3)
    parts = [
        EpochSampler(people, shuffle=True, seed=3, batch_size=2, rank=rank, world_size=2)
        for rank in (0, 1)
    ]
    orders = []
    for epoch in (0, 1):
        for sampler in (whole, *parts):
            sampler.epoch = epoch
        keys = [list(sampler) for sampler in parts]
        assert keys[0][:2] + keys[1][:2] == list(whole)[:4]
        assert sorted(keys[0] + keys[1]) == [(epoch, row) for row in range(10)]
        orders.append([row for _, row in whole])
    assert orders[0] != orders[1]


def test_loaders_of_processes_hold_the_batches_of_one(tmp_path):
    crops = CropDataset(make_people(10), tmp_path, HeatmapCodec(input_wh=(8, 8)), 1.25)
    one = [batch.rows.tolist() for batch in crop_loader(crops, batch_size=4, workers=0)]
    two = [
        [batch.rows.tolist() for batch in crop_loader(
            crops, batch_size=4, workers=0, rank=rank, world_size=2
        )]
        for rank in (0, 1)
    ]  # fmt: skip
    assert [len(part) for part in two] == [2, 1]
    assert [two[0][0], two[1][0], two[0][1]] == one


def test_elsewhere_batches_pass_through():
    batches = [make_batch(2, seed=n) for n in range(3)]
    assert all(
        a is b for a, b in zip(on_device(batches, torch.device("cpu")), batches, strict=True)
    )


def test_what_loader_processes_give_leaves_the_memory_that_they_share(tmp_path):
    """A step of many batches would hold as many file descriptors for each column."""
    crops = CropDataset(make_people(10), tmp_path, HeatmapCodec(input_wh=(8, 8)), 1.25)
    loader = crop_loader(crops, batch_size=4, workers=1)
    given = next(iter(loader))
    assert given.pixels.is_shared()
    own = next(on_device([given], torch.device("cpu")))
    assert not any(column.is_shared() for column in own)
    assert all(torch.equal(a, b) for a, b in zip(own, given, strict=True))
    end_workers(loader)


def test_loader_processes_end_before_the_program_waits_for_them(tmp_path):
    crops = CropDataset(make_people(10), tmp_path, HeatmapCodec(input_wh=(8, 8)), 1.25)
    loader = crop_loader(crops, batch_size=1, workers=1)
    batches = iter(loader)  # held, as the traceback of an error holds it
    next(batches)
    assert len(multiprocessing.active_children()) == 1
    _end_all_workers()
    assert multiprocessing.active_children() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_batches_arrive_whole_and_in_order():
    batches = [make_batch(8, seed=n) for n in range(20)]
    pinned = [type(b)(*(column.pin_memory() for column in b)) for b in batches]
    device = torch.device("cuda")
    seen = 0
    for arrived, batch in zip(on_device(pinned, device), batches, strict=True):
        assert arrived.pixels.is_cuda
        assert arrived.keypoints_input.is_cuda
        busy = torch.randn(2000, 2000, device=device)
        assert (busy @ busy).shape == busy.shape
        assert torch.equal(arrived.pixels.cpu(), batch.pixels)
        assert torch.equal(arrived.visible.cpu(), batch.visible)
        assert torch.equal(arrived.rows, batch.rows)
        seen += 1
    assert seen == 20


def test_there_are_no_more_processes_than_cores(monkeypatch):
    monkeypatch.setattr("pose_hrnet.data.loader.usable_cores", lambda: 1)
    people = make_people(4)
    crops = CropDataset(people, None, HeatmapCodec(), 1.25)
    assert crop_loader(crops, batch_size=2, workers=8).num_workers == 1
    assert crop_loader(crops, batch_size=2, workers=0).num_workers == 0
