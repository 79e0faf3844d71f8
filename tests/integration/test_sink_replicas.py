"""The sink's inserts while replicas go away, here two ClickHouse servers that copy nothing from each other."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from schemas.errors import ApiError, CannotStart
from schemas.settings import Settings
from sinks.clickhouse.connect import NoAnswerError, connected
from sinks.clickhouse.rows import EVENTS
from sinks.clickhouse.writer import Writer
from sinks.maintenance import cluster
from sinks.maintenance.cluster import shards_of, wait_for_shards
from sinks.maintenance.migrate import migrate
from sinks.shards import replicas
from sinks.shards.replicas import HostPings, ReplicaWriter
from sinks.shards.writer import ShardWriters, configured_first, writer_of
from tests.support.services import clickhouse_front, free_port, front_url
from tests.support.sink_pipeline import placed_items

pytestmark = pytest.mark.clickhouse

TOPIC = "resolved"
Server = tuple[Settings, "subprocess.Popen[bytes]"]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        running = []
        for n in range(2):
            port = free_port()
            process = stack.enter_context(clickhouse_front(tmp_path / f"replica{n}", port))
            settings = Settings(home=tmp_path, clickhouse_url=front_url(port), clickhouse_database="headwater")
            running.append((settings, process))
        yield running


@pytest_asyncio.fixture
async def writer(servers: list[Server]) -> AsyncIterator[ReplicaWriter]:
    for host, _ in servers:
        await migrate(host)
    writer = ReplicaWriter([in_cluster(host) for host, _ in servers])
    await writer.start()
    await writer.prepare(EVENTS)
    yield writer
    await writer.stop()


def in_cluster(host: Settings) -> Settings:
    """The settings of a replica's writer: its inserts are sent as to a cluster."""
    return host.model_copy(update={"clickhouse_cluster": "c"})


def urls(writer: Writer) -> list[str]:
    return [host.clickhouse for host in writer.hosts()]


async def stored(host: Settings) -> set[str]:
    async with await connected(host) as client:
        rows = (await client.query(f"SELECT event_id FROM {host.clickhouse_database}.events FINAL")).result_rows
    return {event_id for (event_id,) in rows}


async def until_retrying(writer: Writer) -> None:
    """Returns when a call of the writer is being retried."""
    async with asyncio.timeout(60):
        while not writer.is_holding:
            await asyncio.sleep(0.05)


async def test_inserts_go_on_at_another_replica_when_theirs_is_killed(
    servers: list[Server], writer: ReplicaWriter
) -> None:
    (first, process), (second, _) = servers
    await writer.insert(EVENTS, TOPIC, placed_items(0, 10))
    assert urls(writer) == [first.clickhouse]
    process.kill()
    process.wait()
    async with asyncio.timeout(60):  # several topics' inserts fail together
        await asyncio.gather(*(writer.insert(EVENTS, TOPIC, placed_items(n, n + 10)) for n in range(10, 50, 10)))
    assert urls(writer) == [second.clickhouse]
    assert await stored(second) == {f"e{n}" for n in range(10, 50)}, "the replica copies nothing here"
    assert await writer.stored_places([(0, 12, 0)]) == {(0, 12, 0): "e12"}, "reads follow the inserts"
    assert not writer.is_holding
    pings = HostPings(writer.hosts)
    await pings.ask()
    (ping,) = pings._pings.values()
    assert ping._client is not None
    await ping._client.close()


async def test_a_writer_stays_at_a_replica_that_only_refuses_something(
    servers: list[Server], writer: ReplicaWriter
) -> None:
    """A table that is away, as in a repair, moves nothing."""
    first = servers[0][0]
    await writer.insert(EVENTS, TOPIC, placed_items(0, 5))
    async with await connected(first) as client:
        await client.command("RENAME TABLE headwater.events TO headwater.elsewhere")
        waiting = asyncio.create_task(writer.insert(EVENTS, TOPIC, placed_items(5, 10)))
        await until_retrying(writer)
        await writer.recover(writer._client, ClickHouseError("a table is away"))
        assert urls(writer) == [first.clickhouse]
        await client.command("RENAME TABLE headwater.elsewhere TO headwater.events")
    async with asyncio.timeout(60):
        await waiting
    assert await stored(first) == {f"e{n}" for n in range(10)}


async def test_with_no_replica_left_the_writer_waits_for_either(servers: list[Server], writer: ReplicaWriter) -> None:
    (_, process), (second, other) = servers
    for running in (process, other):
        running.send_signal(signal.SIGSTOP)
    try:
        await writer.recover(writer._client, ClickHouseError("silent"))
    finally:
        process.kill()
        other.send_signal(signal.SIGCONT)
    async with asyncio.timeout(90):
        await writer.insert(EVENTS, TOPIC, placed_items(0, 10))
    assert await stored(second) == {f"e{n}" for n in range(10)}
    assert urls(writer) == [second.clickhouse]


async def test_a_start_without_the_first_replica_uses_the_next(servers: list[Server], writer: ReplicaWriter) -> None:
    (first, process), (second, _) = servers
    process.kill()
    process.wait()
    beginning = ReplicaWriter([first, second])
    async with asyncio.timeout(60):
        await beginning.start()
    assert beginning.hosts() == [second]
    await beginning.stop()
    with pytest.raises(ClickHouseError):
        await writer._client.query("SELECT 1")


async def test_a_frozen_replica_holds_an_insert_for_seconds(
    servers: list[Server], writer: ReplicaWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "PROBE_AFTER_S", 0.5)
    (_, process), (second, _) = servers
    process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(60):
            await writer.insert(EVENTS, TOPIC, placed_items(0, 10))
    finally:
        process.kill()
    assert urls(writer) == [second.clickhouse]
    assert await stored(second) == {f"e{n}" for n in range(10)}


async def test_an_insert_that_takes_long_goes_on(
    servers: list[Server], writer: ReplicaWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "PROBE_AFTER_S", 0.001)
    await writer.insert(EVENTS, TOPIC, placed_items(0, 10))
    assert not any(writer.counts.errors.values())
    assert await stored(servers[0][0]) == {f"e{n}" for n in range(10)}


async def test_a_replica_without_room_is_left_and_not_returned_to(
    servers: list[Server], writer: ReplicaWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, _), (second, _) = servers
    full, failed = DatabaseError("the disk is full", code=243), writer._client
    await asyncio.gather(writer.recover(failed, full), writer.recover(failed, full))
    assert urls(writer) == [second.clickhouse], "two failed together, and moved once"
    await writer.recover(writer._client, full)
    assert urls(writer) == [second.clickhouse], "the other one was full a moment ago"
    monkeypatch.setattr(replicas, "LEFT_S", 0)
    await writer.recover(writer._client, full)
    assert urls(writer) == [first.clickhouse]


async def test_a_replica_that_refuses_queries_for_a_while_is_not_left(writer: ReplicaWriter) -> None:
    before = urls(writer)
    await writer.recover(writer._client, DatabaseError("too many queries", code=202))
    assert urls(writer) == before


async def test_a_sink_resumes_when_most_replicas_have_the_rows(
    servers: list[Server], writer: ReplicaWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These servers cannot be synchronised, so a query that works where the table is stands for it."""
    with pytest.raises(OperationalError, match="0 of 2 replicas of events have the rows of the others"):
        await writer.sync("events")
    monkeypatch.setattr(replicas, "SYNC", "SELECT count() FROM {table}")
    await writer.insert(EVENTS, TOPIC, placed_items(0, 10))
    assert await writer.last_places("events", TOPIC, {0: 0}) == {0: (9, 0)}
    (_, (second, process)) = servers
    async with await connected(second) as client:
        await client.command("RENAME TABLE headwater.events TO headwater.elsewhere")
        waiting = asyncio.create_task(writer.last_places("events", TOPIC, {0: 0}))
        await until_retrying(writer)
        with pytest.raises(ApiError, match="1 of 2 replicas"):
            await writer.check()
        await client.command("RENAME TABLE headwater.elsewhere TO headwater.events")
    async with asyncio.timeout(60):
        assert await waiting == {0: (9, 0)}
    process.kill()
    with pytest.raises(OperationalError, match="1 of 2 replicas"):
        await writer.sync("events")


async def test_a_replica_without_this_release_s_tables_takes_nothing(servers: list[Server]) -> None:
    (first, process), (second, _) = servers
    await migrate(first)
    writer = ReplicaWriter([in_cluster(first), in_cluster(second)])
    await writer.start()
    await writer.prepare(EVENTS)
    process.kill()
    process.wait()
    waiting = asyncio.create_task(writer.insert(EVENTS, TOPIC, placed_items(0, 10)))
    await until_retrying(writer)
    await writer.recover(writer._client, ClickHouseError("dead"))
    assert urls(writer) == [first.clickhouse]
    await migrate(second)
    async with asyncio.timeout(60):
        await waiting
    assert urls(writer) == [second.clickhouse]
    assert await stored(second) == {f"e{n}" for n in range(10)}
    await writer.stop()


async def test_a_replica_that_dies_before_its_tables_are_seen_is_left(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "MOVE_AFTER_S", 0.5)
    (first, process), (second, _) = servers
    await migrate(second)
    writer = ReplicaWriter([in_cluster(first), in_cluster(second)])
    await writer.start()
    process.kill()
    async with asyncio.timeout(60):
        await writer.wait_for_tables()
    assert urls(writer) == [second.clickhouse]
    await writer.stop()


async def test_a_host_that_does_not_name_its_clusters_is_asked_again(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of_cluster = servers[0][0].model_copy(update={"clickhouse_cluster": "nowhere"})
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "_HOSTS", "SELECT 1 FROM nowhere")
        with pytest.raises(NoAnswerError, match="does not name its clusters"):
            await shards_of(of_cluster)
        asking = asyncio.create_task(wait_for_shards(of_cluster))
        async with asyncio.timeout(60):
            while "it is asked again in" not in caplog.text:
                await asyncio.sleep(0.05)
        assert not asking.done()
    async with asyncio.timeout(60):
        with pytest.raises(CannotStart, match="knows no cluster nowhere"):  # its answer, at last
            await asking


def test_of_its_shard_the_configured_host_comes_first(tmp_path: Path) -> None:
    def at(host: str) -> Settings:
        return Settings(home=tmp_path, clickhouse_url=f"http://w:p@{host}:8123", clickhouse_cluster="c")

    assert configured_first([[at("a"), at("b"), at("c")]], at("b")) == [[at("b"), at("a"), at("c")]]
    assert configured_first([[at("a"), at("b")]], at("balancer")) == [[at("a"), at("b")]]
    assert configured_first([[at("a"), at("b")], [at("c"), at("d")]], at("d")) == [
        [at("a"), at("b")],
        [at("d"), at("c")],
    ]
    assert isinstance(writer_of(at("a"), {}), ShardWriters)
    assert type(writer_of(Settings(home=tmp_path), {})) is Writer


async def test_a_sink_refuses_shards_without_their_cluster(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="HEADWATER_CLICKHOUSE_SHARDS needs HEADWATER_CLICKHOUSE_CLUSTER"):
        await writer_of(Settings(home=tmp_path, clickhouse_shards=2), {}).start()
