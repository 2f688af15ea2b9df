"""A cluster is begun or asked for, and let go."""

from __future__ import annotations

import gc
import weakref

import pytest

from pose_hrnet.deploy.bulk.engines import Cluster, ray_engine
from pose_hrnet.deploy.bulk.models import Models
from pose_hrnet.inference.options import ModelOptions

MODELS = Models(ModelOptions("small.safetensors"), "small", "ab")


class Started:
    """A Ray that notes how it was begun and ended."""

    def __init__(self, error=None):
        self.error, self.asked, self.ended = error, None, False

    def is_initialized(self):
        return False

    def init(self, **options):
        self.asked = options
        if self.error is not None:
            raise self.error

    def shutdown(self):
        self.ended = True


@pytest.mark.parametrize("address", ["auto", None])
def test_a_cluster_is_asked_for_by_its_address_or_begun_here(monkeypatch, address):
    ray = Started()
    monkeypatch.setattr("pose_hrnet.deploy.bulk.engines.import_extra", lambda *_: ray)
    with ray_engine(MODELS, Cluster(address)):
        assert not ray.ended
    assert ray.ended
    assert ray.asked.get("address") == address
    assert ("num_cpus" in ray.asked) == (address is None)


def test_a_cluster_that_does_not_answer_is_one_sentence(monkeypatch):
    ray = Started(ConnectionError("Could not find any running Ray instance."))
    monkeypatch.setattr("pose_hrnet.deploy.bulk.engines.import_extra", lambda *_: ray)
    with (
        pytest.raises(ConnectionError, match=r"no Ray cluster answers at auto .*ray start --head"),
        ray_engine(MODELS, Cluster("auto")),
    ):
        pass


def test_what_a_run_leaves_is_let_go_before_the_next_one(monkeypatch):
    """Ray ends an actor, and frees its device, once nothing refers to it, nor in a cycle."""
    left = []

    class Handle:
        """Of an actor, in what an error leaves."""

    def failing(*_):
        handle = Handle()
        handle.itself = handle
        left.append(weakref.ref(handle))
        yield "a table"

    monkeypatch.setattr("pose_hrnet.deploy.bulk.engines.import_extra", lambda *_: Started())
    # Private: what a run does with Ray; a device's error cannot be had without one.
    monkeypatch.setattr("pose_hrnet.deploy.bulk.engines._run", failing)
    gc.disable()
    try:
        with ray_engine(MODELS, Cluster("auto")) as engine:
            assert list(engine([])) == ["a table"]
            assert left[0]() is None
    finally:
        gc.enable()
