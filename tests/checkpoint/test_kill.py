"""SIGKILL at random instants of a save: what was published before stays loadable."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from neox.checkpoint import directory
from neox.checkpoint.reader import open_checkpoint
from tests.checkpoint.save_forever import tensor_of

KILLS = 20


def kill_after_a_save(server: "subprocess.Popen[str]", delay: float) -> int:
    """The last step that the saving process reported before it was killed."""
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write("go\n")
    server.stdin.flush()
    process = int(server.stdout.readline())
    reported = int(server.stdout.readline())  # now it is saving the next one
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)
    for line in iter(server.stdout.readline, "killed\n"):
        reported = int(line)
    return reported


@pytest.fixture
def server(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.checkpoint.save_forever", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def test_twenty_kills_leave_the_last_checkpoint_loadable(
    tmp_path: Path, server: "subprocess.Popen[str]"
) -> None:
    dice = random.Random(20)
    drafts = 0
    for _ in range(KILLS):
        reported = kill_after_a_save(server, dice.uniform(0.0, 0.04))
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
