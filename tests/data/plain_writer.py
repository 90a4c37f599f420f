"""Token files written slowly and plainly, from the description of their bytes alone.

`.bin`: all sequences back to back, little-endian, one dtype. `.idx`: magic, u64 version 1, u8 dtype
code, u64 sequences, u64 document entries, then i32 lengths, i64 byte offsets, i64 document index.
"""

import struct

CODES = {"H": 8, "i": 4, "f": 6}  # struct's letter -> GPT-NeoX's code of u16, i32, f32


def plain_bytes(documents: list[list[float]], letter: str) -> tuple[bytes, bytes]:
    """`.bin` and `.idx` of documents of one sequence each."""
    tokens = b""
    lengths = offsets = b""
    entries = struct.pack("<q", 0)
    for number, document in enumerate(documents, start=1):
        lengths += struct.pack("<i", len(document))
        offsets += struct.pack("<q", len(tokens))
        entries += struct.pack("<q", number)
        for one in document:
            tokens += struct.pack(f"<{letter}", one)
    head = b"MMIDIDX\x00\x00" + struct.pack("<QB", 1, CODES[letter])
    head += struct.pack("<QQ", len(documents), len(documents) + 1)
    return tokens, head + lengths + offsets + entries
