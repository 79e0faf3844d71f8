"""Shards x replicas: the statements of each host, and the embedded engine's tables and answers for them.

Not covered, for lack of servers: replicas that copy from each other, and shards on two machines.
"""

import re
from pathlib import Path

import pytest

from schemas.errors import CannotStart
from schemas.records import identity
from schemas.settings import Settings
from sinks.clickhouse.streams import STREAMS
from sinks.maintenance.cluster import EVERYWHERE, replicated, shards_of
from sinks.maintenance.erase import CONDITIONS
from sinks.maintenance.migrate import expected_of, migrations, statements_of
from sinks.maintenance.read_layer import BESIDE_ROWS
from sinks.shards.placement import KEYS, shard_of
from tests.support.builders import event, link
from tests.support.cluster_engine import Refused, answers
from tests.support.sink_pipeline import change

GOLDEN = Path(__file__).parents[1] / "golden" / "clickhouse" / "shards.sql"
CLUSTER = Settings(clickhouse_cluster="two", clickhouse_shards=2, clickhouse_database="hw")
TABLES = re.compile(r"CREATE TABLE IF NOT EXISTS hw\.(\w+)")
ROWS = (
    """
    INSERT INTO hw.events (workspace, environment, event_id, contact_id, own_contact_id, type,
    campaign_id, message_id, timestamp) SELECT 'w', 'e', toString(number), 'c1', if(number % 2, 'c1',
    'c2'), 'message.requested', 'k', toString(number % 3), now64(3) FROM numbers(6)
    """,
    """
    INSERT INTO hw.contact_overrides (workspace, environment, loser, winner, version) VALUES ('w', 'e',
    'c2', 'c3', 1)
    """,
    """
    INSERT INTO hw.contacts (workspace, environment, contact_id, email, consents, version) VALUES ('w',
    'e', 'c1', 'a@x', '{"email":true}', 1), ('w', 'e', 'c3', 'b@x', '{"email":false}', 1)
    """,
    """
    INSERT INTO hw.consent_changes (workspace, environment, contact_id, consent, state, at, event_id)
    VALUES ('w', 'e', 'c2', 'email', 'withdrawn', now64(3), '1')
    """,
    """
    INSERT INTO hw.segments (workspace, environment, segment_id, name, _version) VALUES ('w', 'e', 's',
    'S', 1)
    """,
    """
    INSERT INTO hw.membership_changes (workspace, environment, segment_id, contact_id, member, version)
    VALUES ('w', 'e', 's', 'c1', 1, 1024), ('w', 'e', 's', 'c1', 0, 2048), ('w', 'e', 's', 'c3', 1,
    1024)
    """,
)
DIGEST = re.compile(r"^-- of [0-9a-f]{64}\n")
VALUE = re.compile(r"\{\w+:(\w+)(\(\w+\))?\}")
SAMPLES = {"String": "'x'", "Int64": "1", "Array": "['x']"}


def rendered() -> str:
    """Returns the engines of the tables on every shard, and all statements that read the shards."""
    texts = []
    for migration in migrations():
        engines = re.findall(
            r"^ENGINE = .*'/clickhouse/tables/all/.*$", "\n".join(statements_of(migration, CLUSTER)), re.MULTILINE
        )
        texts += [f"{migration.name}: {engine}" for engine in engines]
    (reads,) = (migration for migration in expected_of(CLUSTER) if migration not in migrations())
    made = [DIGEST.sub("", sql) for sql in statements_of(reads, CLUSTER)]
    # only the first line of recreated views: their files hold the rest
    texts += [sql.splitlines()[0] for sql in made if not sql.startswith("ALTER")]
    return "\n".join(texts) + "\n"


def test_hosts_get_what_is_written_down() -> None:
    """`python -m tests.contract.test_clickhouse_shards` writes the golden file."""
    assert rendered() == GOLDEN.read_text()


def test_a_table_is_on_one_shard_by_its_key_or_on_all() -> None:
    filled = {table.name for stream in STREAMS for table in stream.tables}
    assert filled - EVERYWHERE == KEYS.keys()
    made = {
        name for migration in migrations() for sql in statements_of(migration, CLUSTER) for name in TABLES.findall(sql)
    }
    by_views = {"memberships", "contact_memberships"}
    assert made - KEYS.keys() - by_views == EVERYWHERE


def test_a_row_that_comes_again_comes_to_the_same_shard() -> None:
    """The present contact and the side of the link do not matter."""
    shards = set()
    for n in range(50):
        first = event(f"external_id:u{n}", event_id=f"e{n}")
        after_merge = {**first, "contact_id": "cnt_winner"}
        assert shard_of("events", first, 3) == shard_of("events", after_merge, 3) == shard_of("duplicates", first, 3)
        shards.add(shard_of("events", first, 3))
        tied = link(f"external_id:u{n}", f"email:u{n}@example.com")
        other = {**tied, "a": tied["b"], "b": tied["a"]}
        assert shard_of("links", tied, 3) == shard_of("retracted_links", other, 3)
        contact = identity.own_contact_id(first)
        assert shard_of("contacts", change(contact, "profile", 1), 3) == shard_of("events", first, 3), "side by side"
    assert shards == {0, 1, 2}
    assert {shard_of("events", event(event_id=f"e{n}"), 3) for n in range(50)} == {0, 1, 2}, "those of nobody too"
    assert shard_of("quarantine", {}, 3) == 0


@pytest.mark.parametrize("settings", [CLUSTER, Settings(clickhouse_cluster="one", clickhouse_database="hw")])
def test_the_engine_makes_every_replicated_table(settings: Settings, tmp_path: Path) -> None:
    """It also accepts an erasure's mutations, but does not run them: it refuses those with subqueries."""
    made = [sql for migration in migrations() for sql in statements_of(migration, settings) if "CREATE TABLE" in sql]
    subquery = "ALTER TABLE hw.quarantine DELETE WHERE event_id IN (SELECT event_id FROM hw.events)"
    deletes = [
        f"ALTER TABLE hw.{table} DELETE WHERE {VALUE.sub(lambda match: SAMPLES[match[1]], where)}"
        for table, where in CONDITIONS
        if not {"_sender", "own_contact_id", "_event"} & set(re.findall(r"\w+", where))  # columns of later files
    ]
    assert len(made) > 20
    assert len(deletes) > 8
    places = (
        "SELECT count(), uniqExact(zookeeper_path), sum(startsWith(zookeeper_path, '/clickhouse/tables/all/'))"
        " FROM system.replicas"
    )
    results = answers(tmp_path, ["CREATE DATABASE hw", *made, places, subquery, *deletes])
    assert not [result for result in results[: len(made) + 1] if isinstance(result, Refused)]
    count = len(made)
    everywhere = len(EVERYWHERE) if settings.clickhouse_shards > 1 else 0
    assert results[count + 1].split() == [str(count), str(count), str(everywhere)]
    assert "subquery may be nondeterministic" in results[count + 2]
    for refused in results[count + 3 :]:
        assert re.search(r"READ_ONLY|ABORTED", refused), "refused for this engine's replica alone"


def test_reads_are_of_all_shards(tmp_path: Path) -> None:
    """Over one shard they equal its own tables; over two shards with equal rows each row comes twice."""
    plain = [sql for migration in migrations() for sql in migration.statements("hw")]
    (reads,) = (migration for migration in expected_of(CLUSTER) if migration not in migrations())
    once, twice = reads.statements("hw"), [sql.replace("hw_all", "tw") for sql in reads.statements("hw")]
    once = [sql.replace("'two'", "'one'") for sql in once]
    views = sorted(BESIDE_ROWS | {"consents_current", "campaign_messages"})
    names = [*views, "events", "contacts", "memberships", "segments", "contact_overrides"]
    asks = [f"SELECT * FROM {database}.{name} ORDER BY ALL" for database in ("hw", "hw_all") for name in names]
    asks = [*asks[: len(names)], "SELECT * FROM hw.events FINAL ORDER BY ALL", *asks[len(names) :]]
    asks.append("SELECT * FROM hw_all.events FINAL ORDER BY ALL")
    counts = [f"SELECT count() FROM tw.{name}" for name in names]
    joined = "SELECT count() FROM tw.events WHERE contact_id IN (SELECT contact_id FROM tw.contacts)"
    last = [
        joined,
        f"{joined} SETTINGS distributed_product_mode = 'global'",
        "INSERT INTO tw.events (workspace) VALUES ('x')",
    ]
    start = ["CREATE DATABASE hw", *plain, *ROWS, *once, *twice]
    results = answers(tmp_path, [*start, *asks, *counts, *last])
    assert not [result for result in results[: -len(last)] if isinstance(result, Refused)]
    answered = results[len(start) : len(start) + len(asks)]
    own, all_shards = answered[: len(names) + 1], answered[len(names) + 1 :]
    assert own == all_shards
    assert all(own), "nothing is compared with nothing"
    lines = [len(text.splitlines()) for text in own[:-1]]
    doubled = [2 * n if name not in EVERYWHERE else n for name, n in zip(names, lines, strict=True)]
    doubled[names.index("campaign_messages")] = lines[
        names.index("campaign_messages")
    ]  # messages of all shards are in one table
    assert [int(text) for text in results[len(start) + len(asks) : -len(last)]] == doubled
    denied, allowed, written = results[-len(last) :]
    assert "Double-distributed IN/JOIN subqueries is denied" in denied
    assert not isinstance(allowed, Refused)
    assert "not supported by storage Distributed with more than one shard" in written


async def test_shards_without_a_cluster_are_refused() -> None:
    with pytest.raises(CannotStart, match="HEADWATER_CLICKHOUSE_SHARDS needs HEADWATER_CLICKHOUSE_CLUSTER"):
        await shards_of(Settings(clickhouse_shards=2))


def test_views_and_columns_are_the_same_on_each_host() -> None:
    others = [sql for migration in migrations() for sql in migration.statements("hw") if "CREATE TABLE" not in sql]
    assert others == [replicated(sql, 2) for sql in others]


if __name__ == "__main__":
    GOLDEN.write_text(rendered())
