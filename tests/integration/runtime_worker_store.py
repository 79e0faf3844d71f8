"""Settings in; the local stores of workers that do not run, out."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import orjson
from rocksdict import AccessType, Options, Rdict

from schemas.settings import Settings
from tests.integration.runtime_worker import ALARM, COUNTS

OFFSET_KEY = b"__faust\0offset__"
Row = tuple[int, bytes]
"""Partition and key."""


def state_dirs(settings: Settings) -> Path:
    return settings.home / "state"


def wipe(settings: Settings) -> None:
    shutil.rmtree(state_dirs(settings))


def stored(settings: Settings) -> dict[Row, bytes]:
    """The local stores of workers that do not run."""
    rows: dict[Row, bytes] = {}
    for path in state_dirs(settings).rglob(f"{COUNTS}-*.db"):
        partition = int(path.stem.rpartition("-")[2])
        database = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
        rows |= {(partition, key): value for key, value in database.items() if key != OFFSET_KEY}
        database.close()
    return rows


def counts_in(rows: Mapping[Row, bytes]) -> dict[Row, int]:
    return {row: orjson.loads(value)[0] for row, value in rows.items() if not row[1].startswith(ALARM)}
