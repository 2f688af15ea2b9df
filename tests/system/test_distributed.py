"""One process works without torchrun; what several do is in tests/behaviour/test_distributed."""

from __future__ import annotations

import torch

from pose_hrnet.system.distributed import (
    ProcessLost,
    World,
    join_world,
    keep_gradients,
    unwrap,
    wrap,
)


def test_one_process_needs_no_torchrun(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    world, model = join_world("cpu"), torch.nn.Linear(2, 2)
    assert world == World.alone()
    assert wrap(model, world, sync_batchnorm=True) is unwrap(model) is model
    with keep_gradients(model):
        assert world.gather(3) == [3]
    assert world.any(True)
    assert not world.any(False)
    assert world.mean(torch.ones(2)).tolist() == [1, 1]
    assert world.on_main(lambda: "made") == "made"
    assert world.device("cpu").type == "cpu"


def test_the_sentence_of_a_lost_process_holds_what_pytorch_said():
    gloo = RuntimeError(
        "[/build/gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:1. This is"
    )
    lost = World(rank=1, size=4).lost(gloo)
    assert isinstance(lost, ProcessLost)
    assert "process 1 of 4 lost" in str(lost)
    assert "(Connection closed by peer [127.0.0.1]:1)" in str(lost)
