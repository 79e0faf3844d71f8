"""Tables of a cluster: each statement as replicas get it, understood by the engine, which has no replicas to make.

The embedded engine parses what is rendered, and refuses to make a replicated table, as it has neither macros nor a
Keeper; so nothing here says how replicas behave.
"""

import re
from collections.abc import Collection
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.errors import CannotStart
from schemas.settings import Settings
from sinks.clickhouse.connect import connected
from sinks.maintenance.cluster import at_host, hosts_of, refuse_cluster, replicated
from sinks.maintenance.migrate import migrations

GOLDEN = Path(__file__).parents[1] / "golden" / "clickhouse" / "replicas.sql"
STATEMENTS = [
    (migration.name, sql) for migration in migrations() for sql in migration.statements("headwater", replicas=True)
]
MADE = [sql for _, sql in STATEMENTS if "MergeTree" in sql and "CREATE TABLE" in sql]
COMMENT = re.compile(r"--[^\n]*\n")


def rendered(names: Collection[str]) -> str:
    """What these files become, but for statements that are a single server's too."""
    texts = []
    for migration in migrations():
        plain, now = migration.statements("headwater"), migration.statements("headwater", replicas=True)
        changed = [COMMENT.sub("", new).strip() for new, old in zip(now, plain, strict=True) if new != old]
        if changed and migration.name in names:
            texts.append(f"-- {migration.name}\n" + ";\n\n".join(changed) + ";\n")
    return "\n".join(texts)


def test_replicas_get_what_is_written_down() -> None:
    """`python -m tests.contract.test_clickhouse_cluster` writes it anew, with the files that came since."""
    golden = GOLDEN.read_text()
    names = re.findall(r"^-- (\d{4}_\w+\.sql)$", golden, re.MULTILINE)
    assert len(names) >= 11
    assert rendered(names) == golden


@pytest.mark.parametrize("statement", MADE, ids=range(len(MADE)))
def test_each_table_has_a_place_of_its_own_in_keeper(statement: str) -> None:
    table = re.search(r"CREATE TABLE IF NOT EXISTS headwater\.(\w+)", statement)
    assert table is not None
    engine = re.search(r"^ENGINE = Replicated\w*MergeTree\('([^']+)', '\{replica\}'", statement, re.MULTILINE)
    assert engine is not None, statement
    assert engine[1] == f"/clickhouse/tables/{{shard}}/headwater/{table[1]}"
    assert "non_replicated" not in statement


def test_no_statement_waits_for_other_hosts() -> None:
    assert len(MADE) > 15
    assert not [name for name, sql in STATEMENTS if re.search(r"\bON CLUSTER\b", sql)]
    others = [sql for _, sql in STATEMENTS if sql not in MADE]
    assert others == [replicated(sql) for sql in others], "views and changes of columns are the same"


@pytest.mark.clickhouse
async def test_the_engine_understands_each_and_makes_none(settings: Settings) -> None:
    database = settings.clickhouse_database
    async with await connected(settings) as client:
        await client.command(f"CREATE DATABASE {database}")
        for migration in migrations():
            for sql in migration.statements(database, replicas=True):
                await client.raw_query(f"EXPLAIN AST {sql}", fmt="TSV")
        if (
            await client.query("SELECT 1 FROM system.tables WHERE database = 'system' AND name = 'zookeeper'")
        ).result_rows:
            return  # a server with a Keeper makes them
        with pytest.raises(DatabaseError, match=r"(?i)macro|keeper|replica"):
            await client.command(MADE[0].replace("headwater.", f"{database}."))


@pytest.mark.clickhouse
async def test_a_cluster_that_is_none_or_has_shards_is_refused(settings: Settings) -> None:
    async with await connected(settings) as client:
        clusters = (
            await client.query("SELECT cluster, uniqExact(shard_num) FROM system.clusters GROUP BY 1")
        ).result_rows
    assert await hosts_of(settings) == [settings]
    with pytest.raises(CannotStart, match="knows no cluster nowhere"):
        await hosts_of(settings.model_copy(update={"clickhouse_cluster": "nowhere"}))
    for name, shards in clusters:
        there = settings.model_copy(update={"clickhouse_cluster": name})
        if shards > 1:
            with pytest.raises(CannotStart, match="has shards"):
                await hosts_of(there)
        else:
            assert await hosts_of(there)


@pytest.mark.parametrize(
    ("url", "host", "expected"),
    [
        ("http://user:p%40ss@one:8123", "two", "http://user:p%40ss@two:8123"),
        ("https://one", "two.local", "https://two.local"),
        ("https://user@one:8443/?x=1", "::1", "https://user@[::1]:8443/?x=1"),
    ],
)
def test_each_host_is_reached_in_the_same_way(url: str, host: str, expected: str) -> None:
    assert at_host(url, host) == expected


def test_what_a_cluster_cannot_do_says_so() -> None:
    refuse_cluster(Settings(), "a squash", "-")
    with pytest.raises(CannotStart, match="a squash is not possible with HEADWATER_CLICKHOUSE_CLUSTER: later"):
        refuse_cluster(Settings(clickhouse_cluster="c"), "a squash", "later")


if __name__ == "__main__":
    GOLDEN.write_text(rendered({migration.name for migration in migrations()}))
