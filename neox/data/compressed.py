"""The content of packed text files, damage being said as an OSError."""

import gzip
import io
from pathlib import Path
from typing import BinaryIO

from neox.data.errors import DataError

PACKED = (".gz", ".zst")
PACKED_BYTES = 1 << 17  # read at a time


def opened(raw: BinaryIO, path: Path) -> BinaryIO | io.BufferedIOBase:
    """The content of a file, decompressed by its ending."""
    match path.suffix.lower():
        case ".gz":
            return gzip.GzipFile(fileobj=raw)
        case ".zst":
            return io.BufferedReader(_Unzstd(raw, path))
        case _:
            return raw


class _Unzstd(io.RawIOBase):
    """A .zst file of any number of frames; damage is an OSError, as gzip's is.

    Frame by frame, because the library's own reader takes a file cut short for its end.
    """

    def __init__(self, raw: BinaryIO, path: Path) -> None:
        try:
            import zstandard  # noqa: PLC0415  # optional
        except ImportError:
            raise DataError(f"{path}: needs zstandard; pip install 'neox[data]'") from None
        self._error = zstandard.ZstdError
        # the Pile's files were made with --long=31: windows up to 2 GiB
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._raw = raw
        self._packed = b""
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._plain:
            packed = self._packed or self._raw.read(PACKED_BYTES)
            if not packed:
                if self._frame is not None:
                    raise OSError("the file was cut short: its last frame does not end")
                return 0
            self._unpack(packed)
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size

    def _unpack(self, packed: bytes) -> None:
        frame = self._frame or self._decompressor.decompressobj()
        try:
            self._plain = memoryview(frame.decompress(packed))
        except self._error as error:
            raise OSError(str(error)) from None
        self._packed = frame.unused_data if frame.eof else b""
        self._frame = None if frame.eof else frame
