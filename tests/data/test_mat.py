"""Matrices of Matlab's files: numbers, in their shapes, and nothing that unpacks without end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from pose_hrnet.data.formats import mat
from pose_hrnet.data.formats.mat import MOST_NUMBERS, read_matrices
from tests.helpers.command_line import run_here


def test_matrices_keep_their_shapes(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"a": np.arange(6).reshape(1, 2, 3), "b": np.eye(2)}, do_compression=True)
    found = read_matrices(path, ["a"], "one")
    assert list(found) == ["a"]
    assert found["a"].shape == (1, 2, 3)
    assert found["a"].dtype == np.float64


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"b": [1]}, "KeyError: 'a'"),
        ({"a": "text"}, "a is of type char"),
        ({"a": np.array([[1], ["x"]], object)}, "a is of type cell"),
        ({"a": {"x": 1}}, "a is of type struct"),
        (b"no file of Matlab's", "is not one"),
        (b"", "is not one"),
    ],
)
def test_what_is_no_matrix_is_one_sentence(tmp_path, content, told):
    path = tmp_path / "a.mat"
    path.write_bytes(content) if isinstance(content, bytes) else savemat(path, content)
    with pytest.raises(ValueError, match=r"^[^\n]*is not one \([^\n]*\)$") as error:
        read_matrices(path, ["a"], "one")
    assert told in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"absent\.mat does not exist"):
        read_matrices(tmp_path / "absent.mat", ["a"], "one")


def test_what_would_unpack_to_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "joints.mat"
    count = MOST_NUMBERS // 42 + 1
    savemat(path, {"joints": np.zeros((3, 14, count), np.int8)}, do_compression=True)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(mat, "loadmat", None)
    _, error = run_here("data", "convert", path, "--output", tmp_path / "out", code=2)
    assert f"joints is of type int8, (3, 14, {count})" in error
