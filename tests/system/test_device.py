"""Where bf16 is chosen, and which devices are refused."""

from __future__ import annotations

import shutil
import sys

import pytest
import torch

from pose_hrnet.system.device import arithmetic, missing_compiler, pick_device

QUERIES = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


@pytest.mark.parametrize("yes", [(), QUERIES[:1], QUERIES[1:]])
def test_auto_is_bf16_where_the_cpu_multiplies_it(yes, monkeypatch):
    for query in QUERIES:
        # Private in torch: a rename would silently mean fp32.
        monkeypatch.setattr(torch.cpu, query, lambda query=query: query in yes)
    cpu = torch.device("cpu")
    assert arithmetic(cpu, "auto") == ("bf16" if yes else "fp32")
    assert [arithmetic(cpu, name) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


@pytest.mark.parametrize(
    ("platform", "named", "there", "missing"),
    [
        ("linux", None, "clang++", "g++"),
        ("linux", None, "g++", None),
        ("linux", "clang++", "clang++", None),
        ("linux", "clang++", "g++", "clang++"),
        ("darwin", None, "g++", "clang++"),
        ("win32", None, "cl", None),
    ],
)
def test_the_compiler_that_torch_calls_is_looked_for(platform, named, there, missing, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(shutil, "which", lambda name: name if name == there else None)
    if named:
        monkeypatch.setenv("CXX", named)
    else:
        monkeypatch.delenv("CXX", raising=False)
    assert missing_compiler(torch.device("cpu")) == missing


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="no device 'cpv'; use auto, cpu, cuda, mps, or a number"):
        pick_device("cpv")
