"""What quantising asks of NNCF; what comes of it is in test_int8."""

from __future__ import annotations

import logging

import pytest

from pose_hrnet.deploy.quantise import import_nncf


def test_a_handler_that_nncf_shares_hears_warnings_of_others(monkeypatch):
    pytest.importorskip("nncf")
    handler = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger("nncf"), "handlers", [handler])
    import_nncf()
    assert handler.level == logging.NOTSET
    assert not logging.getLogger("nncf").isEnabledFor(logging.WARNING)
