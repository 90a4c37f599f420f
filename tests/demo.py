"""`make demo`: the whole path on this machine, with what each step is for.

Real text becomes tokens, a job is rendered and reviewed, two CPU ranks train it in two links with a
resume between them, and the result is measured and sampled. Everything it makes lies in
demo-data/ and runs/demo.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
DATA = Path("demo-data")
RUN = Path("runs/demo")
PREFIX = DATA / "python-stdlib_text_document"
CONFIG = "configs/demo.yml"
SPLIT = "95,5,0"  # as in the config
NATS_BELOW_UNIGRAM = 0.3


def main() -> int:
    began = time.monotonic()
    heading("1. Real text that every machine has: the standard library's own sources")
    if not PREFIX.with_suffix(".idx").exists():
        neox("tokenizer", "train", "--corpus", "python-stdlib", "--vocab-size", "4096",
             "--output", str(DATA / "tokenizer.json"))  # fmt: skip
        neox("data", "prepare", "--corpus", "python-stdlib", "--append-eod",
             "--tokenizer", str(DATA / "tokenizer.json"),
             "--output-prefix", str(DATA / "python-stdlib"))  # fmt: skip

    heading("2. The job: planned, reviewed, submitted as a chain of two links")
    submit("--site", "local", "--name", "demo", *fresh(), "--chain", "2", "--yes", CONFIG)

    heading("3. Two ranks train, save, stop half way; the second link resumes")
    submit("logs", "runs/demo", "--follow")
    submit("status", "runs/demo")

    heading("4. Has it learned anything?")
    verdict = judge()

    heading("5. A sample")
    neox("generate", str(RUN / "run.yml"), "--prompt", "def main(", "--temperature", "0.7",
         "--maximum-tokens", "64")  # fmt: skip

    heading("6. Where everything lies")
    print(f"  {RUN}/job.sh         the batch script")
    print(f"  {RUN}/run.yml        the resolved config")
    print(f"  {RUN}/logs/          one log per job and per rank")
    print(f"  {RUN}/checkpoints/   loads into any number of ranks")
    print(f"  {RUN}/state/         events.jsonl, links.jsonl")
    print(f"\n{time.monotonic() - began:.0f} s in all")
    return verdict


def fresh() -> tuple[str, ...]:
    return ("--fresh",) if RUN.exists() else ()


def judge() -> int:
    """Print the held-out loss beside the unigram entropy of the held-out tokens; 0 if it is below."""
    events = [json.loads(line) for line in (RUN / "state/events.jsonl").read_text().splitlines()]
    resumed = [event["step"] for event in events if event["event"] == "start" and event["step"]]
    loss = [event["loss"] for event in events if event["event"] == "evaluation"][-1]
    entropy = unigram_entropy()
    print(f"  resumed after step     {', '.join(map(str, resumed)) or 'never'}")
    print(f"  held-out loss          {loss:.3f} nats per token")
    print(f"  unigram entropy        {entropy:.3f} nats per token, of the same part of the text")
    print(
        f"  below it by            {entropy - loss:.3f} (at least {NATS_BELOW_UNIGRAM} is asked for)"
    )
    return 0 if resumed and entropy - loss >= NATS_BELOW_UNIGRAM else 1


def unigram_entropy() -> float:
    """Of the validation part, in nats: what a model that knows only frequencies would reach."""
    report = subprocess.run(
        [BIN / "neox", "data", "inspect", PREFIX, "--split", SPLIT, "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(json.loads(report.stdout)["parts"]["valid"]["unigram_entropy"])


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def neox(*arguments: str) -> None:
    command(BIN / "neox", *arguments)


def submit(*arguments: str) -> None:
    command(BIN / "neox-submit", *arguments)


def command(*argv: str | Path) -> None:
    print("$", " ".join([Path(argv[0]).name, *map(str, argv[1:])]), flush=True)
    subprocess.run(argv, check=True)


if __name__ == "__main__":
    sys.exit(main())
