"""A workspace keeps a key that can make others, whatever is revoked, wherever, and when."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route, Router

from ingest.control import access
from ingest.control.access_routes import AccessRoutes
from ingest.control.writer import ControlWriter
from schemas.control import control_state
from schemas.control.control_state import ApiKey, ControlState
from schemas.errors import ApiError
from schemas.service.web import ErrorMiddleware
from tests.support.edge import NOW_MS, MemoryLog, MemoryPublisher, memory_edge

ADMIN, ALL = ("admin",), ("admin", "instance")


def key(name: str, scopes: tuple[str, ...] = ADMIN, workspace: str = "w", expires_ms: int | None = None) -> ApiKey:
    return ApiKey(
        id=name,
        workspace=workspace,
        created_ms=1,
        name=name,
        kind="secret",
        scopes=scopes,
        environment="production",
        sha256=control_state.digest(f"{workspace}{name}"),
        expires_ms=expires_ms,
    )


def state_of(*keys: ApiKey) -> ControlState:
    state = ControlState()
    for key in keys:
        state.apply(*control_state.encode("key", key))
    return state


@pytest.mark.parametrize(
    "others",
    [
        [],
        [key("b", ("events:ingest",))],
        [key("a", workspace="v"), key("b", workspace="v")],
        [key("b", expires_ms=NOW_MS)],
        [key("b", expires_ms=NOW_MS + 1)],
        [key("b").model_copy(update={"deleted": True})],
    ],
)
def test_the_last_key_that_can_make_keys_stays(others: list[ApiKey]) -> None:
    with pytest.raises(ApiError, match="last key of the workspace") as refused:
        access.check_revocable(key("a"), state_of(key("a"), *others), NOW_MS)
    assert refused.value.status == 409


def test_the_last_key_of_the_instance_stays_though_its_workspace_has_others() -> None:
    with pytest.raises(ApiError, match="of all workspaces"):
        access.check_revocable(key("a", ALL), state_of(key("a", ALL), key("b")), NOW_MS)


@pytest.mark.parametrize(
    ("revoked", "other"),
    [
        (key("a"), key("b")),
        (key("a", ALL), key("b", ALL)),
        (key("a", ("contacts:read",)), key("b", ("contacts:read",))),
        (key("a", expires_ms=NOW_MS), key("b", ("contacts:read",))),
        (key("a", expires_ms=NOW_MS + 1), key("b", expires_ms=NOW_MS + 1)),
    ],
)
def test_what_leaves_one_behind_is_allowed(revoked: ApiKey, other: ApiKey) -> None:
    access.check_revocable(revoked, state_of(revoked, other), NOW_MS)


class SharedLog(MemoryPublisher):
    """One topic of several edges: what one appends the others know when they have caught up."""

    def __init__(self, home: Path, records: list[tuple[bytes, bytes]], meanwhile: Callable[[], None]) -> None:
        super().__init__(memory_edge(home, MemoryLog()).settings)
        self._records = records
        self._meanwhile = meanwhile

    async def send(self, topic: str, value: bytes, *, partition: int | None = None, key: bytes | None = None) -> int:
        self._meanwhile()
        self._records.append((key or b"", value))
        return len(self._records)


async def test_two_edges_that_revoke_the_last_two_keys_at_once_leave_one(tmp_path: Path) -> None:
    edge = memory_edge(tmp_path / "edge", MemoryLog())
    second = key("second", ALL, workspace="local")
    records: list[tuple[bytes, bytes]] = [control_state.encode("key", second)]
    elsewhere = [control_state.encode("key", second.model_copy(update={"deleted": True}))]

    def meanwhile() -> None:
        """The other edge's revocation lands just before ours, after we have looked."""
        records.extend(elsewhere)
        elsewhere.clear()

    async def caught_up() -> None:
        for record in records:
            edge.control.apply(*record)

    writer = ControlWriter(edge.settings, edge.control, SharedLog(tmp_path / "log", records, meanwhile))
    pages = AccessRoutes(edge, writer, caught_up)
    router = Router([Route("/v1/keys/{id}", pages.revoke_key, methods=["DELETE"])])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(ErrorMiddleware(router)), base_url="http://edge"
    ) as client:
        answer = await client.delete("/v1/keys/key_local_secret", headers={"Authorization": "Bearer sk_dev_local"})
    assert answer.status_code == 409, answer.text
    replayed = state_of()
    for record in records:
        replayed.apply(*record)
    assert replayed.key_named("local", "second") is None
    assert replayed.key_named("local", "key_local_secret") is not None


async def test_a_revocation_does_not_wait_for_a_broker_that_is_silent(tmp_path: Path) -> None:
    edge = memory_edge(tmp_path, MemoryLog())

    async def caught_up() -> None:
        raise TimeoutError

    pages = AccessRoutes(edge, ControlWriter(edge.settings, edge.control, edge.publisher), caught_up)
    router = Router([Route("/v1/keys/{id}", pages.revoke_key, methods=["DELETE"])])
    began = time.monotonic()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(ErrorMiddleware(router)), base_url="http://edge"
    ) as client:
        answer = await client.delete("/v1/keys/key_local_public", headers={"Authorization": "Bearer sk_dev_local"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert time.monotonic() - began < 30
