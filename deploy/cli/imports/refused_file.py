"""Refused rows in; a file beside the source with a JSON line for each, which is there only if there are any, out."""

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self


class RefusedFile:
    """The file opens with its first row; bytes behind ``keep`` belong to rows that will come again."""

    def __init__(self, path: Path, keep: int) -> None:
        self.path = path
        self._keep = keep
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        if not self._keep:
            self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def open(self) -> BinaryIO:
        """For appending; it holds personal data, so only its owner may read it."""
        if self._file is None:
            self.path.touch(mode=0o600)
            self._file = self.path.open("r+b")
            self._file.truncate(self._keep)
            self._file.seek(self._keep)
        return self._file
