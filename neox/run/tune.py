"""`neox tune CONFIG...`: which algorithms multiply a model's matrices fastest on this GPU."""

import argparse
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from neox.config.cli import split_words
from neox.config.derive import resolve
from neox.config.load import load
from neox.config.places import ConfigErrors
from neox.config.spec import require_built
from neox.config.vocabulary import with_vocabulary
from neox.data.errors import DataError
from neox.kernels.errors import KernelError
from neox.kernels.gemm import Gemm
from neox.kernels.gemm_table import add_to_table, read_table
from neox.ops.cublaslt import CublasLt
from neox.ops.gemm_tuning import tune
from neox.ops.on_gpu import gemm_library, gemm_table
from neox.run.exit_codes import INTERRUPTED, ExitCode
from neox.train import settings
from neox.train.gemms import gemms_of

PRODUCT, FOUND = "{:15} {:7} {:>23}  ", "{:>6} {:>6}  {:>6} {:>6}"


def main(argv: Sequence[str]) -> int:
    """Run `neox tune ARGV...`; exit codes as `--help` says them."""
    asked = _parser().parse_intermixed_args(argv)
    files, overrides = split_words(asked.words)
    try:
        config = resolve(with_vocabulary(load(files, overrides)), asked.ranks)
        require_built(config)
        root = asked.into or settings.kernel_store(config, os.environ)
        _tune(gemms_of(config), root, asked.again)
    except ConfigErrors as error:
        print(f"neox tune: {error}", file=sys.stderr)
        return ExitCode.CONFIG
    except DataError as error:
        print(f"neox tune: {error}", file=sys.stderr)
        return ExitCode.DATA
    except KernelError as error:
        print(f"neox tune: {error}", file=sys.stderr)
        return ExitCode.REFUSED
    except KeyboardInterrupt:
        print("neox tune: interrupted; what stands above is kept", file=sys.stderr)
        return INTERRUPTED
    return ExitCode.DONE


def _tune(gemms: dict[Gemm, str], root: Path, again: bool) -> None:
    if not gemms:
        raise KernelError("nothing to tune: the config's products are in fp32, or too small")
    device = torch.device("cuda", 0)
    library = gemm_library(device)
    path = gemm_table(root, device, library)
    there = {} if again else read_table(path)
    missing = [gemm for gemm in gemms if gemm not in there]
    print(f"{torch.cuda.get_device_name(device)}, cuBLASLt {library.version}; into {path}")
    print(f"{len(missing)} products to tune, {len(gemms) - len(missing)} are there")
    if not missing:
        return
    heads = ("torch", "tuned", "gain", "tried")
    print(PRODUCT.format("", "", "rows x outputs x inputs") + FOUND.format(*heads))
    began = time.monotonic()
    gained = [_report(library, device, path, gemms[gemm], gemm) for gemm in missing]
    better = sum(gain > 0 for gain in gained)
    print(
        f"{better} of {len(missing)} are faster now (milliseconds above); "
        f"{time.monotonic() - began:.0f} s"
    )


def _report(library: CublasLt, device: torch.device, path: Path, name: str, gemm: Gemm) -> float:
    """Tune it, keep what was found, and print the line of it; the share of time that it gains."""
    shape = f"{gemm.m:,} x {gemm.n:,} x {gemm.k:,}"
    print(PRODUCT.format(name, gemm.kind, shape), end="", flush=True)  # half a minute goes by
    try:
        tuned, tried = tune(library, gemm, device)
        add_to_table(path, {gemm: tuned})
    except BaseException:
        print()  # ends the line before what is said about it
        raise
    times = (f"{one * 1e3:.3f}" for one in (tuned.seconds_of_torch, tuned.seconds))
    gain = f"{tuned.gain:.1%}" if tuned.algorithm else "none"
    print(FOUND.format(*times, gain, f"{tried:,}"), flush=True)
    return tuned.gain


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neox tune",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=textwrap.dedent(
            """\
            Measure, on this machine's GPU, which of cuBLASLt's algorithms multiply the
            matrices of a model fastest, and keep what was found for every later job."""
        ),
        epilog=textwrap.dedent(
            """\
            torch takes the algorithm that would be fastest at full clocks. A GPU that
            trains runs at the limit of its power, where others are up to a tenth faster.
            Needs one NVIDIA GPU of the kind that will train, about ten minutes, and
            nothing of the data. What was found lies beside the kernels, one file for
            each kind of GPU and version of cuBLASLt; products that stand there are not
            tuned again.

              neox tune configs/pythia/1-4B.yml precision=bfloat16 fp16.enabled=false
              neox tune RUN/run.yml
              neox-submit --site perlmutter --job tune configs/pythia/1-4B.yml

            Exit codes: 0 done, 2 the config is wrong, 3 its tokenizer cannot be read,
            4 no GPU or no place to write."""
        ),
    )
    parser.add_argument(
        "words", nargs="+", metavar="FILE|KEY=VALUE", help="config files and values over them"
    )
    parser.add_argument(
        "--ranks", type=int, default=1, metavar="N",
        help="of the job that will train, where its micro-batch follows from that (default: 1)",
    )  # fmt: skip
    parser.add_argument("--again", action="store_true", help="tune what is there once more")
    parser.add_argument(
        "--into", type=Path, metavar="DIR",
        help="the store (default: the config's, $NEOX_KERNELS, or ~/.cache/neox/kernels)",
    )  # fmt: skip
    return parser
