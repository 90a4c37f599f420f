"""Run directories of the generic Slurm site in a folder of the test."""

from pathlib import Path

from neox.run.paths import RunPaths
from neox.submit.cli_args import parse_run
from neox.submit.cli_run import request_of
from neox.submit.edge import Surroundings
from neox.submit.preparing import Prepared, prepare
from neox.submit.record import write_run

CONFIG = """\
num_layers: 2
hidden_size: 32
num_attention_heads: 2
seq_length: 32
max_position_embeddings: 32
vocab_size: 64
train_iters: 20
train_micro_batch_size_per_gpu: 2
gradient_accumulation_steps: 1
data_path: data/tokens
optimizer: {type: Adam, params: {lr: 0.001}}
checkpoint_factor: 10
"""


def around(folder: Path, **environ: str) -> Surroundings:
    return Surroundings(
        environ={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environ},
        cwd=folder,
        home=folder,
        user="me",
        hostname="login1",
        python="/usr/bin/python3",
        cores=4,
        interactive=False,
    )


def prepared(folder: Path, *words: str, config: str = CONFIG) -> Prepared:
    path = folder / "tiny.yml"
    path.write_text(config)
    typed = ("--site", "slurm", "--name", "run", str(path), *words)
    here = around(folder)
    return prepare(request_of(parse_run(typed), ("neox-submit", *typed), here), here)


def written(folder: Path, *words: str) -> RunPaths:
    return write_run(prepared(folder, *words), "refuse").prepared.plan.run
