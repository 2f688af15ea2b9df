"""A saved state is whole or not there; what is damaged is noticed, and the one before found."""

from __future__ import annotations

import os
import threading

import pytest
import torch

from pose_hrnet.config.files import load_config
from pose_hrnet.models.weights.load import load_network
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.states import LAST, PREVIOUS, StateWriter, read_newest_state
from tests.helpers.training_runs import NETWORK, Killed, dies_at


def state(number):
    return {"number": number, "weights": torch.full((5000,), float(number)), "lines": [{"a": 1}]}


def save(folder, *numbers):
    with StateWriter(folder) as writer:
        for number in numbers:
            writer.save(state(number))


def newest(folder):
    found = read_newest_state(folder)
    assert torch.equal(found["weights"], state(found["number"])["weights"])
    return found["number"]


def flip_byte(path, share):
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0x10
    path.write_bytes(content)


def test_the_last_two_states_are_kept(tmp_path):
    assert read_newest_state(tmp_path) is None
    save(tmp_path, 1, 2, 3)
    assert {path.name for path in tmp_path.iterdir()} == {LAST, PREVIOUS}
    assert newest(tmp_path) == 3
    (tmp_path / LAST).unlink()
    assert newest(tmp_path) == 2


@pytest.mark.parametrize("call", range(7))
@pytest.mark.parametrize("function", ["os.replace", "os.fsync", "torch.save"])
def test_an_end_at_any_moment_leaves_a_whole_state(tmp_path, monkeypatch, function, call):
    """State 1 is saved; 2, 3 or 4 is in the making when the run ends."""
    save(tmp_path, 1)
    module = (
        "pose_hrnet.training.states" if function == "torch.save" else "pose_hrnet.system.files"
    )
    true = {"os.replace": os.replace, "os.fsync": os.fsync, "torch.save": torch.save}[function]
    monkeypatch.setattr(f"{module}.{function}", dies_at(call, true))
    finished = [1]
    for number in (2, 3, 4):
        writer = StateWriter(tmp_path)
        writer.save(state(number))
        try:
            writer.finish()
        except Killed:
            break
        finished.append(number)
    monkeypatch.undo()
    assert newest(tmp_path) in (finished[-1], finished[-1] + 1)
    save(tmp_path, 9)
    assert newest(tmp_path) == 9


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_state_that_is_cut_short_is_noticed(tmp_path, caplog, share):
    save(tmp_path, 1, 2)
    content = (tmp_path / LAST).read_bytes()
    (tmp_path / LAST).write_bytes(content[: int(share * len(content))])
    assert newest(tmp_path) == 1
    assert f"{tmp_path / LAST} is damaged" in caplog.text
    assert f"goes on from the state before it, {tmp_path / PREVIOUS}" in caplog.text
    # The damaged one must not take the place of the whole one while the next is written.
    save(tmp_path, 3)
    (tmp_path / LAST).unlink()
    assert newest(tmp_path) == 1


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_byte_that_changed_is_noticed(tmp_path, share):
    """By its checksum, which PyTorch writes and does not read."""
    save(tmp_path, 1, 2)
    flip_byte(tmp_path / LAST, share)
    assert newest(tmp_path) == 1
    flip_byte(tmp_path / PREVIOUS, share)
    with pytest.raises(ValueError, match=r"last\.pt is damaged .*, and .*previous\.pt is damaged"):
        read_newest_state(tmp_path)


def test_no_bit_of_the_directory_hides_the_state_before(tmp_path):
    """Names, sizes, flags and places in the archive have no checksum of their own."""
    save(tmp_path, 1, 2)
    content = (tmp_path / LAST).read_bytes()
    begin = content.rindex(b"PK\x01\x02", 0, content.index(b"PK\x05\x06"))
    for position in range(begin, len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        (tmp_path / LAST).write_bytes(flipped)
        assert newest(tmp_path) in (1, 2)
    for offset, value in ((8, 1), (10, 99)):  # a password; a compression that nobody knows
        flipped = bytearray(content)
        flipped[begin + offset] = value
        (tmp_path / LAST).write_bytes(flipped)
        assert newest(tmp_path) == 1
        save(tmp_path, 3)
        assert newest(tmp_path) == 3


def test_saving_does_not_wait_and_copies_what_later_steps_change(tmp_path, monkeypatch):
    true, goes_on = torch.save, threading.Event()

    def when_it_may(*arguments):
        assert goes_on.wait(60), "`save` waits for what it leaves to another thread"
        true(*arguments)

    monkeypatch.setattr("pose_hrnet.training.states.torch.save", when_it_may)
    changing = state(1)
    with StateWriter(tmp_path) as writer:
        writer.save(changing)
        changing["weights"].fill_(7)
        changing["lines"].append(7)
        changing["lines"][0]["a"] = 7
        goes_on.set()
    assert newest(tmp_path) == 1
    assert read_newest_state(tmp_path)["lines"] == [{"a": 1}]


def test_a_save_that_fails_is_tried_again_with_the_best_weights(tmp_path, monkeypatch, caplog):
    model, card = build_model(load_config("demo", ["data.skeleton=coco17", *NETWORK]))
    weights = model.state_dict()

    def no_space(*_arguments):
        raise OSError(28, "No space left on device")

    with StateWriter(tmp_path) as writer:
        writer.save(state(1))
        writer.finish()
        with monkeypatch.context() as patch:
            patch.setattr("pose_hrnet.training.states.save_model", no_space)
            writer.save(state(2), best=(weights, card))
            with pytest.raises(OSError, match="the last state of the run could not be saved"):
                writer.finish()
        assert newest(tmp_path) == 1  # a state never tells of a best that is not there
        writer.save(state(3))
    assert newest(tmp_path) == 3
    loaded = load_network(tmp_path / "best.safetensors").network.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in weights.items())
    with monkeypatch.context() as patch, StateWriter(tmp_path) as writer:
        patch.setattr("pose_hrnet.training.states.torch.save", no_space)
        writer.save(state(4))
        # Private: `finish` would raise, and a later save would not tell.
        writer._join()
        patch.undo()
        writer.save(state(5))
    assert "could not be saved" in caplog.text
    assert "No space left on device" in caplog.text
    assert newest(tmp_path) == 5


def test_an_error_that_is_no_full_disk_is_not_swallowed(tmp_path):
    writer = StateWriter(tmp_path)
    writer.save({"function": lambda: None})
    with pytest.raises(Exception, match="pickle"):
        writer.finish()
