"""The way in for an operator: a key on a cluster that has none, or has none any more; on a real broker."""

import os
import subprocess
import sys
from typing import Any

import pytest

from deploy import first_key
from deploy.local.seed import seed
from deploy.local.stack import environment
from deploy.provision import create_topics
from schemas import topics
from schemas.control import control_state
from schemas.errors import ApiError, CannotStart
from schemas.service import kafka
from schemas.settings import Settings
from tests.support.services import ROOT

NOW_MS = 1_790_000_000_000


def run(settings: Settings, *command: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, **environment(settings)}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120
    )


async def stored(settings: Settings) -> list[Any]:
    records: list[Any] = []
    tail = kafka.Tail(settings, topics.CONTROL, records.append)
    await tail.start()
    await tail.stop()
    return records


@pytest.mark.kafka
async def test_a_cluster_of_ones_own_gets_its_first_key_and_another_after_a_lock_out(settings: Settings) -> None:
    await create_topics(settings)
    made, secret = await first_key.make(settings, "main")
    _, state = await first_key.definitions(settings)
    key = state.key(secret, NOW_MS)
    assert key == made
    assert set(made.scopes) == set(control_state.SCOPES)
    assert state.workspaces["main"].id == "main"
    assert made.environment in state.environments["main"]
    assert all(secret.encode() not in record.value for record in await stored(settings))

    other, _ = await first_key.make(settings, "shop")
    assert "admin" in other.scopes
    assert "instance" not in other.scopes, "another workspace's key reaches its own workspace alone"

    await first_key.write(settings, [control_state.encode("key", made.model_copy(update={"deleted": True}))])
    again, secret = await first_key.make(settings, "main")
    _, state = await first_key.definitions(settings)
    assert state.key(secret, NOW_MS) == again
    assert "instance" in again.scopes, "nobody else has it"
    assert len(state.environments["main"]) == 2

    with pytest.raises(ApiError):
        await first_key.make(settings, "not a/slug")


@pytest.mark.kafka
async def test_a_public_address_with_published_keys_is_refused_in_one_line(settings: Settings) -> None:
    await create_topics(settings)
    public = settings.model_copy(update={"host": "0.0.0.0"})
    with pytest.raises(CannotStart, match="HEADWATER_PUBLIC_DEV_KEYS"):
        await seed(public)
    assert await stored(settings) == []
    await seed(settings)
    done = run(public, "ingest")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "HEADWATER_HOST=0.0.0.0 would let the network in with the published sk_dev_local" in done.stderr
