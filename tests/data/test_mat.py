"""Matrices of Matlab's files: numbers, in their shapes, and nothing that unpacks without end."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from scipy.io import savemat

from pose_hrnet.data.formats.mat import MOST_NUMBERS, read_matrices
from tests.helpers.command_line import run_here

CUT = b" " * 126 + b"IM" + struct.pack("<II", 14, 1000)


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
        ({"b": [1]}, "it has no a"),
        ({"a": "text"}, "a is of type char"),
        ({"a": np.array([[1], ["x"]], object)}, "a is of type cell"),
        ({"a": {"x": 1}}, "a is of type struct"),
        (b"no file of Matlab's", "is not one"),
        (b"", "is not one"),
        (CUT, "it is cut off, or damaged"),
        (b"\x00" * 126 + b"IM" + struct.pack("<II", 14, 0), "unpack_from requires"),
        (b"\x00" * 126 + b"IM" + struct.pack("<II", 7, 0), "it has an element of type 7"),
        (b" " * 124 + b"\x00\x02IM" + bytes(400), "which is HDF5; save it with -v7"),
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


@pytest.mark.parametrize("packed", [True, False])
def test_damaged_bytes_are_one_sentence_or_numbers(tmp_path, packed):
    """SciPy ends the process at some of them: it takes a wrong type for an address."""
    path, rng = tmp_path / "a.mat", np.random.default_rng(0)
    savemat(path, {"a": np.full((3, 14, 2), 20.0), "b": ["text"]}, do_compression=packed)
    data, refused = path.read_bytes(), 0
    for _ in range(300):
        damaged = bytearray(data)
        for at in rng.integers(128, len(data), rng.integers(1, 8)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.choice((len(data), rng.integers(100, len(data))))])
        try:
            assert np.prod(read_matrices(path, ["a"], "one")["a"].shape) <= MOST_NUMBERS
        except ValueError as error:
            refused += "\n" not in str(error)
    assert refused > 100


@pytest.mark.parametrize("order", "<>")
def test_both_orders_of_bytes_and_every_type_of_numbers(tmp_path, order):
    """As MathWorks' description has it; real files have doubles that are stored as bytes."""
    path = tmp_path / "a.mat"

    def element(kind, content):
        return (
            struct.pack(f"{order}II", kind, len(content)) + content + b"\0" * (-len(content) % 8)
        )

    for kind, code in ((1, "b"), (2, "B"), (3, "h"), (4, "H"), (5, "i"), (6, "I"), (7, "f"),
                       (9, "d"), (12, "q"), (13, "Q")):  # fmt: skip
        matrix = element(6, struct.pack(f"{order}II", 6, 0))
        matrix += element(5, struct.pack(f"{order}ii", 2, 3))
        matrix += struct.pack(f"{order}I", 1 << 16 | 1) + b"a\0\0\0"
        matrix += element(kind, struct.pack(f"{order}6{code}", *range(6)))
        mark = b"IM" if order == "<" else b"MI"
        path.write_bytes(b" " * 126 + mark + element(14, matrix))
        assert read_matrices(path, ["a"], "one")["a"].tolist() == [[0, 2, 4], [1, 3, 5]]


def test_what_would_unpack_to_much_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "joints.mat"
    count = MOST_NUMBERS // 42 + 1
    savemat(path, {"joints": np.zeros((3, 14, count), np.int8)}, do_compression=True)
    assert path.stat().st_size < 100_000
    _, error = run_here("data", "convert", path, "--output", tmp_path / "out", code=2)
    assert f"joints is of type numbers, (3, 14, {count})" in error
