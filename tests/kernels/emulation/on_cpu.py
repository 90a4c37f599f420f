"""The kernels under the operations of `neox.ops` on this CPU, and all cases of `neox kernels test`.

As a program it watches every access to memory, with g++'s AddressSanitizer: see `watched`.
"""

import ctypes
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import torch

from neox.ops import (
    adamw,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    glu,
    install,
    layer_norm,
    rotary,
    scaled_sum,
    softmax,
    squared_norm,
    trial,
)
from neox.ops.library import Argument, pack
from tests.kernels.emulation import translate

REFERENCES: dict[str, Callable[..., object]] = {
    "norm": layer_norm.norm_reference,
    "norm_backward": layer_norm.norm_backward_reference,
    "bias_gelu": gelu.bias_gelu_reference,
    "bias_gelu_backward": gelu.bias_gelu_backward_reference,
    "glu": glu.glu_reference,
    "glu_backward": glu.glu_backward_reference,
    "dropout_add": dropout.dropout_add_reference,
    "dropout_add_backward": dropout.dropout_add_backward_reference,
    "softmax": softmax.softmax_reference,
    "softmax_backward": softmax.softmax_backward_reference,
    "rotate_": rotary.rotate_reference_,
    "join_heads": rotary.join_reference,
    "turn_back_": rotary.turn_back_reference_,
    "cross_entropy_": cross_entropy.cross_entropy_reference_,
    "shard_statistics": cross_entropy.shard_statistics_reference,
    "shard_gradient_": cross_entropy.shard_gradient_reference_,
    "squared_norm": squared_norm.squared_norm_reference,
    "embedding_backward": embedding.embedding_backward_reference,
    "scaled_sum": scaled_sum.scaled_sum_reference,
    "adamw_": adamw.adamw_reference_,
}
# Elements of the largest case: a thread costs more here than on a GPU, and more where watched.
# The kernel of the loss goes another way where rows are long, the embedding's where they are many.
LARGEST = {"": 20_000, "cross_entropy_": 130_000}
LARGEST_WATCHED = {"": 3_000, "embedding_backward": 20_000}
# Coroutines have stacks of their own, of which the sanitizer knows nothing.
WATCH = ("-fsanitize=address", "--param", "asan-stack=0", "-g1", "-O0")


class OnCpu:
    """As KernelLibrary launches, with scratch memory that is poisoned."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self.launches = 0

    def launch(self, name: str, *arguments: Argument) -> None:
        kernel = self._library[f"neox_{name}"]
        packed, size, where = pack(arguments), 0, None
        if hasattr(self._library, f"neox_{name}_scratch"):
            query = self._library[f"neox_{name}_scratch"]
            query.restype = ctypes.c_int64
            size = query(packed, len(arguments))
            scratch = torch.full((size,), 255, dtype=torch.uint8)  # NaN
            where = ctypes.c_void_p(scratch.data_ptr())
        status = kernel(packed, len(arguments), where, ctypes.c_size_t(size), None)
        assert status == 0, f"{name}: status {status}"
        self.launches += 1


def failures(emulated: OnCpu, names: Collection[str], largest: dict[str, int]) -> list[str]:
    """Of these operations the cases in which the kernel is not its reference.

    `largest`: how many elements a case may have, "" for those that are not named.
    """
    failed = []
    with torch.library._scoped_library("neox", "IMPL") as library:
        for name in names:
            library.impl(name, _routed(name, emulated), "CPU")
        for case in trial.cases(torch.device("cpu")):
            if case.op not in names or _size(case) > largest.get(case.op, largest[""]):
                continue
            verdict = trial.run(case)
            if not verdict.passed:
                failed.append(f"{case.name}: off by {verdict.error:.1e}, repeats {verdict.repeats}")
    return failed


def _routed(name: str, emulated: OnCpu) -> Callable[..., object]:
    """fp64 to the reference, everything else to the kernel."""
    kernel = functools.partial(install.all_kernels()[name], emulated.launch)

    def call(*arguments: object) -> object:
        tensors = [
            one
            for value in arguments
            for one in (value if isinstance(value, list) else [value])
            if isinstance(one, torch.Tensor) and one.is_floating_point()
        ]
        wide = tensors[0].dtype == torch.float64
        return (REFERENCES[name] if wide else kernel)(*arguments)

    return call


def _size(case: trial.Case) -> int:
    flat = [v for value in case.arguments for v in (value if isinstance(value, list) else [value])]
    return max((one.numel() for one in flat if isinstance(one, torch.Tensor)), default=0)


def watched(kernels: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the cases with this folder's kernels, and end with 0 if all is well.

    An access outside of a tensor, or to memory that was given back, ends it and is named.
    """
    environ = {
        **os.environ,
        "LD_PRELOAD": " ".join(_of_the_compiler(one) for one in ("libasan.so", "libstdc++.so.6")),
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
    }
    argv = (sys.executable, "-m", "tests.kernels.emulation.on_cpu", str(kernels), *names)
    root = Path(__file__).parents[3]
    return subprocess.run(argv, env=environ, cwd=root, capture_output=True, text=True, check=False)


def _of_the_compiler(name: str) -> str:
    argv = ("g++", f"-print-file-name={name}")
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    kernels, *names = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        emulated = OnCpu(translate.build(Path(kernels), Path(folder), *WATCH))
        failed = failures(emulated, names or REFERENCES, LARGEST_WATCHED)
    print(f"{emulated.launches} launches", *failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
