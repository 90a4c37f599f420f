"""SIGKILL at random instants of a save: what was published before stays loadable."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from neox.checkpoint import directory
from neox.checkpoint.reader import open_checkpoint
from tests.checkpoint.save_forever import tensor_of

KILLS = 20


def kill_after_a_save(root: Path, delay: float) -> int:
    """The last step that the process reported before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.checkpoint.save_forever", str(root)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    reported = int(process.stdout.readline())  # now it is saving the next one
    time.sleep(delay)
    process.kill()
    lines = process.stdout.read().split()
    process.wait()
    return int(lines[-1]) if lines else reported


@pytest.mark.slow
def test_twenty_kills_leave_the_last_checkpoint_loadable(tmp_path: Path) -> None:
    dice = random.Random(20)
    drafts = 0
    for _ in range(KILLS):
        reported = kill_after_a_save(tmp_path, dice.uniform(0.0, 0.04))
        drafts += any(tmp_path.glob(".step-*.tmp"))
        reader = open_checkpoint(tmp_path)
        assert reader.step >= reported  # it may have been published and not yet reported
        reader.verify()
        for n in range(4):
            got = reader.read_whole(f"layers.{n}.mlp.linear1.bias")
            assert torch.equal(got, tensor_of(reader.step))
        assert reader.state == {"step": reader.step}
    assert drafts > KILLS // 4  # the kills did hit saves
    directory.tidy(tmp_path)
    assert not list(tmp_path.glob(".*"))
