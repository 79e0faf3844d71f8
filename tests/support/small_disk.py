"""A folder in; a small file system mounted there, to fill and to empty, out."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SmallDisk:
    path: Path

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.path).free

    def fill(self) -> None:
        """Fills the disk to the last byte."""
        with (self.path / "filler").open("ab", buffering=0) as filler, suppress(OSError):
            for size in (MIB, 4096, 1):
                with suppress(OSError):
                    while True:
                        filler.write(b"x" * size)

    def clear(self) -> None:
        (self.path / "filler").unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, mib: int) -> Iterator[SmallDisk]:
    """Mounts a tmpfs; skips the test if this user may not mount."""
    path.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"NO SMALL DISK: {os.geteuid()=} may not mount one: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
