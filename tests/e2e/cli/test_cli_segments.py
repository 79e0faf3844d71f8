"""Segments pulled, planned and applied on a running stack, in an environment of their own."""

import secrets
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.cli.test_cli import headwater, lines
from tests.support.stack import SECRET, LocalStack

pytestmark = pytest.mark.e2e
RULES = """
lists:
  paying:
    description: Plans that cost money
    values: [team, pro]
segments:
  Both:
    rule: {all: [{segment: Pro}, {segment: Listed}]}
  Pro:
    rule: {attribute: plan, op: in, value: {list: paying}}
  Listed:
    kind: static
"""


@pytest.fixture
def environment(stack: LocalStack) -> str:
    name = f"seg-{secrets.token_hex(4)}"
    with httpx.Client(base_url=stack.url, headers=SECRET, trust_env=False, timeout=30) as client:
        assert client.post("/v1/environments", json={"id": name}).status_code == 201
        body = {"external_id": "u1", "attributes": {"plan": "pro"}}
        assert client.post(f"/v1/contacts?environment={name}&timeout_ms=10000", json=body).status_code in (201, 202)
    return name


def test_a_file_is_planned_applied_and_then_nothing_is_left_to_do(
    stack: LocalStack, environment: str, tmp_path: Path
) -> None:
    file, here = tmp_path / "segments.yaml", ("--environment", environment, "--json")
    file.write_text(RULES)
    done = headwater(stack, "segments", "plan", str(file), *here)
    assert done.returncode == 1, done.stderr
    planned = {row["segment"]: (row["action"], row["members_then"]) for row in lines(done.stdout)}
    segments = {"Pro": ("add", None), "Listed": ("add", None), "Both": ("add", None)}
    assert planned == {"list paying": ("add", 2), **segments}
    assert headwater(stack, "segments", "apply", str(file), *here).returncode == 0
    done = headwater(stack, "segments", "plan", str(file), *here)
    assert (done.returncode, lines(done.stdout)) == (0, [{"action": "none"}])
    pulled = headwater(stack, "segments", "pull", *here)
    assert yaml.safe_load(pulled.stdout) == {
        "lists": {"paying": {"description": "Plans that cost money", "values": ["pro", "team"]}},
        "segments": {
            "Pro": {"rule": {"attribute": "plan", "op": "in", "value": {"list": "paying"}}},
            "Listed": {"kind": "static"},
            "Both": {"rule": {"all": [{"segment": "Pro"}, {"segment": "Listed"}]}},
        },
    }
    file.write_text("segments: {Pro: {rule: {attribute: plan, op: eq, value: free}}}")
    done = headwater(stack, "segments", "plan", str(file), *here)
    rows = {row["segment"]: (row["action"], row["members_now"], row["members_then"]) for row in lines(done.stdout)}
    assert rows["Pro"] == ("change", 1, 0)
    assert {rows[name][0] for name in ("Both", "Listed")} == {"not in the file"}
    assert headwater(stack, "segments", "apply", str(file), "--delete", *here).returncode == 0
    assert yaml.safe_load(headwater(stack, "segments", "pull", *here).stdout)["segments"].keys() == {"Pro"}


def test_a_rule_that_the_api_refuses_stops_all_before_the_first_is_written(
    stack: LocalStack, environment: str, tmp_path: Path
) -> None:
    file, here = tmp_path / "segments.yaml", ("--environment", environment)
    file.write_text(
        "segments: {A: {rule: {attribute: plan, op: eq, value: pro}}, B: {rule: {attribute: plan, op: nix}}}"
    )
    done = headwater(stack, "segments", "apply", str(file), *here)
    assert done.returncode == 4
    assert "B: " in done.stderr
    assert yaml.safe_load(headwater(stack, "segments", "pull", *here).stdout) == {"segments": {}}
    file.write_text("segments: [")
    assert headwater(stack, "segments", "apply", str(file), *here).returncode == 2
