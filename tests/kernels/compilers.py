"""A stand-in for nvcc: writes a library of the architectures that it is asked for."""

import os
import struct
from pathlib import Path

SCRIPT = r"""#!/bin/sh
out='' codes='' compile=''
while [ $# -gt 0 ]; do
  case $1 in
  --version) echo 'Cuda compilation tools, release 99.1, V99.1.2'; exit 0 ;;
  -o) out=$2; shift ;;
  -gencode) code=${2##*_}; codes="$codes ${code%[af]}"; shift ;;
  -c) compile=yes ;;
  *.o) objects="$objects $1" ;;
  esac
  shift
done
@EXTRA@
if [ -n "$compile" ]; then
  for code in $codes; do cat "@PIECES@/$code"; done >"$out"
else
  cat $objects >"$out"
fi
"""


def fatbin(number: int, kind: int = 2) -> bytes:
    """A fat binary with one entry: machine code (or PTX, kind 1) for sm_NUMBER."""
    body = b"x" * 8
    entry = struct.pack("<HHIQ", kind, 257, 64, len(body)).ljust(28, b"\0")
    entry = (entry + struct.pack("<I", number)).ljust(64, b"\0") + body
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entry)) + entry


def fake_nvcc(folder: Path, *, extra: str = "", codes: tuple[int, ...] = (80, 90)) -> Path:
    pieces = folder / "pieces"
    pieces.mkdir(parents=True)
    for code in codes:
        (pieces / str(code)).write_bytes(fatbin(code))
    compiler = folder / "nvcc"
    compiler.write_text(SCRIPT.replace("@EXTRA@", extra).replace("@PIECES@", str(pieces)))
    compiler.chmod(0o755)
    return compiler


def environ(folder: Path) -> dict[str, str]:
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
