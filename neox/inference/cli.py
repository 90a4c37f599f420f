"""`neox generate RUN_YML`: text from the latest checkpoint of a run."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

import torch

from neox.checkpoint.errors import CheckpointError
from neox.checkpoint.reader import open_checkpoint
from neox.checkpoint.weights import load_weights, spec_of
from neox.config.derive import resolve
from neox.config.load import load
from neox.config.places import ConfigErrors
from neox.config.run_config import RunConfig
from neox.data.errors import DataError
from neox.data.tokenizers import load_tokenizer
from neox.inference.generate import GenerationError
from neox.inference.records import TextRecord, continue_texts, write_records
from neox.inference.sampling import Sampling
from neox.models.transformer import Transformer
from neox.run.exit_codes import ExitCode
from neox.run.paths import run_of

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class _Arguments(Protocol):
    """What the parser below fills in; None leaves it to run.yml."""

    run_yml: Path
    prompt: str | None
    input: Path | None
    output: Path | None
    checkpoint: Path | None
    iteration: int | None
    num_samples: int | None
    maximum_tokens: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    seed: int
    precision: str | None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neox generate",
        description="Continue prompts, or write new documents, with a run's latest checkpoint. "
        "Options that are left out come from run.yml.",
    )
    parser.add_argument("run_yml", type=Path, metavar="RUN_YML", help="the run's run.yml")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--prompt", help="text to continue")
    source.add_argument("--input", type=Path, help="file of prompts, one a line (prompt_end)")
    parser.add_argument("--output", type=Path, help="file for JSON lines; default: print texts")
    parser.add_argument("--checkpoint", type=Path, help="default: the run's checkpoints folder")
    parser.add_argument("--iteration", type=int, help="step to load; default: the latest")
    parser.add_argument("--num-samples", type=int, help="texts per prompt, or without one")
    parser.add_argument("--maximum-tokens", type=int, help="new tokens at most")
    parser.add_argument("--temperature", type=float, help="0: the likeliest token")
    parser.add_argument("--top-k", type=int, help="choose among this many; 0: all")
    parser.add_argument("--top-p", type=float, help="choose among this share; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--precision", choices=tuple(PRECISIONS), help="default: bf16 on a GPU, else fp32"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Returns 2 for a wrong config or option, 3 for a checkpoint, tokenizer or prompt file."""
    arguments = cast(_Arguments, _parser().parse_args(argv))
    try:
        _run(arguments)
    except (ConfigErrors, OptionError, GenerationError) as error:
        return _fail(error, ExitCode.CONFIG)
    except (CheckpointError, DataError) as error:
        return _fail(error, ExitCode.DATA)
    return ExitCode.DONE


class OptionError(ValueError):
    """A value of the command line that cannot be."""


def _fail(error: Exception, code: ExitCode) -> int:
    print(f"neox generate: {error}", file=sys.stderr)
    return code


def _run(arguments: _Arguments) -> None:
    config = _config(arguments)
    sampling = _sampling(config)
    contexts = _contexts(arguments, config)
    tokenizer = load_tokenizer(
        config.tokenizer.tokenizer_type, config.tokenizer.vocab_file, config.tokenizer.merge_file
    )
    folder = arguments.checkpoint or run_of(arguments.run_yml).checkpoints
    model = load_model(folder, arguments.iteration, arguments.precision)
    records = continue_texts(
        model,
        tokenizer,
        contexts,
        sampling=sampling,
        maximum_tokens=config.generation.maximum_tokens,
        seed=arguments.seed,
    )
    _deliver(records, _output(arguments, config))


def _config(arguments: _Arguments) -> RunConfig:
    """run.yml with the command line laid over its generation group."""
    config = resolve(load([arguments.run_yml]), None)
    given = {
        name: value
        for name, value in (
            ("num_samples", arguments.num_samples),
            ("maximum_tokens", arguments.maximum_tokens),
            ("temperature", arguments.temperature),
            ("top_k", arguments.top_k),
            ("top_p", arguments.top_p),
        )
        if value is not None
    }
    generation = replace(config.generation, **given)  # type: ignore[arg-type]
    for name, count in (
        ("num_samples", generation.num_samples),
        ("maximum_tokens", generation.maximum_tokens),
    ):
        if count < 1:
            raise OptionError(f"{name} is {count}; give 1 or more")
    return replace(config, generation=generation)


def _sampling(config: RunConfig) -> Sampling:
    wanted = config.generation
    try:
        return Sampling(temperature=wanted.temperature, top_k=wanted.top_k, top_p=wanted.top_p)
    except ValueError as error:
        raise OptionError(str(error)) from error


def _contexts(arguments: _Arguments, config: RunConfig) -> list[str]:
    """The prompts, each as often as samples are wanted; one empty prompt where there is none."""
    wanted = config.generation
    if arguments.prompt is not None:
        prompts = [arguments.prompt]
    elif arguments.input is not None:
        prompts = _prompts(arguments.input, wanted.prompt_end)
    elif wanted.sample_input_file is not None and wanted.text_gen_type != "unconditional":
        prompts = _prompts(Path(wanted.sample_input_file), wanted.prompt_end)
    else:
        prompts = [""]
    return [prompt for prompt in prompts for _ in range(wanted.num_samples)]


def _prompts(path: Path, prompt_end: str) -> list[str]:
    """Split, stripped, without the empty ones."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the prompts of {path}: {error}") from error
    found = [prompt.strip() for prompt in text.split(prompt_end)]
    prompts = [prompt for prompt in found if prompt]
    if not prompts:
        raise DataError(f"{path} holds no prompt; write one per line")
    return prompts


def load_model(folder: Path, step: int | None, precision: str | None) -> Transformer:
    """The model of a checkpoint, on the GPU if there is one.

    Raises CheckpointError when there is no checkpoint or it is damaged.
    """
    reader = open_checkpoint(folder, step)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = PRECISIONS[precision or ("bf16" if device.type == "cuda" else "fp32")]
    with torch.device("meta"):
        model = Transformer(spec_of(reader)).to(dtype)
    model.to_empty(device=device)
    load_weights(model, reader)
    return model


def _output(arguments: _Arguments, config: RunConfig) -> Path | None:
    """A file that the command line or the config names; the default name alone writes none."""
    if arguments.output is not None:
        return arguments.output
    named = config.generation.sample_output_file
    given = "sample_output_file" in config.origins
    return Path(named) if given and named is not None else None


def _deliver(records: list[TextRecord], output: Path | None) -> None:
    if output is None:
        for record in records:
            print(f"{record.context}{record.text or ''}")
            print(f"--- {record.length} tokens, {_ending(record)}")
        return
    try:
        write_records(output, records)
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}; name another file") from error
    print(f"wrote {len(records)} texts to {output}")


def _ending(record: TextRecord) -> str:
    return record.message or ("ended by the model" if record.finished else "cut at the limit")
