"""Exports of a running stack: all that was sent comes out, by the API alone, whole files or none."""

import csv
import json
import secrets
import stat
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet
import pytest

from tests.e2e.cli.test_cli import headwater, lines
from tests.support.stack import LocalStack

pytestmark = pytest.mark.e2e
BEARER = {"Authorization": "Bearer sk_dev_local"}
PEOPLE, EVENTS = 130, 250


@pytest.fixture(scope="module")
def sent(stack: LocalStack) -> str:
    """A name; with it people in a segment of that name, and events of a type of that name."""
    name = f"x{secrets.token_hex(4)}"
    rule = {"event": name, "count": {"op": "gte", "value": 1}}
    with httpx.Client(base_url=stack.url, headers=BEARER, trust_env=False, timeout=60) as client:
        assert client.post("/v1/segments", json={"name": name, "rule": rule}).status_code == 201
        events: list[dict[str, Any]] = [
            {"type": name, "user_id": f"{name}-{n % PEOPLE}", "event_id": f"{name}-{n}", "properties": {"n": n}}
            for n in range(EVENTS)
        ]
        answer = client.post("/v1/events/batch?sync=true&timeout_ms=10000", json=events)
        assert answer.status_code in (200, 202), answer.text
    return name


def test_a_segment_and_its_events_come_out_whole(stack: LocalStack, sent: str, tmp_path: Path) -> None:
    out = tmp_path / "members.csv"
    done = headwater(stack, "export", "segment", sent, "-o", str(out))
    assert done.returncode == 0, done.stderr
    with out.open(newline="") as file:
        members = list(csv.DictReader(file))
    assert sorted(row["external_id"] for row in members) == sorted(f"{sent}-{n}" for n in range(PEOPLE))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    out = tmp_path / "events.parquet"
    done = headwater(stack, "export", "events", "--type", sent, "-o", str(out))
    assert done.returncode == 0, done.stderr
    rows = pyarrow.parquet.read_table(out).to_pylist()
    assert sorted(json.loads(row["properties"])["n"] for row in rows) == list(range(EVENTS))
    assert {row["contact_id"] for row in rows} == {row["id"] for row in members}


def test_everything_of_one_person(stack: LocalStack, sent: str) -> None:
    done = headwater(stack, "export", "person", f"external_id:{sent}-3")
    assert done.returncode == 0, done.stderr
    rows = lines(done.stdout)
    assert [row["kind"] for row in rows] == ["contact", "identity", "segment", "event", "event"]
    assert {row["event_id"] for row in rows if row["kind"] == "event"} == {f"{sent}-3", f"{sent}-{3 + PEOPLE}"}


def test_what_is_not_there_leaves_no_file(stack: LocalStack, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    assert headwater(stack, "export", "segment", "no such segment", "-o", str(out)).returncode == 2
    assert headwater(stack, "export", "person", "external_id:nobody", "-o", str(out)).returncode == 4
    assert headwater(stack, "export", "contacts", "-o", str(tmp_path / "no" / "x.csv")).returncode == 2
    assert list(tmp_path.iterdir()) == []
