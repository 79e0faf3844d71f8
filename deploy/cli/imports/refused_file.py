"""Refused rows in; a file beside the source with a JSON line for each out; without refused rows there is no file."""

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self


class RefusedFile:
    """Creates the file at its first row; drops bytes behind ``keep``: their rows will be sent again."""

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
        """Opens the file to append, for its owner alone, as it holds personal data."""
        if self._file is None:
            self.path.touch(mode=0o600)
            self._file = self.path.open("r+b")
            self._file.truncate(self._keep)
            self._file.seek(self._keep)
        return self._file
