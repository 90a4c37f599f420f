"""A run directory with a model and data so small that a step takes milliseconds."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neox.data.token_writer import TokenFileWriter
from neox.run.paths import RunPaths
from tests.train.ranks import free_port

VOCABULARY = 128


def write_tokens(prefix: Path, documents: int = 60) -> None:
    """Documents that count upwards, so that there is something to learn."""
    draw = np.random.default_rng(5)
    with TokenFileWriter(prefix, np.dtype(np.uint16)) as writer:
        for _ in range(documents):
            start, length = draw.integers(0, VOCABULARY), draw.integers(40, 90)
            writer.add((start + np.arange(length)) % VOCABULARY)


def config(data: Path, **changes: object) -> str:
    values: dict[str, object] = {
        "data_path": str(data),
        "split": "80,20,0",
        "vocab_size": VOCABULARY,
        "num_layers": 2,
        "hidden_size": 32,
        "num_attention_heads": 4,
        "seq_length": 32,
        "max_position_embeddings": 32,
        "pos_emb": "rotary",
        "rotary_pct": 0.25,
        "train_batch_size": 4,
        "train_micro_batch_size_per_gpu": 1,
        "train_iters": 8,
        "eval_interval": 4,
        "eval_iters": 2,
        "log_interval": 1,
        "checkpoint_factor": 4,
        "optimizer": {"type": "Adam", "params": {"lr": 0.001}},
        "warmup": 0.1,
    }
    return json.dumps(values | changes)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class TinyRun:
    def __init__(self, root: Path, **changes: object) -> None:
        data = root.parent / "tokens"
        if not data.with_name("tokens.bin").exists():
            write_tokens(data)
        self.paths = RunPaths(root)
        root.mkdir(parents=True)
        self.data = data
        self.configure(**changes)

    def configure(self, **changes: object) -> None:
        self.paths.run_config.write_text(config(self.data, **changes))

    def start(
        self, command: str = "train", *, ranks: int = 1, job: str = "7", **environ: str
    ) -> list[Ended]:
        """Run `neox COMMAND run.yml` in every rank and wait."""
        port = str(free_port())
        shared = {
            **{k: v for k, v in os.environ.items() if "RANK" not in k},
            "OMP_NUM_THREADS": "1",
            "NEOX_JOB_ID": job,
            **environ,
        }
        processes = []
        for rank in range(ranks):
            own = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(ranks),
                "LOCAL_WORLD_SIZE": str(ranks),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            }
            words = [sys.executable, "-P", "-m", "neox.run.cli", command]
            processes.append(
                subprocess.Popen(
                    [*words, str(self.paths.run_config)],
                    env=shared | own,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        return [_ended(process) for process in processes]

    def events(self, kind: str) -> list[dict[str, object]]:
        lines = self.paths.events.read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def losses(self) -> dict[object, tuple[object, object]]:
        """Step -> loss and norm, exact; a step that was taken twice counts as last taken."""
        return {e["step"]: (e["loss_hex"], e["grad_norm_hex"]) for e in self.events("step")}


def _ended(process: "subprocess.Popen[str]") -> Ended:
    out, err = process.communicate(timeout=240)
    return Ended(process.returncode, out, err)
