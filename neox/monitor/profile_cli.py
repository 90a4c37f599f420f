"""`neox profile summary TRACE`: where the recorded steps went."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from neox.config.derive import resolve
from neox.config.load import load
from neox.config.places import ConfigErrors
from neox.config.spec import model_spec
from neox.monitor.ceilings import MEASURED, Ceiling, Work, least_seconds
from neox.monitor.trace import TraceError, read_trace
from neox.monitor.trace_picture import picture
from neox.monitor.trace_summary import summarise, table
from neox.run.exit_codes import ExitCode

FOUR_BYTES = (None, "fp32")


def main(argv: Sequence[str]) -> int:
    asked = _parser().parse_args(argv)
    try:
        trace = read_trace(asked.trace, asked.steps)
        ceiling = _ceiling(asked, trace.gpu)
        run_yml = asked.run or asked.trace.resolve().parent.parent / "run.yml"
        work = _work(run_yml) if ceiling is not None and run_yml.is_file() else None
        least = least_seconds(work, ceiling) if work is not None and ceiling is not None else None
        summary = summarise(trace, least)
        print("\n".join(table(summary)))
        _say_what_is_missing(ceiling, run_yml, trace.gpu)
        if asked.svg is not None:
            asked.svg.write_text(picture(summary), encoding="utf-8")
            print(f"\n{asked.svg}")
    except (TraceError, ConfigErrors, OSError) as error:
        print(f"neox profile summary: {error}", file=sys.stderr)
        return ExitCode.REFUSED
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neox profile")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    one = verbs.add_parser(
        "summary",
        help="a trace of --profile torch as a table, against the roofline",
        description="Time by kind of kernel, what was idle, and the least time that the model's "
        "work takes on this card, for a trace RUN/profiles/*.json.gz of torch's profiler.",
    )
    one.add_argument("trace", type=Path, metavar="TRACE", help="the .json.gz or .json")
    one.add_argument("--run", type=Path, metavar="RUN_YML", help="its run.yml (RUN/run.yml)")
    one.add_argument("--steps", type=int, help="how many it holds (its name says)")
    one.add_argument("--svg", type=Path, metavar="FILE", help="write the table as a picture, too")
    one.add_argument("--tflops", type=float, help="of a large product on this card (measured ones)")
    one.add_argument("--tb-per-second", type=float, help="of a large copy, both ways together")
    return parser


def _ceiling(asked: argparse.Namespace, gpu: str) -> Ceiling | None:
    if asked.tflops and asked.tb_per_second:
        return Ceiling(products=asked.tflops * 1e12, memory=asked.tb_per_second * 1e12)
    return MEASURED.get(gpu)


def _work(run_yml: Path) -> Work:
    config = resolve(load([run_yml]), None)
    batch, length = config.batch, config.model.seq_length or 0
    micro = batch.train_micro_batch_size_per_gpu or 1
    samples = micro * (batch.gradient_accumulation_steps or 1)
    return Work(
        spec=model_spec(config),
        tokens=samples * length,
        length=length,
        element=4 if config.precision.precision in FOUR_BYTES else 2,
    )


def _say_what_is_missing(ceiling: Ceiling | None, run_yml: Path, gpu: str) -> None:
    if ceiling is None:
        print(f"\nno roofline: {gpu} was not measured; give --tflops and --tb-per-second")
    elif not run_yml.is_file():
        print(f"\nno roofline: there is no {run_yml}; give --run RUN_YML")
