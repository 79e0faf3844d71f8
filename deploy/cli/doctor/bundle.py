"""The findings and a stack's home in; an archive for an issue, without secrets and personal values, out.

It holds numbers and switches of settings, and only whether a text is set. It holds the types of logged errors and their
places in the code, without messages. Findings stay, without keys, addresses, host names and ids.
"""

import io
import platform
import re
import socket
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from deploy.client.config import ConfigError
from schemas.service.process import without_secrets
from schemas.settings import Settings

LOG_BYTES = 1_000_000
"""Of the end of each log."""
MOST_ERRORS = 50
SHORTEST = 4
"""Characters of a value that is worth hiding wherever it stands."""
PLAIN = frozenset(
    "http https localhost 127.0.0.1 0.0.0.0 headwater auto text json DEBUG INFO WARNING ERROR CRITICAL".split()
)
"""Parts of settings that tell nothing."""
_HIDDEN = re.compile(
    r"\b(?:cnt|evt|seg|key|whk|dlv|cmp|req|tst|ers|tsk|whsec)_[\w-]+"  # ids
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b|\[?[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,}\]?"  # addresses
    r"|(?:/(?:home|root|Users)\b|[A-Z]:\\)[^\s'\"]*"  # paths below a user's home
    r"|\+?\d[\d -]{8,}\d",  # phones
    re.IGNORECASE,
)
_KEPT = re.compile(r"127\.0\.0\.1|0\.0\.0\.0")
_LEVEL = re.compile(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_FRAME = re.compile(r'File "(?:[^"]*[/\\])?((?:deploy|ingest|processors|schemas|sinks)[/\\][\w./\\]+)", line (\d+)')
_ERROR = re.compile(r"^(?:[a-z_]+\.)*([A-Z]\w*(?:Error|Exception|Fault|Timeout|Interrupt|Exit))\b", re.MULTILINE)


class Redactor:
    """Texts in; the same texts without known secrets and possible personal values out."""

    def __init__(self, settings: Settings, secrets: Iterable[str]) -> None:
        names = (*secrets, *_secrets(settings), socket.gethostname())
        longest_first = sorted({name for name in names if len(name) >= SHORTEST}, key=len, reverse=True)
        paths = [f"{re.escape(str(path))}[^\\s'\"]*" for path in (settings.home.resolve(), Path.home())]
        self._known = re.compile("|".join((*paths, *map(re.escape, longest_first))))

    def text(self, text: str) -> str:
        shown = self._known.sub("…", without_secrets(text))
        return _HIDDEN.sub(lambda match: match[0] if _KEPT.fullmatch(match[0]) else "…", shown)

    def value(self, value: Any) -> Any:
        """Redacts all texts in a JSON value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(inner) for name, inner in value.items()}
        return [self.value(inner) for inner in value] if isinstance(value, list) else value


def _secrets(settings: Settings) -> list[str]:
    """Returns all texts of settings and their parts: any of them may be secret, and the bundle needs none."""
    texts = [value for value in settings.model_dump().values() if isinstance(value, str)]
    parts = [part for text in texts for part in (text, *re.split(r"[,\s:/@]+", text))]
    return [part for part in parts if part not in PLAIN and not part.isdigit()]


def write_bundle(
    path: Path, settings: Settings, logs: Path, findings: Sequence[Any], secrets: Iterable[str]
) -> list[str]:
    """Writes the archive; returns its file names. Raises ``ConfigError`` if the file exists or cannot be written."""
    redactor = Redactor(settings, secrets)
    files = {
        "findings.json": redactor.value(list(findings)),
        "settings.json": settings_of(settings),
        "versions.json": _versions(),
        "logs.json": {log.stem: troubles_of(_end_of(log)) for log in sorted(logs.glob("*.log"))},
    }
    try:
        with path.open("xb") as out:
            path.chmod(0o600)
            with tarfile.open(fileobj=out, mode="w:gz") as archive:
                for name, value in files.items():
                    _add(archive, name, orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    return list(files)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(f"headwater-doctor/{name}")
    entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
    archive.addfile(entry, io.BytesIO(data))


def settings_of(settings: Settings) -> dict[str, Any]:
    """Returns numbers and switches unchanged; for other values, whether they differ from the default."""
    shown: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, bool | int | float):
            shown[name] = value
        else:
            shown[name] = "default" if value == field.default else "set"
    return shown


def _versions() -> dict[str, Any]:
    packages = {package.name: package.version for package in metadata.distributions()}
    system = {"system": platform.system(), "release": platform.release(), "machine": platform.machine()}
    return {"python": sys.version.split()[0], **system, "packages": dict(sorted(packages.items()))}


def troubles_of(text: str) -> dict[str, Any]:
    """Counts a log's lines of each level, and its errors by kind and place in our code, most frequent first."""
    counts: Counter[tuple[str, ...]] = Counter()
    for part in text.replace("\\n", "\n").replace('\\"', '"').split("Traceback (most recent call last)")[1:]:
        error = _ERROR.search(part)
        before = part[: error.start()] if error else part[:2000]
        frames = [f"{file}:{line}" for file, line in _FRAME.findall(before)]
        counts[error[1] if error else "?", *frames[-8:]] += 1
    errors = [{"error": kind[0], "at": kind[1:], "times": times} for kind, times in counts.most_common(MOST_ERRORS)]
    return {"levels": Counter(_LEVEL.findall(text)), "errors": errors}


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, io.SEEK_END) - LOG_BYTES))
            return log.read().decode(errors="replace")
    except OSError:
        return ""
