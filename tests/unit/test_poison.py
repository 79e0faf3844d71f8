"""Bytes of any kind, as keys and values of topics and as rows of a state: passed over and logged, never fatal."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.events.merge_map import MergeMapReplica
from ingest.events.receipts import Receipts
from processors.membership import contact_state
from processors.segments.partition import COVERAGE, SCANNED
from processors.segments.unit import REBUILD
from schemas.control import control_state
from schemas.control.control_state import KINDS, ControlState
from schemas.control.definitions import Workspace
from schemas.records import codec
from tests.property.world_segments import SegmentsWorld, contact_of, event, partition_of
from tests.support.builders import cid

WORKSPACE = Workspace(id="local", workspace="local", created_ms=1, name="Local")
KEYS = [
    None,
    b"",
    b"poison",
    b"local/workspace",
    b"\xff\xfe/workspace/local",
    b"local/nosuchkind/x",
    b"//",
    b"local/progress/seg_1.notanumber",
    b"local/progress/seg_1.",
    b"local/progress/seg_1.99999999999999999999999",
    *(f"local/{kind}/x".encode() for kind in KINDS),
]
VALUES = [
    None,
    b"",
    b"\xff",
    b"null",
    b"[]",
    b"1e999",
    b'"text"',
    b"[" * 5000,
    b'{"a":' * 2000,
    b'{"id": "x", "workspace": "local", "created_ms": 1e30}',
    b'{"id": 1, "workspace": ["local"], "created_ms": "now"}',
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", VALUES)
def test_control_passes_over_what_it_cannot_read(key: bytes | None, value: bytes | None) -> None:
    state = ControlState()
    state.apply(*control_state.encode("workspace", WORKSPACE))
    state.apply(key, value)
    assert state.workspaces == {"local": WORKSPACE}


@given(st.binary(max_size=80) | st.none(), st.binary(max_size=200) | st.none())
def test_control_takes_any_bytes(key: bytes | None, value: bytes | None) -> None:
    state = ControlState()
    state.apply(key, value)
    assert state.unreadable in (0, 1)


def test_a_definition_whose_value_names_another_workspace_is_passed_over() -> None:
    state = ControlState()
    _, value = control_state.encode("workspace", WORKSPACE)
    state.apply(control_state.record_key("workspace", "other", "other"), value)
    assert state.workspaces == {}
    assert state.unreadable == 1


def _cut_and_padded(data: bytes) -> list[bytes]:
    return [b"", b"\xc3\x01", data[:5], data[: len(data) // 2], data[:-1], data + b"x", b"\xc3\x01" + b"x" * 8 + data]


@pytest.mark.parametrize("key", [b"edge", b"other", None])
def test_receipts_pass_over_what_they_cannot_read(key: bytes | None) -> None:
    receipts = Receipts("edge")
    whole = codec.encode_receipts([])
    for value in [*_cut_and_padded(whole), None, b"{}"]:
        receipts.apply(SimpleNamespace(key=key, value=value))
    assert receipts._waiters == {}


@pytest.mark.parametrize("version", [-1, 2**62, -(2**62)])
def test_the_edges_merge_map_passes_over_what_it_cannot_read(version: int, tmp_path: Path) -> None:
    view = MergeMapReplica(tmp_path / "view", 1)
    row: Any = {
        "workspace": "local",
        "environment": "production",
        "loser": cid("email:a@b.c"),
        "winner": cid("external_id:u"),
        "version": version,
        "at_ms": 0,
        "event_id": "e",
        "identifier": {"type": "email", "value": "a@b.c"},
    }
    whole = codec.encode_merge(row)
    for offset, value in enumerate([*_cut_and_padded(whole), whole]):
        view.apply(SimpleNamespace(partition=0, offset=offset, value=value))
    assert view.positions() == {0: len(_cut_and_padded(whole)) + 1}
    assert view.winner(cid("email:a@b.c")) == (cid("external_id:u") if version > 0 else cid("email:a@b.c"))


ROWS = [b"", b"x", b"\x00" * 8, b"\x00" * 8 + b"{}", contact_state.NO_DUE + b"[1]", (1).to_bytes(8) + b"\xff" * 30]


@pytest.mark.parametrize("row", ROWS)
def test_a_contacts_row_that_cannot_be_read_stops_no_other(row: bytes) -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(event("seen", user="ann"))
    partition = partition_of(contact_of("external_id", "ann"))
    broken = contact_of("external_id", "broken").encode()
    for key in (broken, REBUILD + broken, b"\xff\xfe"):
        world.store.rows[partition][key] = row
    world.restart()
    world.define("other", {"event": "bought", "count": {"op": "gte", "value": 2}})
    world.follow()
    world.fire()
    world.send(event("bought", user="ann"))
    assert world.segments_of("ann") == {"it"}


@pytest.mark.parametrize("row", [*ROWS, orjson.dumps({"done": 1, "plans": []}), b"[[1]]", b"null"])
@pytest.mark.parametrize("key", [SCANNED, COVERAGE])
def test_bookkeeping_that_cannot_be_read_is_made_anew(key: bytes, row: bytes) -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(event("seen", user="ann"))
    world.store.rows[partition_of(contact_of("external_id", "ann"))][key] = row
    world.restart()
    world.send(event("bought", user="ann"))
    assert world.segments_of("ann") == {"it"}
