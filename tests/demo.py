"""`make demo`: the whole path on this machine, with what each step is for.

Real text becomes tokens, a job is rendered and reviewed, two CPU ranks train it in two links with a
resume between them, and the result is measured and sampled. Everything it makes lies in
demo-data/ and in a new folder of runs/.
"""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
CONFIG = "configs/demo.yml"
SPLIT = "95,5,0"  # as in the config
TOKENIZER = "demo-data/tokenizer.json"
TOKENS = Path("demo-data/python-stdlib_text_document")
NATS_BELOW_UNIGRAM = 0.3


def main() -> int:
    began = time.monotonic()
    run = free_name(Path("runs/demo"))
    heading("1. Real text that every machine has: the standard library's own sources")
    prepare()
    heading("2. A job of two links: planned, reviewed, submitted")
    submit("--site", "local", "--name", run.name, "--chain", "2", "--yes", CONFIG)
    heading("3. Two ranks train, save and leave half way; the second link resumes")
    submit("logs", str(run), "--follow")
    submit("status", str(run))
    heading("4. What has it learned?")
    verdict = judge(run)
    heading("5. A sample")
    sampling = ("--temperature", "0.7", "--maximum-tokens", "64")
    neox("generate", str(run / "run.yml"), "--prompt", "def main(", *sampling)
    heading("6. Where everything lies")
    for name, what in (
        ("job.sh", "the batch script; neox-submit explain says where each line comes from"),
        ("run.yml", "the one resolved config"),
        ("logs/", "a log for each job and each rank"),
        ("checkpoints/", "loads into any number of ranks"),
        ("state/", "events.jsonl, links.jsonl"),
    ):
        print(f"  {run / name!s:24} {what}")
    print(f"\n{time.monotonic() - began:.0f} s in all")
    return verdict


def free_name(wanted: Path) -> Path:
    """`wanted`, or with -2, -3 ... the first that no earlier demo has taken."""
    names = itertools.chain([wanted], (Path(f"{wanted}-{n}") for n in itertools.count(2)))
    return next(name for name in names if not name.exists())


def prepare() -> None:
    if TOKENS.with_name(TOKENS.name + ".idx").exists():
        print(f"{TOKENS}: there already")
        return
    corpus = ("--corpus", "python-stdlib")
    prefix = str(TOKENS).removesuffix("_text_document")
    neox("tokenizer", "train", *corpus, "--vocab-size", "4096", "--output", TOKENIZER)
    neox("data", "prepare", *corpus, "--append-eod", "--tokenizer", TOKENIZER,
         "--output-prefix", prefix)  # fmt: skip


def judge(run: Path) -> int:
    """Held-out loss beside the unigram entropy of the same tokens; 0 when it is well below."""
    events = [json.loads(line) for line in (run / "state/events.jsonl").read_text().splitlines()]
    resumed = [event["step"] for event in events if event["event"] == "start" and event["step"]]
    loss = [event["loss"] for event in events if event["event"] == "evaluation"][-1]
    entropy = unigram_entropy()
    below = entropy - loss
    print(f"  resumed after step  {', '.join(map(str, resumed)) or 'none'}")
    print(f"  held-out loss       {loss:.3f} nats per token")
    print(f"  unigram entropy     {entropy:.3f} nats per token, of the same tokens")
    print(f"  below it by         {below:.3f} (at least {NATS_BELOW_UNIGRAM} is asked for)")
    return 0 if resumed and below >= NATS_BELOW_UNIGRAM else 1


def unigram_entropy() -> float:
    """Of the held-out tokens, in nats: what one would reach who knows only how often each comes."""
    argv = (BIN / "neox", "data", "inspect", TOKENS, "--split", SPLIT, "--json")
    report = subprocess.run(argv, check=True, capture_output=True, text=True)
    return float(json.loads(report.stdout)["parts"]["valid"]["unigram_entropy"])


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def neox(*arguments: str) -> None:
    command("neox", *arguments)


def submit(*arguments: str) -> None:
    command("neox-submit", *arguments)


def command(name: str, *arguments: str) -> None:
    print("$", name, *arguments, flush=True)
    subprocess.run([BIN / name, *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
