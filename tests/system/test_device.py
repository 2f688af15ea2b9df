"""Where bf16 is chosen, and which devices are refused."""

from __future__ import annotations

import pytest
import torch

from pose_hrnet.system.device import arithmetic, pick_device

QUERIES = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


@pytest.mark.parametrize("yes", [(), QUERIES[:1], QUERIES[1:]])
def test_auto_is_bf16_where_the_cpu_multiplies_it(yes, monkeypatch):
    for query in QUERIES:
        # Private in torch: a rename would silently mean fp32.
        monkeypatch.setattr(torch.cpu, query, lambda query=query: query in yes)
    cpu = torch.device("cpu")
    assert arithmetic(cpu, "auto") == ("bf16" if yes else "fp32")
    assert [arithmetic(cpu, name) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="device 'cpv' cannot be used"):
        pick_device("cpv")
