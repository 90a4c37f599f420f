"""For which GPUs a library holds code, read from the file itself.

CUDA: fat binaries, each a header (magic, version, header size, size) and entries (kind, version,
header size, size; the architecture at byte 28): as gpuocelot and cuobjdump read them. HIP: bundle
entries by name.
"""

import re
import struct
from pathlib import Path

_FATBIN = struct.Struct("<IHHQ")
_MAGIC = 0xBA55ED50
_ENTRY = struct.Struct("<HHIQ")
_ARCH_AT = 28
_MACHINE_CODE = 2
_BUNDLE = re.compile(rb"hipv4-amdgcn-amd-amdhsa--(gfx[0-9a-f]+)")


def architectures(library: Path) -> tuple[str, ...]:
    data = library.read_bytes()
    found = {f"sm_{number}" for number in _cuda(data)}
    found |= {match[1].decode() for match in _BUNDLE.finditer(data)}
    return tuple(sorted(found))


def _cuda(data: bytes) -> set[int]:
    magic, found = struct.pack("<I", _MAGIC), set[int]()
    at = data.find(magic)
    while at >= 0:
        _, _, header, size = _FATBIN.unpack_from(data, at)
        found |= _entries(data[at + header : at + header + size])
        at = data.find(magic, at + header + size)
    return found


def _entries(body: bytes) -> set[int]:
    at, found = 0, set[int]()
    while at + _ARCH_AT + 4 <= len(body):
        kind, _, header, size = _ENTRY.unpack_from(body, at)
        if header == 0:
            break
        if kind == _MACHINE_CODE:
            found |= set(struct.unpack_from("<I", body, at + _ARCH_AT))
        at += header + size
    return found
