"""Saves a growing series of checkpoints until it is killed: `python -m ... ROOT`."""

import sys
from pathlib import Path

import torch

from neox.checkpoint import directory
from neox.checkpoint.fragment import Fragment, whole
from neox.checkpoint.manifest import About
from neox.checkpoint.store import CheckpointWriter

SIZE = 300_000


def tensor_of(step: int) -> torch.Tensor:
    return torch.full((SIZE,), float(step))


def main(root: Path) -> None:
    torch.set_num_threads(1)
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
