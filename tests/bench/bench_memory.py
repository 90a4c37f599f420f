"""Measured peaks of training beside the plan's estimate: `python -m tests.bench.bench_memory`.

Needs a GPU. Each case trains a few steps on random tokens in a process of its own, and must lie
within 15 % of the estimate. `--list` prints the estimates alone, without a GPU.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neox.config.derive import resolve
from neox.config.load import load
from neox.config.run_config import RunConfig
from neox.config.spec import model_spec
from neox.models.spec import ModelSpec
from neox.submit.geometry import geometry_of
from neox.submit.memory import StageMemory, fullest, stages

if TYPE_CHECKING:
    from neox.data.batch import Batch

CONFIGS = Path(__file__).parents[2] / "configs"
WITHIN = 0.15
STEPS = 4
FORMATS = {"bf16": "bfloat16", "fp16": "fp16", "fp32": "fp32"}


@dataclass(frozen=True, kw_only=True)
class Case:
    config: str
    precision: str
    micro_batch: int
    accumulation: int = 1
    recompute: int = 0  # layers in a group; 0 keeps all

    def resolved(self) -> RunConfig:
        overrides = [
            f"precision={FORMATS[self.precision]}",
            f"train_batch_size={self.micro_batch * self.accumulation}",
            f"train_micro_batch_size_per_gpu={self.micro_batch}",
            f"checkpoint_activations={'true' if self.recompute else 'false'}",
            f"checkpoint_num_layers={self.recompute or 1}",
        ]
        if self.precision != "fp16":
            overrides.append("fp16={enabled: false}")
        return resolve(load((CONFIGS / f"{self.config}.yml",), overrides), 1)


SIZES = (("pythia/70M", 8), ("pythia/160M", 8), ("pythia/410M", 4))
CASES = (
    *(Case(config=c, precision=p, micro_batch=b) for c, b in SIZES for p in FORMATS),
    *(Case(config=c, precision="bf16", micro_batch=4 * b, recompute=1) for c, b in SIZES),
    *(Case(config=c, precision="bf16", micro_batch=1, accumulation=4) for c, _ in SIZES),
    *(Case(config=c, precision="bf16", micro_batch=b, recompute=4) for c, b in SIZES),
    Case(config="pythia/410M", precision="bf16", micro_batch=1),
)


def estimate(case: Case) -> StageMemory:
    config = case.resolved()
    return fullest(stages(config, model_spec(config), geometry_of(config, 1)))


def measure(case: Case) -> int:
    """Bytes that torch had allocated at most, over a few steps."""
    import torch

    from neox.parallel.mesh import single_process
    from neox.train.session import build_engine

    config = case.resolved()
    spec = model_spec(config)
    engine = build_engine(config, spec, single_process(torch.device("cuda", 0)))
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(STEPS):
        result = engine.step(_batches(case, config, spec), lr=1e-4, stop=False)
        assert float(result.bad) == 0 or case.precision == "fp16"
    return torch.cuda.max_memory_allocated()


def _batches(case: Case, config: RunConfig, spec: ModelSpec) -> "list[Batch]":
    import torch

    from neox.data.batch import Batch

    length = config.model.seq_length or 0
    shape = (case.micro_batch, length + 1)
    weight = float(case.micro_batch * case.accumulation * length)
    return [
        Batch(
            tokens=torch.randint(spec.vocab_size, shape),
            loss_mask=torch.ones(case.micro_batch, length),
            weight=weight,
        )
        for _ in range(case.accumulation)
    ]


def _measured_apart(case: Case) -> int:
    """In a process of its own: nothing of another case is left on the GPU."""
    argv = (sys.executable, "-m", "tests.bench.bench_memory", "--one", json.dumps(asdict(case)))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-1500:], flush=True)
        return 0
    return int(done.stdout.split()[-1])


def main(words: list[str]) -> int:
    if words[:1] == ["--one"]:
        print(measure(Case(**json.loads(words[1]))))
        return 0
    head = ("config", "format", "batch", "again", "GB", "estimate", "off", "at")
    line = "{:12} {:6} {:>6} {:>5} {:>8} {:>8} {:>7}  {}"
    print(line.format(*head))
    outside = 0
    for case in CASES:
        guess = estimate(case)
        real = 0 if words == ["--list"] else _measured_apart(case)
        off = guess.total / real - 1 if real else 0.0
        outside += abs(off) > WITHIN or (not real and words != ["--list"])
        batch = f"{case.micro_batch}x{case.accumulation}"
        cells = (case.config, case.precision, batch, case.recompute)
        numbers = (f"{real / 1e9:.2f}", f"{guess.total / 1e9:.2f}", f"{off:+.1%}", guess.moment)
        print(line.format(*cells, *numbers), flush=True)
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
