"""Saves a growing series of checkpoints until it is killed.

`python -m tests.checkpoint.save_forever ROOT` forks such a process for each line of its input
(a fork spares each the import of torch) and prints its process id, then each step it saved.
"""

import os
import sys
from pathlib import Path

import torch

from neox.checkpoint import directory
from neox.checkpoint.fragment import Fragment, whole
from neox.checkpoint.manifest import About
from neox.checkpoint.store import CheckpointWriter

SIZE = 300_000
torch.set_num_threads(1)  # threads would not survive the fork


def tensor_of(step: int) -> torch.Tensor:
    return torch.full((SIZE,), float(step))


def save_forever(root: Path) -> None:
    about = About(model={}, configs={}, geometry={}, versions={})
    done = directory.steps(root)
    step = done[-1] if done else 0
    writer = CheckpointWriter(
        root, rank=0, world_size=1, attempt=f"from-{step}", about=about, keep_last=2
    )
    while True:
        step += 1
        fragments = [
            Fragment(
                name=f"layers.{n}.mlp.linear1.bias", kind="weight", shape=(SIZE,),
                box=whole((SIZE,)), start=0, data=tensor_of(step),
            )
            for n in range(4)
        ]  # fmt: skip
        writer.save(step, fragments, state={"step": step}, rank_state={})
        writer.publish()
        writer.wait()
        print(step, flush=True)


def serve(root: Path) -> None:
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            print(os.getpid(), flush=True)
            save_forever(root)
        os.waitpid(child, 0)
        print("killed", flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
