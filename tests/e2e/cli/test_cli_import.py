"""Files imported into a running stack: each row accounted for, a second run without effect, a killed one resumed."""

import csv
import gzip
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.cli.imports.checkpoint import SUFFIX
from deploy.local.stack import environment
from tests.support.interrupts import heed_interrupts
from tests.support.services import ROOT
from tests.support.stack import LocalStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e
BEARER = {"Authorization": "Bearer sk_dev_local"}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "deploy.cli", "import", *words, "--json"]


def env(stack: LocalStack) -> dict[str, str]:
    return {**os.environ, **environment(stack.settings)}


def imported(stack: LocalStack, *words: str, status: int = 0, data: bytes = b"") -> dict[str, Any]:
    done = subprocess.run(
        command(*words), cwd=ROOT, env=env(stack), input=data, capture_output=True, check=False, timeout=280
    )
    assert done.returncode == status, (done.stdout, done.stderr)
    totals: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "sent" in totals:
        assert totals["sent"] == totals["stored"] + totals["duplicate"] + totals["refused"]
    return totals


def counts(totals: dict[str, Any]) -> tuple[int, ...]:
    """Sent, stored, duplicate, refused. On a busy machine a request may be repeated: its rows are stored once."""
    again = totals["resent"] if totals["stored"] else 0
    return totals["sent"], totals["stored"] + again, totals["duplicate"] - again, totals["refused"]


def people(path: Path, name: str, count: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["User ID", "E-Mail", "Plan", "Visits", "Zip", "consents.email_marketing"])
        for n in range(count):
            writer.writerow([f"{name}-{n}", f"{name}-{n}@example.com", "pro", n, f"{n:05d}", "yes" if n % 2 else "no"])


def get(stack: LocalStack, path: str, shows: Callable[[Any], bool] = bool) -> Any:
    """What the path shows once it shows this: a contact's own row comes a moment after the events that it follows."""

    def ask() -> Any:
        answer = httpx.get(f"{stack.url}{path}", headers=BEARER, trust_env=False, timeout=30)
        assert answer.status_code in (200, 404), answer.text
        return answer.json() if answer.status_code == 200 else None

    return wait_until(ask, path, 60, meets=lambda value: value is not None and shows(value), every_s=0.1)


def test_contacts_of_a_csv_file(stack: LocalStack, tmp_path: Path) -> None:
    name, path = f"p{secrets.token_hex(4)}", tmp_path / "people.csv"
    people(path, name, 1500)
    with path.open("a") as file:
        file.write(f"null,,pro,1,00001,yes\n{name}-x,,pro\n{name}-y,,pro,1,1,perhaps\n{name}-7,,free,7,00007,\n")
    dry = imported(stack, "contacts", str(path), "--dry-run", status=1)
    assert (dry["checked"], dry["refused"]) == (1504, 3)
    assert not list(tmp_path.glob(f"*{SUFFIX}"))
    totals = imported(stack, "contacts", str(path), "--batch", "400", status=1)
    assert counts(totals) == (1504, 1501, 0, 3)
    lines = (tmp_path / "people.csv.refused.ndjson").read_text().splitlines()
    refused = {row["line"]: (row["field"], row["reason"]) for row in map(json.loads, lines)}
    assert set(refused) == {1502, 1503, 1504}
    assert refused[1502][0] == "external_id"
    assert "has 3 fields" in refused[1503][1]
    assert refused[1504][0] == "consents.email_marketing"
    contact = get(stack, f"/v1/contacts/external_id:{name}-8", lambda shown: shown["email"] is not None)
    assert contact["email"] == f"{name}-8@example.com"
    assert contact["attributes"] == {"Plan": "pro", "Visits": 8, "Zip": "00008"}
    assert contact["consents"] == {"email_marketing": False}
    # of two rows about one contact the later line is the later word
    get(stack, f"/v1/contacts/external_id:{name}-7", lambda shown: shown["attributes"]["Plan"] == "free")
    # another value since: the second run must not bring the old one back
    body = {"external_id": f"{name}-8", "attributes": {"Plan": "gold"}}
    assert httpx.post(f"{stack.url}/v1/contacts", json=body, headers=BEARER, trust_env=False).status_code == 200
    totals = imported(stack, "contacts", str(path), "--batch", "400", status=1)
    assert counts(totals) == (1504, 0, 1501, 3)
    assert get(stack, f"/v1/contacts/external_id:{name}-8")["attributes"]["Plan"] == "gold"


def test_events_of_packed_lines_and_of_stdin(stack: LocalStack, tmp_path: Path) -> None:
    name, path = f"e{secrets.token_hex(4)}", tmp_path / "orders.ndjson.gz"
    rows = [
        {"event": "order_completed", "userId": name, "timestamp": f"2026-11-{n % 9 + 1:02d}T10:00:00Z", "total": n}
        for n in range(1200)
    ]
    rows[5]["timestamp"] = "soon"
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows) + b"{broken\n"
    path.write_bytes(gzip.compress(data))
    totals = imported(stack, "events", str(path), status=1)
    assert counts(totals) == (1202 - 1, 1199, 0, 2)
    page = get(stack, f"/v1/contacts/external_id:{name}/events?limit=1")
    assert page["meta"]["total"] == 1199
    assert page["data"][0]["type"] == "order_completed"
    assert set(page["data"][0]["properties"]) == {"total"}
    assert counts(imported(stack, "events", str(path), status=1)) == (1201, 0, 1199, 2)
    # from stdin the same file, unpacked, is another one: only ids of its own would tell
    own = b"".join(
        json.dumps({**row, "messageId": f"{name}-{n}"}).encode() + b"\n" for n, row in enumerate(rows[10:20])
    )
    assert counts(imported(stack, "events", "-", data=own)) == (10, 10, 0, 0)
    assert counts(imported(stack, "events", "-", data=own)) == (10, 0, 10, 0)


MANY = 6_000
"""Sixty requests: an import that is ended after the first is not near its end."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_import_that_was_ended_goes_on(stack: LocalStack, tmp_path: Path, number: int) -> None:
    name, path = f"k{secrets.token_hex(4)}", tmp_path / "people.csv"
    people(path, name, MANY)
    with path.open("a") as file:
        file.write("null,,pro,1,00001,yes\n")
    checkpoint = Path(f"{path}{SUFFIX}")
    with subprocess.Popen(
        command("contacts", str(path), "--batch", "100"),
        cwd=ROOT,
        env=env(stack),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - no thread of this process holds a lock that it takes
    ) as process:
        deadline = time.monotonic() + 120
        while not checkpoint.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=60)
    settled = json.loads(checkpoint.read_text())
    assert 0 < settled["line"] < MANY + 2
    totals = imported(stack, "contacts", str(path), "--batch", "100", status=1)
    assert (totals["sent"], totals["refused"]) == (MANY + 1, 1)
    assert totals["stored"] >= settled["totals"]["stored"]
    assert not checkpoint.exists()
    for n in (0, settled["line"], MANY - 1):
        assert get(stack, f"/v1/contacts/external_id:{name}-{n}")["attributes"]["Visits"] == n


def test_a_checkpoint_of_something_else_is_not_gone_on_with(stack: LocalStack, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    people(path, f"c{secrets.token_hex(4)}", 3)
    state = {"digest": "other", "purpose": "p", "as_of": "2026", "line": 2, "refused_bytes": 0}
    state["totals"] = dict.fromkeys(("sent", "stored", "duplicate", "refused", "conflicts", "resent", "warnings"), 0)
    Path(f"{path}{SUFFIX}").write_text(json.dumps(state))
    assert "the file has changed" in imported(stack, "contacts", str(path), status=2)["error"]["message"]
    assert counts(imported(stack, "contacts", str(path), "--restart")) == (3, 3, 0, 0)


def test_a_key_that_may_not_write_ends_it_at_once(stack: LocalStack, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    people(path, "never", 3)
    refused = imported(stack, "contacts", str(path), "--key", "pk_dev_local", status=4)
    assert "contacts:write" in refused["error"]["message"]
