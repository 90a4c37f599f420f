"""How long a person waits at the prompt: `python -m tests.bench.bench_submit`.

Whole processes, best of five, with compiled bytecode as an installation has it. The goals are
120 ms for --help and 300 ms for the script of GPT-NeoX-20B on Frontier.
"""

import os
import subprocess
import sys
import time

RUNS = 5
CASES = {
    "neox-submit --help": ("neox.submit.cli", ("--help",), 0.120),
    "neox --help": ("neox.run.cli", ("--help",), 0.120),
    "20B on 12 nodes of Frontier, --print": (
        "neox.submit.cli",
        ("--site", "frontier", "--account", "abc123", "--nodes", "12", "--print", "20B"),
        0.300,
    ),
}


def main() -> int:
    late = False
    for name, (module, arguments, goal) in CASES.items():
        best = min(seconds(module, arguments) for _ in range(RUNS + 1))
        late |= best > goal
        print(f"{name:40} {best * 1000:4.0f} ms  (goal {goal * 1000:.0f})")
    return int(late)


def seconds(module: str, arguments: tuple[str, ...]) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
