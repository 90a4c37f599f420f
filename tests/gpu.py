"""All GPU tests and benches in one go: `make test-gpu`, or `python -m tests.gpu`.

Builds the kernels for this machine's GPU, runs every test marked gpu, the kernels under
compute-sanitizer, the kernel bench, tunes the products of the step bench and runs that: more than
an hour on an H200, of which tuning is a third. The log begins with commit and card.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import torch

from neox.ops.on_gpu import architecture
from tests.bench.step.cases import CASES, Case

ROOT = Path(__file__).resolve().parent.parent
SANITIZER = ("compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9")
NEOX = (sys.executable, "-m", "neox.run.cli")
STEP = (sys.executable, "-m", "tests.bench.step")
LARGE = 130e9  # bytes of a GPU on which the step bench runs all its cases with their peers
STEPS = ("build", "tests", "sanitizer", "bench", "tune", "step", "step-1.4B", "step-ways")


def main() -> int:
    asked = _parser().parse_args()
    if not torch.cuda.is_available():
        print("tests.gpu: torch sees no GPU here", file=sys.stderr)
        return 4
    gpu = torch.device("cuda", 0)
    steps = _steps(gpu)
    with asked.log.open("w") as out:
        _both(out, f"{_commit()} on {torch.cuda.get_device_name(gpu)}, torch {torch.__version__}")
        codes = {
            name: max(_run(out, name, argv) for argv in steps[name])
            for name in asked.only
            if name in steps
        }
        missing = {name: "not on this machine" for name in asked.only if name not in steps}
        _both(out, ", ".join(f"{name}: {end}" for name, end in (codes | missing).items()))
    return max(codes.values(), default=4)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("log", type=Path, nargs="?", default=Path("test-gpu.log"))
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS, help="a part of it")
    return parser


def _steps(gpu: torch.device) -> dict[str, list[Sequence[str]]]:
    kernels = (*NEOX, "kernels")
    steps: dict[str, list[Sequence[str]]] = {
        "build": [(*kernels, "build", "--arch", architecture(gpu))],
        "tests": [(sys.executable, "-m", "pytest", "-q", "-m", "gpu", *_files())],
    }
    if shutil.which(SANITIZER[0]):
        steps["sanitizer"] = [(*SANITIZER, *kernels, "test")]
    steps["bench"] = [(*kernels, "bench")]
    large = torch.cuda.get_device_properties(gpu).total_memory >= LARGE
    cases = ("160M", "410M", "1.4B") if large else ("160M",)
    steps["tune"] = [tuning(CASES[name]) for name in cases]
    if not large:
        return steps | {"step": [(*STEP, "160M", "--peers", "plain", "hf")]}
    # at 1.4B neither fp8 nor Hugging Face eager fits 140 GB beside Hugging Face compiled
    steps["step"] = [(*STEP, "160M", "410M", "--peers", "plain", "hf", "hf-eager")]
    steps["step-1.4B"] = [(*STEP, "1.4B", "1.4B-16k", "--peers", "plain", "hf")]
    steps["step-ways"] = [(*STEP, "1.4B", "--peers", "nvtx", "zero1", "fp8")]
    return steps


def tuning(case: Case) -> Sequence[str]:
    """The products that a case of the step bench multiplies; 1.4B-16k has those of 1.4B."""
    return (*NEOX, "tune", f"configs/{case.config}.yml", *case.overrides)


def _run(out: TextIO, name: str, argv: Sequence[str]) -> int:
    _both(out, f"--- {name}: {' '.join(argv)}")
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            _both(out, line.rstrip())
    return child.returncode


def _both(out: TextIO, line: str) -> None:
    print(line, flush=True)
    print(line, file=out, flush=True)


def _files() -> list[str]:
    """Those with a GPU test: others may need what a GPU machine's Python lacks."""
    files = (path for path in (ROOT / "tests").rglob("test_*.py"))
    return sorted(str(path.relative_to(ROOT)) for path in files if "mark.gpu" in path.read_text())


def _commit() -> str:
    said = subprocess.run(
        ("git", "describe", "--always", "--dirty"), cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return said.stdout.strip() or "no commit"


if __name__ == "__main__":
    sys.exit(main())
