"""Two million merges in; memory and look-up time of the edge's replica and of identity's map, on disk, out."""

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from rocksdict import Options, Rdict

from ingest.events.merge_map import MergeMapReplica
from processors.runtime.table import STORE_OPTIONS
from schemas.records import codec, identity, mergemap
from schemas.records.records import Merge
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, ident

LOOKUPS = 20_000


class _Record(NamedTuple):
    partition: int
    offset: int
    value: bytes


def _id(kind: str, n: int) -> str:
    """Returns the contact id of an identifier too long for the cache of ids, whose memory must not count here."""
    return identity.contact_id(WORKSPACE, ENVIRONMENT, kind, f"{n:0100}")


def _merge(n: int) -> Merge:
    return Merge(
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        loser=_id("anonymous_id", n),
        winner=_id("external_id", n // 4),
        version=n + 1,
        at_ms=NOW_MS,
        event_id=f"evt_{n}",
        identifier=ident(f"anonymous_id:{n}"),
    )


def _lookups(count: int, of: Callable[[str], str | None]) -> dict[str, float]:
    """Measures microseconds of a look-up, of ids that lost and of ids that never did."""
    rng = random.Random(1)
    figures = {}
    for what, kind in (("that lost", "anonymous_id"), ("that never did", "email")):
        ids = [_id(kind, rng.randrange(count)) for _ in range(LOOKUPS)]
        if (of(ids[0]) not in {None, ids[0]}) != (kind == "anonymous_id"):
            raise AssertionError(f"the map does not hold what it was given: {ids[0]}")
        began = time.perf_counter()
        for contact_id in ids:
            of(contact_id)
        figures[f"us a look-up, ids {what}"] = round((time.perf_counter() - began) / LOOKUPS * 1e6, 1)
    return figures


def merges(count: int = 2_000_000) -> dict[str, Any]:
    process = psutil.Process()
    figures: dict[str, Any] = {"merges": count}
    with tempfile.TemporaryDirectory() as folder:
        before = process.memory_info().rss
        view = MergeMapReplica(Path(folder) / "view", 1)
        began = time.perf_counter()
        for n in range(count):
            view.apply(_Record(0, n, codec.encode_merge(_merge(n))))
        figures["merges/s into the edge's view"] = round(count / (time.perf_counter() - began))
        lookups = _lookups(count, view.winner)
        figures["edge's view"] = {"MB of memory": _megabytes(process, before), **lookups}
        view.close()
        figures["edge's view"]["MB on disk"] = _size(Path(folder) / "view")
        figures["identity's map"] = _table(count, Path(folder) / "map", process)
    return figures


def _table(count: int, folder: Path, process: psutil.Process) -> dict[str, Any]:
    """Opens a partition's store like the runtime, with all merges in one."""
    before = process.memory_info().rss
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(STORE_OPTIONS["write_buffer_size"])
    options.set_max_write_buffer_number(STORE_OPTIONS["max_write_buffer_number"])
    options.set_target_file_size_base(STORE_OPTIONS["target_file_size_base"])
    options.set_max_open_files(STORE_OPTIONS["max_open_files"])
    table = Rdict(str(folder), options)
    for n in range(count):
        merge = _merge(n)
        table[merge["loser"].encode()] = mergemap.row_of(merge)
    lookups = _lookups(count, lambda loser: table.get(loser.encode()))
    figures = {"MB of memory": _megabytes(process, before), **lookups}
    table.close()
    return figures | {"MB on disk": _size(folder)}


def _megabytes(process: psutil.Process, before: int) -> int:
    return round((process.memory_info().rss - before) / 1e6)


def _size(folder: Path) -> int:
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6)
