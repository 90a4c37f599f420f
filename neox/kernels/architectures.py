"""GPU architectures by their compilers' names: sm_90, gfx90a."""

import re

from neox.kernels.errors import KernelError

_CUDA = re.compile(r"sm_(\d+)(\d)([af]?)")
_ROCM = re.compile(r"gfx[0-9a-f]{3,4}")

# compiled by nvcc 13.0 and hipcc 5.2, sm_90 and gfx90a in the tests; others are left to a site's
# own toolchain, untested
TESTED = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "gfx90a")


def check(names: tuple[str, ...]) -> None:
    """Raises KernelError for what is no architecture, or for those of two makers at once."""
    for name in names:
        if not (_CUDA.fullmatch(name) or _ROCM.fullmatch(name)):
            raise KernelError(f"{name!r} is no GPU architecture; there are {', '.join(TESTED)}")
    if len({name.startswith("sm_") for name in names}) > 1:
        raise KernelError(f"{', '.join(names)}: one library holds code of one maker's GPUs")
    if not names:
        raise KernelError("for which GPUs? say --arch sm_90 (or another), or --site SITE")


def runs_on(code: str, gpu: str) -> bool:
    """Does code for `code` run on a GPU of architecture `gpu`?

    NVIDIA's code runs on later minor revisions of its own major one (CUDA C++ programming guide,
    binary compatibility); with a suffix, and AMD's, only on the same.
    """
    made, card = _CUDA.fullmatch(code), _CUDA.fullmatch(gpu)
    if made is None or card is None or made[3]:
        return code.partition(":")[0] == gpu.partition(":")[0]
    return made[1] == card[1] and int(made[2]) <= int(card[2])
