"""What nvcc and hipcc are told; one source, two compilers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_BOTH = ("-std=c++17", "-O3")


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    kind: Literal["cuda", "rocm"]
    cc: str  # nvcc, hipcc, or a path to it

    def compile(self, unit: Path, out: Path, architectures: tuple[str, ...]) -> tuple[str, ...]:
        """The command that makes an object file."""
        if self.kind == "cuda":
            targets = _targets(architectures)
            hidden = ("-Xcompiler", "-fPIC,-fvisibility=hidden")
            return (self.cc, *_BOTH, *hidden, *targets, "-c", str(unit), "-o", str(out))
        offload = (f"--offload-arch={name}" for name in architectures)
        words = ("-x", "hip", *_BOTH, "-fPIC", "-fvisibility=hidden")
        return (self.cc, *words, *offload, "-c", str(unit), "-o", str(out))

    def link(
        self, objects: tuple[Path, ...], out: Path, architectures: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The command that makes the library.

        CUDA's runtime goes inside; nvcc puts in an empty piece of code for each architecture. A HIP
        library names no runtime, so that it uses the one that torch has loaded: two in one process
        do not see each other's memory.
        """
        files = tuple(str(path) for path in objects)
        if self.kind == "cuda":
            words = ("-shared", "-cudart", "static", *_targets(architectures))
            return (self.cc, *words, *files, "-o", str(out))
        return ("c++", "-shared", *files, "-o", str(out))

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """hipcc otherwise guesses its platform, and takes NVIDIA's where it sees nvcc."""
        return {**environ, "HIP_PLATFORM": "amd"} if self.kind == "rocm" else dict(environ)

    @property
    def linker(self) -> str:
        return self.cc if self.kind == "cuda" else "c++"


def _targets(architectures: tuple[str, ...]) -> tuple[str, ...]:
    # Hopper's tensor cores multiply at full speed for code that runs nowhere else
    whole = ("sm_90a" if name == "sm_90" else name for name in architectures)
    codes = (f"arch=compute_{name[3:]},code={name}" for name in whole)
    return tuple(word for code in codes for word in ("-gencode", code))


def toolchain_for(architectures: tuple[str, ...], cc: str | None) -> Toolchain:
    if architectures[0].startswith("sm_"):
        return Toolchain(kind="cuda", cc=cc or "nvcc")
    return Toolchain(kind="rocm", cc=cc or "hipcc")
