"""The program as a user calls it: every example of its help, its exit statuses, what it prints."""

import asyncio
import gzip
import json
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.main import get_command

from deploy.cli.__main__ import program
from deploy.local.stack import environment
from schemas import topics
from schemas.service import kafka
from tests.support.object_storage import object_storage
from tests.support.services import ROOT, free_port
from tests.support.stack import SECRET, LocalStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def headwater(
    stack: LocalStack, *words: str, cwd: Path | None = None, data: bytes = b""
) -> "subprocess.CompletedProcess[str]":
    """The program against this stack, from another folder than the repository's."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *words],
        cwd=cwd or ROOT,
        env={**os.environ, **environment(stack.settings), "PYTHONPATH": str(ROOT)},
        input=data,
        capture_output=True,
        check=False,
        timeout=240,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def examples_of(command: Any, path: str) -> list[str]:
    """Those in the help of a command and of all below it."""
    below = [
        example
        for name, sub in getattr(command, "commands", {}).items()
        for example in examples_of(sub, f"{path} {name}")
    ]
    shown = [line.strip() for line in (command.epilog or "").splitlines()]
    own = [line.removeprefix("$ ") for line in shown if line.startswith("$ ")]
    if not hasattr(command, "commands"):
        assert own, f"{path}: the help has no example"
        assert all(path in example for example in own), own
    return own + below


EXAMPLES = examples_of(get_command(program()), "headwater")
ENDS_OTHERWISE = {
    "headwater run": 1,
    **dict.fromkeys(("headwater status", "headwater status --json"), None),
    **dict.fromkeys((f"headwater doctor{more}" for more in ("", " --json", " --bundle doctor.tar.gz")), None),
    "headwater quarantine replay --reason processor_failed --json": None,
    "headwater workers retire segments 2": 1,
    **dict.fromkeys(("headwater restore backup-1", "headwater restore s3://backups/headwater-1"), 1),
    **dict.fromkeys(("headwater segments plan segments.yaml", "headwater segments plan segments.yaml --delete"), 1),
}
"""``run`` beside a running stack says so, a plan with changes ends with 1, as a refused replay may; no worker is 2,
and there is no backup.

What this machine has is not tested here.
"""


def files(folder: Path) -> None:
    """What the examples name."""
    people = "Customer,E-Mail,Plan,Newsletter\ne-1,e-1@example.com,pro,yes\ne-2,e-2@example.com,free,no\n"
    (folder / "people.csv").write_text(people)
    (folder / "orders.csv").write_text("customer,day,total\ne-1,2026-11-01,149\ne-2,2026-11-02,20.5\n")
    order = {"type": "order_completed", "user_id": "e-1", "timestamp": "2026-11-03T10:00:00Z", "properties": {"n": 1}}
    rule = {"attribute": "plan", "op": "eq", "value": "pro"}
    (folder / "segments.yaml").write_text(json.dumps({"segments": {f"Pro {folder.name}": {"rule": rule}}}))
    (folder / "orders.ndjson.gz").write_bytes(gzip.compress(json.dumps(order).encode()))


def quarantined(stack: LocalStack) -> str:
    """The id of a record that nobody could read."""

    async def poison() -> None:
        producer = await kafka.started_producer(stack.settings)
        await producer.send_and_wait(topics.name(topics.EVENTS, stack.settings), b"\xffpoison", key=b"x")
        await producer.stop()

    asyncio.run(poison())
    rows = wait_until(
        lambda: lines(headwater(stack, "quarantine", "list", "--json").stdout), "a record in quarantine", 60
    )
    return str(rows[0]["id"])


@pytest.fixture(scope="module")
def named(stack: LocalStack) -> None:
    """Whom the examples name: a contact, and a segment."""
    rule = {"event": "order_completed", "count": {"op": "gte", "value": 3}, "within": "30d"}
    body = {"name": "Regulars", "rule": rule}
    segments = httpx.get(f"{stack.url}/v1/segments?limit=100", headers=SECRET, trust_env=False).json()["data"]
    if "Regulars" not in {segment["name"] for segment in segments}:
        httpx.post(f"{stack.url}/v1/segments", json=body, headers=SECRET, trust_env=False).raise_for_status()
    done = headwater(stack, "send", "seen", "--user-id", "u1", "--sync")
    assert done.returncode == 0, done.stderr
    quarantined(stack)


@pytest.fixture
def _s3(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where an example names S3, there is one."""
    if "s3://" not in request.node.name:
        yield
        return
    with object_storage(tmp_path) as storage:
        for name, value in storage.variables().items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.usefixtures("named", "_s3")
@pytest.mark.parametrize("example", [example for example in EXAMPLES if example != "headwater down"])
def test_an_example_of_the_help_works(stack: LocalStack, example: str, tmp_path: Path) -> None:
    made = lines(headwater(stack, "keys", "create", "for an example", "--scope", "contacts:read", "--json").stdout)[0]
    files(tmp_path)
    if "RECORD_ID" in example:
        example = example.replace("RECORD_ID", quarantined(stack))
    words = shlex.split(example.replace("KEY_ID", made["id"]))[1:]
    done = headwater(stack, *words, cwd=tmp_path)
    expected = ENDS_OTHERWISE.get(example, 0)
    assert expected is None or done.returncode == expected, f"{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    if "--json" in words and "tail" not in words:
        assert lines(done.stdout)


def test_down_is_an_example_too_and_runs_where_nothing_does(stack: LocalStack, tmp_path: Path) -> None:
    assert "headwater down" in EXAMPLES
    elsewhere = LocalStack(stack.settings.model_copy(update={"home": tmp_path / "home"}))
    assert headwater(elsewhere, "down").stdout == "not running\n"


def test_an_event_that_is_waited_for_tells_the_segments_by_name(stack: LocalStack) -> None:
    name = f"Segment {secrets.token_hex(4)}"
    kind = f"seen_{secrets.token_hex(4)}"
    rule = {"event": kind, "count": {"op": "gte", "value": 1}}
    made = httpx.post(f"{stack.url}/v1/segments", json={"name": name, "rule": rule}, headers=SECRET, trust_env=False)
    assert made.status_code == 201, made.text
    done = headwater(stack, "send", kind, "--user-id", f"u-{kind}", "--set", "total=149", "--sync")
    assert done.returncode == 0, done.stderr
    assert f"entered {name} ({made.json()['id']})" in done.stdout


def test_a_key_works_until_it_is_revoked_and_is_shown_once(stack: LocalStack) -> None:
    made = lines(
        headwater(stack, "keys", "create", "once", "--scope", "contacts:read", "--rate-limit", "9", "--json").stdout
    )
    key_id, secret = made[0]["id"], made[0]["key"]
    bearer = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{stack.url}/v1/contacts", headers=bearer, trust_env=False).status_code == 200
    listed = headwater(stack, "keys", "list")
    assert key_id in listed.stdout
    assert secret not in listed.stdout
    refused = headwater(stack, "keys", "list", "--key", secret)
    assert (refused.returncode, secret in refused.stderr) == (4, False)
    assert "admin" in refused.stderr
    assert headwater(stack, "keys", "revoke", key_id).returncode == 0
    assert httpx.get(f"{stack.url}/v1/contacts", headers=bearer, trust_env=False).status_code == 401


def test_exit_statuses_tell_wrong_use_no_answer_and_a_refusal_apart(stack: LocalStack) -> None:
    assert headwater(stack, "nonsense").returncode == 2
    assert headwater(stack, "send", "seen", "--user-id", "u", "--set", "x").returncode == 2
    wrong = LocalStack(stack.settings.model_copy(update={"port": "eight"}))
    done = headwater(wrong, "keys", "list")
    assert (done.returncode, "HEADWATER_PORT=eight" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    away = headwater(stack, "keys", "list", "--url", f"http://127.0.0.1:{free_port()}")
    assert away.returncode == 3
    assert "does not answer" in away.stderr
    refused = headwater(stack, "send", "seen", "--json")
    assert refused.returncode == 4
    assert lines(refused.stdout)[0]["error"]["code"] == "missing_field"
    no_json = headwater(stack, "keys", "list", "--url", f"http://127.0.0.1:{stack.settings.clickhouse_port}")
    assert no_json.returncode == 3
    assert "is this Headwater?" in no_json.stderr
