"""The stack's home after keys, webhooks and receivers were made: no secret in clear, nothing open to others."""

import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_one_event import unique
from tests.support.stack import LocalStack, command, local_stack

pytestmark = pytest.mark.e2e


async def made(client: httpx.AsyncClient, path: str, body: Any, *, once: bool) -> Any:
    """The answer; with ``once`` that to a repeat, which is the same."""
    headers = {"Idempotency-Key": secrets.token_hex(8)} if once else {}
    first = await client.post(path, json=body, headers=headers)
    assert first.is_success, first.text
    if once:
        assert (await client.post(path, json=body, headers=headers)).text == first.text
    return first.json()


async def test_no_secret_lies_in_clear_and_no_file_is_open_to_others(tmp_path: Path) -> None:
    words: list[str] = []
    with local_stack(tmp_path, webhook_allow_private=True) as stack:
        async with stack.client() as client:
            for once in (False, True):
                words += await _secrets(client, once=once)
        assert command(stack.settings, "down").returncode == 0
        files = [file for file in stack.settings.home.rglob("*") if file.is_file()]
        assert len(files) > 50
        items = [(str(file), word) for file in files for word in words if word.encode() in file.read_bytes()]
        assert items == []
        assert stack.settings.home.stat().st_mode & 0o077 == 0
        ours = ("run", "logs", "state")
        opened = [f for f in files if f.relative_to(stack.settings.home).parts[0] in ours and f.stat().st_mode & 0o077]
        assert opened == []


async def _secrets(client: httpx.AsyncClient, *, once: bool) -> list[str]:
    key = await made(client, "/v1/keys", {"name": "k", "scopes": ["contacts:read"]}, once=once)
    workspace = await made(client, "/v1/workspaces", {"name": unique("w")}, once=once)
    hook = {"url": "http://127.0.0.1:9/", "types": ["nothing"]}
    webhook = await made(client, "/v1/webhooks", hook, once=once)
    rotated = await made(client, f"/v1/webhooks/{webhook['id']}/rotate", None, once=once)
    own = secrets.token_hex(16)
    await made(client, "/v1/receivers", {"provider": "mailgun", "signing_secret": own}, once=once)
    return [key["key"], workspace["key"]["key"], webhook["secret"], rotated["secret"], own]


def test_a_home_that_others_could_read_is_closed(stack: LocalStack) -> None:
    assert stack.settings.home.stat().st_mode & 0o777 == 0o700
    for name in ("secret.key", "clickhouse.password"):
        assert (stack.settings.home / name).stat().st_mode & 0o777 == 0o600
