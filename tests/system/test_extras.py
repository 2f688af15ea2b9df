"""Optional packages are imported, or the command that installs them is named."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from pose_hrnet.system.extras import import_extra, installed_version


def test_what_is_there_is_imported():
    assert import_extra("json", "some") is json


def test_what_is_missing_is_named_with_the_command_that_installs_it():
    with pytest.raises(ValueError, match=r"no_such_package .*pip install 'pose-hrnet\[some\]'$"):
        import_extra("no_such_package", "some")


def test_versions_of_packages():
    assert installed_version("numpy") == version("numpy")
    assert installed_version("no-such-package") is None
