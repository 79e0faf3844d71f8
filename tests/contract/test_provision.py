"""What provisioning promises of a real Kafka and a real ClickHouse: everything once, however often, by however many."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.provision import ProvisionError, create_topics, provision
from schemas import topics
from schemas.service import kafka
from schemas.settings import Settings
from sinks.clickhouse.connect import NoAnswerError, connected
from sinks.maintenance.migrate import Migration, MigrationError, migrate, migrations
from tests.support.services import free_port

FIRST = Migration(
    name="0001_first.sql",
    text="-- a; b\nCREATE TABLE IF NOT EXISTS {database}.a (x String DEFAULT 'p;q') ENGINE = MergeTree ORDER BY x;\n"
    "CREATE TABLE IF NOT EXISTS {database}.b (x UInt8) ENGINE = MergeTree ORDER BY x\n;\n-- the end\n",
)
SECOND = Migration(name="0002_second.sql", text="INSERT INTO {database}.b VALUES (1);")


async def tables(settings: Settings) -> set[str]:
    async with await connected(settings) as client:
        tables = await client.query(f"SHOW TABLES FROM {settings.clickhouse_database}")
    return {name for (name,) in tables.result_rows}


async def count(settings: Settings, table: str) -> int:
    async with await connected(settings) as client:
        result = await client.query(f"SELECT count() FROM {settings.clickhouse_database}.{table}")
    return int(result.result_rows[0][0])


@pytest.mark.clickhouse
async def test_a_database_that_is_away_is_named_without_its_password() -> None:
    away = f"127.0.0.1:{free_port()}"
    with pytest.raises(NoAnswerError, match=f"ClickHouse at {away} does not answer") as raised:
        await connected(Settings(clickhouse_url=f"http://anna:s3cret@{away}"), 0.0)
    assert "s3cret" not in str(raised.value)


@pytest.mark.kafka
@pytest.mark.clickhouse
async def test_everything_is_created_once(settings: Settings) -> None:
    names = {topic.name for topic in topics.catalogue(settings)}
    assert set(await provision(settings)) == names | {migration.name for migration in migrations()}
    assert await provision(settings) == []


@pytest.mark.kafka
async def test_topics_are_kept_as_the_catalogue_says(settings: Settings) -> None:
    await create_topics(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        for topic in topics.catalogue(settings):
            resource = ConfigResource(ConfigResourceType.TOPIC, topic.name)
            (answer,) = await admin.describe_configs([resource])
            config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
            assert config["max.message.bytes"] == "2097152"
            if topic.retention_ms is None:
                assert config["cleanup.policy"] == "compact"
            else:
                assert config["cleanup.policy"] == "delete"
                assert config["retention.ms"] == str(topic.retention_ms)
            (described,) = await admin.describe_topics([topic.name])
            assert len(described["partitions"]) == topics.partition_count(topic, settings)
    finally:
        await admin.close()


@pytest.mark.kafka
async def test_four_provisioners_at_once(settings: Settings) -> None:
    await asyncio.gather(*(create_topics(settings) for _ in range(4)))
    assert await create_topics(settings) == []


@pytest.mark.kafka
async def test_other_partitions_than_those_that_exist_are_refused(settings: Settings) -> None:
    await create_topics(settings)
    with pytest.raises(ProvisionError, match=r"events has 4 partitions, the settings say 5"):
        await create_topics(settings.model_copy(update={"partitions": 5}))


@pytest.mark.clickhouse
async def test_migrations_run_once_and_in_order(settings: Settings) -> None:
    assert await migrate(settings, [FIRST]) == ["0001_first.sql"]
    assert await tables(settings) == {"_migrations", "a", "b"}
    assert await migrate(settings, [FIRST, SECOND]) == ["0002_second.sql"]
    assert await migrate(settings, [FIRST, SECOND]) == []
    assert await count(settings, "b") == 1


@pytest.mark.clickhouse
async def test_migrations_of_four_processes_run_once(settings: Settings) -> None:
    done = await asyncio.gather(*(migrate(settings, [FIRST, SECOND]) for _ in range(4)))
    assert sorted(done) == [[], [], [], ["0001_first.sql", "0002_second.sql"]]
    assert await count(settings, "b") == 1


@pytest.mark.clickhouse
async def test_a_changed_migration_is_refused(settings: Settings) -> None:
    await migrate(settings, [Migration(name=FIRST.name, text="SELECT 1")])
    with pytest.raises(MigrationError, match=r"0001_first\.sql was changed"):
        await migrate(settings, [Migration(name=FIRST.name, text="SELECT 2")])


@pytest.mark.clickhouse
async def test_a_changed_view_is_replaced_and_an_unchanged_one_is_not(settings: Settings) -> None:
    def view(value: int) -> Migration:
        return Migration(name="views/v.sql", text=f"CREATE OR REPLACE VIEW {{database}}.v AS SELECT {value} AS value;")

    async def value() -> int:
        async with await connected(settings) as client:
            rows = await client.query(f"SELECT value FROM {settings.clickhouse_database}.v")
        return int(rows.result_rows[0][0])

    await migrate(settings, [FIRST])
    for expected in (1, 2, 1):
        assert await migrate(settings, [FIRST, view(expected)]) == ["views/v.sql"]
        assert await value() == expected
        assert await migrate(settings, [FIRST, view(expected)]) == []


@pytest.mark.clickhouse
async def test_a_migration_that_failed_half_way_is_applied_again(settings: Settings) -> None:
    broken = Migration(name=FIRST.name, text=FIRST.text + "SELECT * FROM {database}.missing;")
    with pytest.raises(DatabaseError):
        await migrate(settings, [broken])
    assert await migrate(settings, [FIRST]) == ["0001_first.sql"]


@pytest.mark.clickhouse
async def test_the_lock_of_a_dead_process_expires(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(settings, [])
    async with await connected(settings) as client:
        await client.command(f"CREATE TABLE {settings.clickhouse_database}._migrating (x UInt8) ENGINE = Memory")
    monkeypatch.setattr("sinks.maintenance.migrate.LOCK_EXPIRES_S", 0)
    assert await migrate(settings, [FIRST]) == ["0001_first.sql"]


@pytest.mark.clickhouse
async def test_rows_of_contacts_without_their_tenant_are_refused(settings: Settings) -> None:
    await migrate(settings)
    async with await connected(settings) as client:
        insert = f"INSERT INTO {settings.clickhouse_database}.contacts (workspace, environment, contact_id) VALUES"
        await client.command(f"{insert} ('local', 'production', 'cnt_{'a' * 32}')")
        assert await migrate(settings) == []
        await client.command(f"{insert} ('local', 'production', 'cnt_{'a' * 24}')")
    with pytest.raises(MigrationError, match=r"earlier version.*import the events again"):
        await migrate(settings)


@pytest.mark.kafka
async def test_state_that_names_contacts_without_their_tenant_is_refused(settings: Settings) -> None:
    await create_topics(settings)
    name = topics.changelog(topics.IDENTITY_APP, topics.IDENTITY_PAIRS, settings)
    producer = kafka.producer(settings)
    await producer.start()
    try:
        await producer.send_and_wait(name, b"1", key=f"cnt_{'a' * 32}".encode(), partition=0)
        assert await create_topics(settings) == []
        await producer.send_and_wait(name, b"1", key=f"cnt_{'a' * 24}".encode(), partition=1)
    finally:
        await producer.stop()
    with pytest.raises(ProvisionError, match=r"earlier version.*import the events again"):
        await create_topics(settings)
