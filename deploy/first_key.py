"""The name of a workspace in; a key with the scope `admin` for it, written straight to `control`, out.

A cluster has no key at first, and may have none any more: an operator with access to Kafka makes one here.
Only the key's SHA-256 is stored, so the key is printed once.
"""

import asyncio
from typing import Any

from ingest.control import access
from schemas import topics
from schemas.api.requests.access import NewWorkspace
from schemas.api.requests.body import checked
from schemas.control import control_state
from schemas.errors import CannotStart
from schemas.service import clock, kafka
from schemas.settings import Settings

WAIT_S = 60.0
DEFAULT_WORKSPACE = "main"

Pairs = list[tuple[bytes, bytes]]


async def definitions(settings: Settings) -> tuple[set[bytes], control_state.ControlState]:
    """The keys of all records on `control`, and the state that they make; raises ``CannotStart`` after a minute."""
    state, seen = control_state.ControlState(), set[bytes]()

    def apply(record: Any) -> None:
        seen.add(record.key)
        state.apply(record.key, record.value)

    name = topics.name(topics.CONTROL, settings)
    tail = kafka.Tail(settings, topics.CONTROL, apply)
    try:
        async with asyncio.timeout(WAIT_S):
            await tail.start()
    except TimeoutError as error:
        raise CannotStart(f"the topic {name} at {settings.bootstrap} cannot be read within {WAIT_S:g} s") from error
    finally:
        await tail.stop()
    return seen, state


async def write(settings: Settings, pairs: Pairs) -> None:
    """Put them on `control`, in this order; raises ``CannotStart`` after a minute."""
    if not pairs:
        return
    name = topics.name(topics.CONTROL, settings)
    try:
        async with asyncio.timeout(WAIT_S):
            producer = await kafka.started_producer(settings)
            try:
                for key, value in pairs:
                    await producer.send_and_wait(name, value, key=key)
            finally:
                await producer.stop()
    except TimeoutError as error:
        raise CannotStart(f"the topic {name} at {settings.bootstrap} accepts no record within {WAIT_S:g} s") from error


def first_key(
    state: control_state.ControlState, workspace_id: str, now_ms: int
) -> tuple[control_state.ApiKey, str, Pairs]:
    """The key, its secret, and the records that make it valid; a workspace that is missing is made.

    It has the scope `instance` where no valid key has it: a workspace's own key must not reach the others.
    """
    body = checked(NewWorkspace, {"name": workspace_id, "id": workspace_id})
    workspace = state.workspaces.get(workspace_id)
    pairs = []
    if workspace is None:
        workspace, environments = access.new_workspace(body, state, now_ms)
        pairs = [control_state.encode("workspace", workspace)]
        existing = state.environments[workspace_id]
        pairs += [
            control_state.encode("environment", environment)
            for environment in environments
            if environment.id not in existing
        ]
    elif not state.environments[workspace_id]:
        raise CannotStart(f"the workspace {workspace_id} has no environment")
    has_instance = any(access.INSTANCE in key.scopes and key.is_valid(now_ms) for key in state.keys.values())
    key, secret = access.first_key(workspace, now_ms, instance=not has_instance)
    return key, secret, [*pairs, control_state.encode("key", key)]


async def make(settings: Settings, workspace_id: str) -> tuple[control_state.ApiKey, str]:
    """A key that works as soon as the edges have read it, and its secret."""
    _, state = await definitions(settings)
    key, secret, pairs = first_key(state, workspace_id, clock.now_ms())
    await write(settings, pairs)
    return key, secret
