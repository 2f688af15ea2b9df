"""Who does not watch is told nothing, and work need not know."""

from __future__ import annotations

from pose_hrnet.system.progress import SILENT


def test_silence_takes_what_a_bar_takes(capsys):
    with SILENT.task("epoch 1", 10, "crops") as outer, SILENT.task("predict", 3, "images") as bar:
        outer.advance(4, "loss 0.1")
        outer.advance_to(8)
        bar.advance()
    assert capsys.readouterr() == ("", "")
