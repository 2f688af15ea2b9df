"""``pose-hrnet serve`` as a user starts it."""

from __future__ import annotations

import socket

import pytest

from tests.helpers.command_line import run_here


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--whole-image", "--detector", "yolox_nano"], "give one"),
        (["--whole-image", "--detector-threshold", "0.5"], "does nothing with --whole-image"),
        (["--token", "short"], "--token must be at least 8 characters"),
        (["--token", "with spaces in it"], "--token must be at least 8 characters"),
        (["--host", "203.0.113.1", "--port", "0"], "cannot listen at 203.0.113.1"),
        (["--whole-image", "--device", "cpu,cpu", "--port", "0"], "name each device once"),
        (["--whole-image", "--checkpoint", "nowhere.pth", "--port", "0"], "nowhere.pth"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(options, sentence):
    _, said = run_here("serve", *options, code=2)
    assert sentence in said
    assert said.count("error:") == 1


def test_a_port_that_is_taken_is_said_before_anything_is_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _, said = run_here("serve", "--port", port, "--checkpoint", "nowhere.pth", code=2)
    assert f"cannot listen at 127.0.0.1 port {port}" in said
    assert "nowhere.pth" not in said
