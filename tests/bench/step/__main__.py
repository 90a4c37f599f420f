"""A training step against its roofline and its peers, on one GPU: `python -m tests.bench.step`.

For each case the roofline's pieces, NeoX and the peers run in turn for whole windows after a
warm-up, because the card is limited by power and slows down as it heats. NeoX runs a shipped config
with its data path, logs and clipping; the plain PyTorch model starts from the same weights and sees
the same batches, so that the losses of both can be compared.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from statistics import fmean

import torch

from neox.config.run_config import RunConfig
from neox.config.spec import model_spec
from neox.data.run_order import training_order
from neox.kernels.place import store_root
from neox.models.count import flops_per_token
from neox.models.init import draw
from neox.models.shapes import parameter_shapes
from neox.models.spec import ModelSpec
from neox.ops.on_gpu import use_gemms, use_library
from neox.parallel.mesh import single_process
from neox.run.processes import leave
from neox.train import corpus, settings
from neox.train.schedules import learning_rate
from tests.bench.step.cases import CASES, Case
from tests.bench.step.contest import Contender, Steps, compete, enter, heat
from tests.bench.step.ours import OurStep, resolved, write_corpus
from tests.bench.step.peers import HuggingFaceStep
from tests.bench.step.plain import PlainStep
from tests.bench.step.roofline import Roofline
from tests.bench.step.traces import trace

LINE = "{:26} {:>8} {:>8} {:>7} {:>6} {:>6} {:>6} {:>7}"


PEERS = ("nvtx", "zero1", "fp8", "plain", "plain-eager", "hf-autocast", "hf", "hf-eager")
# whose losses: the last pair is the same arithmetic rounded in other places, as a yardstick
COMPARED = (("plain", "bf16"), ("bf16", "fp8"), ("bf16", "zero1"), ("plain", "plain eager"))
MEANS = 10  # steps
ZERO_1 = ("engine=deepspeed", "zero_optimization={stage: 1}")
FP8 = ("te_mha=true", "te_layernorm_mlp=true")


def main() -> None:
    asked = _parser().parse_args()
    gpu = torch.device("cuda", 0)
    library, tuned = use_library(asked.kernels, gpu), use_gemms(asked.kernels, gpu)
    _about(f"kernels {library.parent.name}, {len(tuned)} GEMMs tuned")
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "corpus"
        write_corpus(prefix, 40_000_000)
        for name in asked.case:
            _Contest(CASES[name], prefix, Path(folder) / name, asked).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.step", description=__doc__)
    parser.add_argument("case", nargs="+", choices=CASES)
    parser.add_argument(
        "--kernels",
        type=Path,
        default=store_root(os.environ),
        help="where `neox kernels build` and `neox tune` put what they made",
    )
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=[], help="which to run beside")
    parser.add_argument("--seconds", type=float, default=15.0, help="of a window (default: 15)")
    parser.add_argument("--rounds", type=int, default=2, help="windows of each (default: 2)")
    parser.add_argument(
        "--curve", type=int, default=200, help="steps whose losses are compared (default: 200)"
    )
    parser.add_argument("--trace", type=Path, metavar="DIR", help="keep a trace of each there")
    parser.add_argument("--warm-up", type=float, default=15.0, help="seconds (default: 15)")
    return parser


def _about(store: str) -> None:
    commit = subprocess.run(
        ("git", "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=False
    )
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, cuDNN "
        f"{torch.backends.cudnn.version()}, commit {commit.stdout.strip() or 'unknown'}, {store}",
        flush=True,
    )


@dataclass(frozen=True)
class Curve:
    """The losses of all steps that a contender has taken so far."""

    losses: Sequence[float | torch.Tensor]
    steps: Steps

    def until(self, length: int) -> list[float]:
        self.steps(max(0, length - len(self.losses)))
        return [float(loss) for loss in self.losses[:length]]


class _Contest:
    def __init__(self, case: Case, prefix: Path, folder: Path, asked: argparse.Namespace) -> None:
        self._case, self._asked, self._prefix, self._folder = case, asked, prefix, folder
        self._config = self._resolved()
        self._spec: ModelSpec = model_spec(self._config)
        self._sessions: list[OurStep] = []
        self._curves: dict[str, Curve] = {}

    def run(self) -> None:
        print(f"\n{self._case}", flush=True)
        contenders = []
        for name, make, window in self._makers():
            contender, first = enter(name, make, seconds=window)
            print(f"  {name}: the first step is done after {first:.1f} s", flush=True)
            contenders.append(contender)
        heat(contenders[1], self._asked.warm_up)
        compete(contenders, self._asked.rounds, lambda line: print(line, flush=True))
        self._table(contenders)
        if self._asked.trace is not None:
            trace(contenders, self._asked.trace, partial(print, flush=True))
        for one, other in COMPARED:
            self._compare(one, other)
        for ours in self._sessions:
            ours.session.close()
        leave()

    def _makers(self) -> Iterator[tuple[str, Callable[[], Steps], float]]:
        """Of each contender its name, how it is made, and the seconds of its windows."""
        seconds, hf = self._asked.seconds, self._hugging_face
        peers: dict[str, tuple[str, Callable[[], Steps], float]] = {
            "nvtx": ("NeoX, NVTX ranges", self._with_ranges, seconds),
            "zero1": ("NeoX, DeepSpeed ZeRO 1", self._zero_1, seconds),
            "fp8": ("NeoX, fp8", self._fp8, seconds),
            "plain": ("plain PyTorch, compiled", partial(self._plain, True), seconds),
            "plain-eager": ("plain PyTorch, eager", partial(self._plain, False), seconds / 3),
            "hf-autocast": ("HF, autocast, compiled", partial(hf, True, True), seconds / 3),
            "hf": ("HF, all bf16, compiled", partial(hf, True, False), seconds / 3),
            "hf-eager": ("HF, all bf16, eager", partial(hf, False, False), seconds / 3),
        }
        yield "roofline", self._roofline, seconds
        yield "NeoX", self._neox, seconds
        yield from (peers[name] for name in PEERS if name in self._asked.peers)

    def _roofline(self) -> Steps:
        pieces = Roofline(self._spec, self._case.batch, self._case.length)
        return _times(pieces.step)

    def _neox(self) -> Steps:
        return self._session("bf16", self._config)

    def _with_ranges(self) -> Steps:
        """The same run as a profile of nsys asks for it: every phase and layer a range."""
        steps = self._curves["bf16"].steps

        def named(number: int) -> None:
            with torch.autograd.profiler.emit_nvtx():  # type: ignore[no-untyped-call]
                steps(number)

        return named

    def _zero_1(self) -> Steps:
        return self._session("zero1", self._resolved(*ZERO_1))

    def _fp8(self) -> Steps:
        return self._session("fp8", self._resolved(*FP8))

    def _session(self, name: str, config: RunConfig) -> Steps:
        ours = OurStep(config, self._folder / name)
        self._sessions.append(ours)
        self._curves[name] = Curve(ours.losses, ours.steps)
        return ours.steps

    def _resolved(self, *more: str) -> RunConfig:
        return resolved(self._case, self._prefix, more)

    def _plain(self, compiled: bool) -> Steps:
        seed = self._config.training.seed
        weights = {
            name: draw(name, shape, self._spec, seed)
            for name, shape in parameter_shapes(self._spec).items()
        }
        optimizer = settings.optimizer_spec(self._config)
        step = PlainStep(self._spec, self._case.length, weights, optimizer, compiled=compiled)
        batches, schedule = _batches(self._config, self._spec), settings.schedule(self._config)
        number = count()

        losses: list[torch.Tensor] = []

        def one() -> None:
            losses.append(step.step(next(batches), learning_rate(schedule, next(number))))

        curve = Curve(losses, _times(one))
        self._curves["plain" if compiled else "plain eager"] = curve
        return curve.steps

    def _hugging_face(self, compiled: bool, autocast: bool) -> Steps:
        optimizer = settings.optimizer_spec(self._config)
        step = HuggingFaceStep(
            self._spec, self._case.length, optimizer, compiled=compiled, autocast=autocast
        )
        batches = _batches(self._config, self._spec)
        return _times(lambda: step.step(next(batches), 1e-4))

    def _table(self, contenders: list[Contender]) -> None:
        each = flops_per_token(self._spec, self._case.length)
        tokens = self._case.batch * self._case.length
        limit = contenders[0].seconds_per_step
        head = ("", "ms/step", "tokens/s", "TFLOP/s", "share", "W", "MHz", "GB")
        print(LINE.format(*head))
        for one in contenders:
            step = one.seconds_per_step
            numbers = (
                f"{step * 1e3:.1f}",
                f"{tokens / step:,.0f}",
                f"{each.full * tokens / step / 1e12:.0f}",
                f"{limit / step:.3f}",
                f"{one.watts:.0f}",
                f"{one.megahertz:.0f}",
                f"{one.peak / 1e9:.1f}",
            )
            print(LINE.format(one.name, *numbers), flush=True)

    def _compare(self, one: str, other: str) -> None:
        length = self._asked.curve
        if not length or one not in self._curves or other not in self._curves:
            return
        a, b = (self._curves[name].until(length) for name in (one, other))
        apart = _apart(a, b)
        worst = max(range(length), key=apart.__getitem__)
        over = sum(part > 0.01 for part in apart)
        print(
            f"loss over {length} steps: {one} {a[0]:.4f} -> {a[-1]:.4f}, {other} {b[0]:.4f} -> "
            f"{b[-1]:.4f}; apart on average {sum(apart) / length:.2%}, more than 1 % in {over} "
            f"steps, most in step {worst + 1}: {apart[worst]:.2%} ({a[worst]:.4f}, {b[worst]:.4f})"
            f"; means of {MEANS} steps at most {max(_apart(_means(a), _means(b))):.2%}",
            flush=True,
        )


def _apart(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [abs(y / x - 1) for x, y in zip(a, b, strict=True)]


def _means(losses: Sequence[float]) -> list[float]:
    """Of every MEANS steps in a row: single steps of a young model jump, each run's at its own."""
    starts = range(max(1, len(losses) - MEANS + 1))
    return [fmean(losses[at : at + MEANS]) for at in starts]


def _times(one: Callable[[], object]) -> Steps:
    def steps(number: int) -> None:
        for _ in range(number):
            one()

    return steps


def _batches(config: RunConfig, spec: ModelSpec) -> Iterator[torch.Tensor]:
    """The tokens that NeoX trains on, from its first step on."""
    mesh = single_process(torch.device("cuda", 0))
    loader = corpus.training_loader(
        config,
        training_order(config),
        settings.geometry(config, mesh),
        mesh,
        start=0,
        vocab_size=spec.vocab_size,
    )
    for batches in loader:
        yield batches[0].tokens


if __name__ == "__main__":
    main()
