"""A .pt2 file that could run code is refused before any of it runs."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
import torch

from pose_hrnet.inference.backends.program_files import read_program


class Doubler(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([2.0]))

    def forward(self, x):
        return torch.cat([x * self.weight, x])


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "good.pt2"
    batch = torch.export.Dim("batch")
    program = torch.export.export(Doubler(), (torch.ones(2, 3),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def member(members, ending):
    return next(name for name in members if name.endswith(ending))


def test_a_plain_program_is_read_and_runs(members, tmp_path):
    program = read_program(write(tmp_path / "good.pt2", members))
    doubled = program.module(check_guards=False)(torch.ones(5, 3))
    torch.testing.assert_close(doubled, torch.cat([torch.full((5, 3), 2.0), torch.ones(5, 3)]))


class Bomb:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('bang').touch()",)


def bomb():
    buffer = io.BytesIO()
    torch.save(Bomb(), buffer)
    return buffer.getvalue()


CODE = "__import__('pathlib').Path('bang').touch()"


def edited_graph(members, edit):
    name = member(members, "models/model.json")
    graph = json.loads(members[name])
    edit(graph)
    return {**members, name: json.dumps(graph)}


def rename_input(graph):
    """The name of an input is written into the Python source of the graph."""
    inner = graph["graph_module"]["graph"]
    text = json.dumps(inner).replace('"x"', json.dumps(f"x={CODE}"))
    graph["graph_module"]["graph"] = json.loads(text)


def with_expression(graph):
    text = json.dumps(graph["graph_module"])
    start = text.index("Symbol('")
    end = text.index('"', start)
    graph["graph_module"] = json.loads(text[:start] + CODE + text[end:])


def with_operator(graph):
    graph["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.system"


@pytest.mark.parametrize("edit", [rename_input, with_expression, with_operator])
def test_graphs_that_hide_code_are_refused(members, edit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "bad.pt2", edited_graph(members, edit))
    with pytest.raises(ValueError, match="could run any code"):
        read_program(path)
    assert not (tmp_path / "bang").exists()


def test_guards_are_not_run(members, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = edited_graph(members, lambda graph: graph.update(guards_code=[CODE]))
    read_program(write(tmp_path / "bad.pt2", bad)).module()(torch.ones(2, 3))
    assert not (tmp_path / "bang").exists()


@pytest.mark.parametrize("kind", ["sample inputs", "weights", "legacy weights", "library"])
def test_pickles_and_libraries_are_refused(members, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = dict(members)
    root = next(iter(members)).partition("/")[0]
    if kind == "sample inputs":
        bad[member(members, "sample_inputs/model.pt")] = bomb()
    elif kind == "weights":
        config = member(members, "weights_config.json")
        bad[config] = members[config].replace(b'"use_pickle": false', b'"use_pickle": true')
        assert bad[config] != members[config]
        bad[member(members, "weights/weight_0")] = bomb()
    elif kind == "legacy weights":
        bad[f"{root}/data/weights/model.pt"] = bomb()
    else:
        bad[f"{root}/data/aotinductor/model/model.so"] = b"\x7fELF"
    with pytest.raises(ValueError, match=r"bad\.pt2"):
        read_program(write(tmp_path / "bad.pt2", bad))
    assert not (tmp_path / "bang").exists()


def test_the_bomb_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.load(io.BytesIO(bomb()), weights_only=False)
    assert (tmp_path / "bang").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>"])
def test_other_files_are_one_sentence(content, tmp_path):
    (tmp_path / "other.pt2").write_bytes(content)
    with pytest.raises(ValueError, match=r"no torch\.export program"):
        read_program(tmp_path / "other.pt2")
    with pytest.raises(FileNotFoundError, match="no such model file"):
        read_program(tmp_path / "none.pt2")
