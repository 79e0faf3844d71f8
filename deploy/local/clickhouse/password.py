"""The folder of a stack's embedded database in; the password for writing, created if missing, out."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def password_of(path: Path) -> str:
    """The password of a stack's database, created if missing; it lies beside the engine's directory."""
    file = path.with_suffix(".password")
    with suppress(FileExistsError), open(file, "x", opener=_private) as new:
        new.write(secrets.token_urlsafe(32))
    return file.read_text().strip()


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
