"""All GPU tests and benches in one go: `make test-gpu`, or `python -m tests.gpu [LOG]`.

Builds the kernels for this machine's GPU, runs every test marked gpu, the kernels under
compute-sanitizer, and the kernel bench. The log begins with commit and card.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import torch

from neox.ops.on_gpu import architecture

ROOT = Path(__file__).resolve().parent.parent
SANITIZER = ("compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9")


def main(log: Path) -> int:
    if not torch.cuda.is_available():
        print("tests.gpu: torch sees no GPU here", file=sys.stderr)
        return 4
    gpu = torch.device("cuda", 0)
    neox = (sys.executable, "-m", "neox.run.cli", "kernels")
    steps: list[tuple[str, Sequence[str]]] = [
        ("build", (*neox, "build", "--arch", architecture(gpu))),
        ("tests", (sys.executable, "-m", "pytest", "-q", "-m", "gpu", *_files())),
        ("bench", (*neox, "bench")),
    ]
    if shutil.which(SANITIZER[0]):
        steps.insert(2, ("sanitizer", (*SANITIZER, *neox, "test")))
    with log.open("w") as out:
        _both(out, f"{_commit()} on {torch.cuda.get_device_name(gpu)}, torch {torch.__version__}")
        codes = {name: _run(out, name, argv) for name, argv in steps}
        _both(out, ", ".join(f"{name}: {code}" for name, code in codes.items()))
    return max(codes.values())


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
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "test-gpu.log")))
