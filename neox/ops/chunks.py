"""How the rows of the logits are cut; without torch, because the plan counts with it."""

LOGITS_BYTES = 2 << 30  # of one chunk, in the number format of the hidden states
PARTS_AT_ONCE = 4  # of the matrix's gradient, one of each chunk, that are added up in one pass
ROWS_AT_ONCE = 1024  # of a chunk, in the plain arithmetic, which needs copies in fp32


def fp32_copies(element: int) -> int:
    """Of those rows; logits in fp32 are read where they lie."""
    return 2 if element == 4 else 3


def chunk_rows(rows: int, vocab: int, element: int) -> int:
    """As few equal parts of the rows as keep their logits, `element` bytes each, small enough."""
    parts = max(1, -(-rows * vocab * element // LOGITS_BYTES))
    return -(-rows // parts)
