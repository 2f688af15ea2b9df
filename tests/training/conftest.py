"""Fixtures of the tests of training."""

from __future__ import annotations

import pytest

from tests.helpers.training_runs import tiny_settings


@pytest.fixture
def settings(tmp_path):
    """Overrides that make the demo's recipe tiny, on 10 made-up persons."""
    return tiny_settings(tmp_path)
