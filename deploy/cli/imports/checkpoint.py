"""The progress of an import in; a file beside its source, from which the same command resumes, out."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import orjson

from deploy.client.config import ConfigError

SUFFIX, REFUSED_SUFFIX = ".headwater-import.json", ".refused.ndjson"


@dataclass(slots=True, kw_only=True)
class Totals:
    """``sent = stored + duplicate + refused`` once all rows are settled."""

    sent: int = 0
    stored: int = 0
    duplicate: int = 0
    refused: int = 0
    conflicts: int = 0
    """Duplicates whose id came before with other content: theirs was not stored."""
    resent: int = 0
    """Of the duplicates those that were sent more than once here, as the API did not answer in time or we were ended:
    their first copy may be this import's own."""
    warnings: int = 0
    """Rows that were taken with one: an invalid address, for example."""


@dataclass(slots=True, kw_only=True)
class Checkpoint:
    """``digest`` and ``purpose`` identify the import: a changed file or mapping does not continue an earlier import."""

    digest: str
    purpose: str
    as_of: str
    """ISO 8601, for rows that have no time: the same in each part of one import."""
    line: int = 0
    """The last row whose outcome is known."""
    refused_bytes: int = 0
    """Of the file of refused rows."""
    totals: Totals


def load(path: Path) -> Checkpoint | None:
    """Reads a checkpoint; raises ``ConfigError`` for another file."""
    try:
        value: Any = orjson.loads(path.read_bytes())
        totals = Totals(**value.pop("totals"))
        checkpoint = Checkpoint(**value, totals=totals)
    except FileNotFoundError:
        return None
    except (OSError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path} is no checkpoint: {error}; --restart begins anew") from error
    numbers = [
        checkpoint.line,
        checkpoint.refused_bytes,
        *(getattr(checkpoint.totals, field.name) for field in fields(Totals)),
    ]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ConfigError(f"{path} is no checkpoint; --restart begins anew")
    return checkpoint


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the file atomically, for its owner alone."""
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    partial.write_bytes(orjson.dumps(asdict(checkpoint)))
    partial.replace(path)
