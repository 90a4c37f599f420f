"""Rows of a parquet file, as JSON: the rest of the room knows one form of a document."""

import json
from collections.abc import Iterator
from pathlib import Path

from neox.data.errors import DataError

ROWS = 1024  # decoded at a time


def parquet_rows(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[bytes, int]]:
    """Each row's columns `keys` as a JSON object, and the share of the file read, in bytes.

    Raises DataError where a column is not there or holds what JSON does not know.
    """
    try:
        import pyarrow as arrow  # noqa: PLC0415  # optional
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise DataError(f"{path}: needs pyarrow; pip install 'neox[parquet]'") from None
    size = path.stat().st_size
    row = 0
    try:
        with parquet.ParquetFile(path) as file:
            _require_columns(path, file.schema_arrow.names, keys)
            for batch in file.iter_batches(batch_size=ROWS, columns=list(keys)):
                for values in batch.to_pylist():
                    row += 1
                    yield json.dumps(values).encode(), size * row // file.metadata.num_rows
    except TypeError as error:
        raise DataError(
            f"{path}: row {row}: {error}; columns hold text, numbers or lists"
        ) from None
    except arrow.ArrowException as error:
        raise OSError(str(error).splitlines()[0]) from None


def _require_columns(path: Path, there: list[str], keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if key not in there]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(map(repr, missing))}; it has {', '.join(there)}"
        )
