"""Somebody else's tests of their tracking, run by pytest with the plugin, against a test environment of this stack."""

import importlib
import os
import secrets
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from tests.support.services import ROOT
from tests.support.stack import SECRET, LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
THEIRS = """
import json, os, urllib.error, urllib.request

def track(path, body):
    request = urllib.request.Request(os.environ["HEADWATER_URL"] + path, json.dumps(body).encode())
    request.add_header("Authorization", "Bearer " + os.environ["THEIR_KEY"])
    request.add_header("Content-Type", "application/json")
    try:
        urllib.request.urlopen(request).close()
    except urllib.error.HTTPError as error:
        error.close()

def test_an_order_is_tracked(headwater):
    track("/v1/track", {"event": "order_completed", "userId": "u1", "properties": {"total": 149, "currency": "EUR"}})
    event = headwater.expect_event("order_completed", total=149, within_s=60)
    assert event["properties"]["currency"] == "EUR"
    headwater.expect_no_refusals()
    assert headwater.counts() == {"good": 1, "bad": 0, "total": 1}

def test_each_test_begins_with_nothing(headwater):
    assert headwater.counts()["total"] == 0
    assert headwater.events() == []

def test_that_fails_as_another_value_came(headwater):
    track("/v1/track", {"event": "order_completed", "userId": "u1", "properties": {"total": 20}})
    headwater.expect_event("order_completed", within_s=60)
    headwater.expect_event("order_completed", total=149, within_s=0.5)

def test_that_fails_as_a_call_was_refused(headwater):
    track("/v1/events", {"type": "order_completed", "properties": {}})
    headwater.expect_no_refusals()

def test_two_of_them(headwater):
    for n in range(2):
        track("/v1/track", {"event": "viewed", "userId": "u1", "properties": {"n": n}})
    headwater.expect_event("viewed", count=2, within_s=60)
"""


def run(folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HEADWATER_", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "deploy.testing.plugin", "-p", "no:cacheprovider", "-v", "theirs"],
        cwd=folder,
        env={**clean, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_their_tests_say_what_arrived_and_what_was_refused(stack: LocalStack, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "test_tracking.py").write_text(THEIRS)
    name = f"ci-{secrets.token_hex(4)}"
    with httpx.Client(base_url=stack.url, headers=SECRET, trust_env=False, timeout=30) as client:
        made = client.post("/v1/environments", json={"id": name, "kind": "test"})
        assert (made.status_code, made.json()["kind"]) == (201, "test")
        scopes = ["events:ingest", "contacts:read", "contacts:write"]
        keys = [
            client.post("/v1/keys", json={"name": "tests", "environment": name, **more}).json()["key"]
            for more in ({"scopes": scopes}, {"kind": "public"})
        ]
    done = run(tmp_path, HEADWATER_URL=stack.url, HEADWATER_KEY=keys[0], THEIR_KEY=keys[1])
    assert done.returncode == 1, done.stdout + done.stderr
    output = done.stdout
    assert "3 passed" in output, output
    assert "2 failed" in output
    assert "0 of 1 'order_completed' with {'total': 149} came" in output
    assert '{"total":20}' in output
    assert "1 refused:" in output
    assert "refused /v1/events: user_id" in output


def test_without_a_test_environment_it_says_how_to_make_one(stack: LocalStack, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "test_tracking.py").write_text("def test_x(headwater): pass\n")
    done = run(tmp_path, HEADWATER_URL=stack.url, HEADWATER_KEY="sk_dev_local")
    assert "is no test environment" in done.stdout
    assert '"kind": "test"' in done.stdout
    done = run(tmp_path, HEADWATER_URL="http://127.0.0.1:9", HEADWATER_KEY="sk_dev_local")
    assert "does not answer" in done.stdout


async def test_conditions_are_those_of_a_rule(stack: LocalStack) -> None:
    name = f"ci-{secrets.token_hex(4)}"
    async with stack.client() as client:
        client.headers["Headwater-Environment"] = name
        await client.post(
            "/v1/environments", json={"id": name, "kind": "test"}, headers={"Headwater-Environment": "production"}
        )
        events = [{"type": "t", "user_id": "u", "properties": {"n": n, "deep": {"x": n % 2}}} for n in range(5)]
        await client.post("/v1/events/batch?sync=true&timeout_ms=10000", json=events)

        async def total() -> int:
            return int((await client.get("/v1/test/good")).json()["total"])

        await eventually(total, "five events", 60, meets=lambda answer: answer >= 5)
        response = await client.get("/v1/test/good", params={"where": '[{"property": "n", "op": "gte", "value": 3}]'})
        assert sorted(row["properties"]["n"] for row in response.json()["data"]) == [3, 4]
        response = await client.get(
            "/v1/test/good", params={"where": '[{"property": "deep.x", "op": "eq", "value": 1}]', "limit": "1"}
        )
        assert (response.json()["total"], len(response.json()["data"])) == (2, 1)
        for where in ("x", "5", '[{"property": "n"}]', "[]x"):
            refused = await client.get("/v1/test/good", params={"where": where})
            assert (refused.status_code, refused.json()["error"]["param"].split("[")[0].split(".")[0]) == (422, "where")


def test_the_package_names_a_plugin_and_a_program_that_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert importlib.import_module(project["entry-points"]["pytest11"]["headwater"]).headwater
    module, _, function = project["scripts"]["headwater"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
