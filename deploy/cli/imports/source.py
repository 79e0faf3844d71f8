"""A file or stdin in; its unpacked bytes, with digest, size and read position, out.

The ids of rows follow from the digest, so a file is read once before its first row is sent; a temporary file holds
stdin for that. The first bytes show the compression: a file's name may be wrong.
"""

import gzip
import hashlib
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from deploy.client.config import ConfigError

STDIN = "-"
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to import; each ``unpacked`` reads its bytes from the start."""

    name: str
    path: Path | None
    """None: stdin."""
    raw: BinaryIO
    size: int
    """Bytes, as they lie on the disk."""
    digest: str
    """32 hex digits of the file's content."""

    @property
    def done(self) -> int:
        """The number of bytes read."""
        return self.raw.tell()

    def unpacked(self) -> io.BufferedReader:
        """Reads from the start; several gzip members or zstd frames form one stream."""
        self.raw.seek(0)
        head = self.raw.read(4)
        self.raw.seek(0)
        if head.startswith(GZIP):
            return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=self.raw)), CHUNK)
        if head == ZSTD:
            reader = zstandard.ZstdDecompressor().stream_reader(self.raw, read_across_frames=True, closefd=False)
            return io.BufferedReader(cast("io.RawIOBase", reader), CHUNK)
        return io.BufferedReader(cast("io.RawIOBase", _Unclosed(self.raw)), CHUNK)


class _Unclosed(io.RawIOBase):
    """A file that stays open after its reader closes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        data = self._file.read(len(memoryview(buffer)))  # type: ignore[arg-type]  # typeshed has no name for a buffer here
        memoryview(buffer)[: len(data)] = data  # type: ignore[arg-type]  # same
        return len(data)


@contextmanager
def opened(name: str) -> Iterator[Source]:
    """Opens the file; raises ``ConfigError`` if it is unreadable."""
    if name == STDIN:
        with tempfile.TemporaryFile() as file:
            shutil.copyfileobj(sys.stdin.buffer, file, CHUNK)
            yield _source("stdin", None, file)
        return
    path = Path(name)
    try:
        file_ = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from error
    with file_ as file:
        yield _source(name, path, file)


def _source(name: str, path: Path | None, file: BinaryIO) -> Source:
    file.seek(0)
    digest = hashlib.blake2b(digest_size=16)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return Source(name=name, path=path, raw=file, size=file.tell(), digest=digest.hexdigest())
