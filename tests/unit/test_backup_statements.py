"""Addresses, credentials and statements of a backup in S3; what is written down is what ClickHouse gets."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.backup.archives import archives_of, backup_statement, restore_statement, sync_statements
from deploy.backup.manifest import Archive
from deploy.backup.object_store import Bucket, bucket_of
from schemas.errors import CannotStart
from sinks.clickhouse.streams import STREAMS
from sinks.maintenance.layout import made
from sinks.maintenance.merges import stop_and_start
from sinks.maintenance.migrate import migrations

GOLDEN = Path(__file__).parents[1] / "golden" / "clickhouse" / "backup.sql"
NAMED = {"AWS_ACCESS_KEY_ID": "the-id", "AWS_SECRET_ACCESS_KEY": "the'secret\\"}
TABLES = sorted(
    {
        name
        for migration in migrations()
        for name in re.findall(r"CREATE TABLE IF NOT EXISTS \{database\}\.(\w+)", migration.text)
    }
    & made()
)


def rendered() -> str:
    bucket = bucket_of("s3://backups/1", {"AWS_ENDPOINT_URL": "http://s3:9000", **NAMED})
    lines = []
    for shards in (1, 2):
        for archive in archives_of(TABLES, ["headwater"] * shards):
            lines.append(f"-- shard {archive.shard} of {shards}")
            lines += sync_statements(archive) if shards > 1 else []
            lines.append(backup_statement(archive, bucket))
            lines.append(restore_statement(archive, bucket, "drill"))
    lines.append("-- a folder: around the copy of a table of a server, of a replica")
    for replicated in (False, True):
        held = stop_and_start("events", replicated=replicated)
        lines += [stop for stop, _ in held] + [start for _, start in reversed(held) if start]
    return "\n".join(lines) + "\n"


def test_clickhouse_gets_what_is_written_down() -> None:
    """`python -m tests.unit.test_backup_statements` writes it anew."""
    assert rendered() == GOLDEN.read_text()


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_each_table_of_each_shard_is_in_one_archive(shards: int) -> None:
    archives = archives_of(TABLES, ["headwater"] * shards)
    assert len({archive.path for archive in archives}) == len(archives)
    assert sorted(name for archive in archives if archive.shard == 1 for name in archive.tables) == TABLES
    for shard in range(2, shards + 1):
        own = [name for archive in archives if archive.shard == shard for name in archive.tables]
        assert {"events", "contacts"} < set(own)
        assert not {"contact_overrides", "squashes"} & set(own), "the first shard has all rows of these"
    steps = [next(n for n, archive in enumerate(archives) if name in archive.tables) for name in ("squashes", "events")]
    last = max(n for n, archive in enumerate(archives) if "events" in archive.tables)
    others = [n for n, archive in enumerate(archives) if "memberships" in archive.tables]
    assert steps[0] < steps[1] <= last < min(others)
    checkpoints = {table.name for stream in STREAMS for table in stream.checkpoints}
    checkpoints -= {"event_outcomes"}  # rows of it come before a row of `quarantine`, which says that they are there
    assert all(set(archive.tables) <= checkpoints for archive in archives[1:] if checkpoints & set(archive.tables))


def test_the_variables_are_those_of_aws() -> None:
    assert bucket_of("s3://backups/a/b", {"AWS_REGION": "eu-west-1"}) == Bucket(
        name="backups", prefix="a/b", endpoint="https://s3.eu-west-1.amazonaws.com", region="eu-west-1"
    )
    own = {"AWS_ENDPOINT_URL": "http://one", "AWS_ENDPOINT_URL_S3": "http://two/", "AWS_DEFAULT_REGION": "x"}
    result = bucket_of("s3://backups/a/", own | NAMED | {"AWS_SESSION_TOKEN": "t"})
    assert (result.url, result.region, result.token) == ("http://two/backups/a", "x", "t")
    assert "session_token = 't'" in backup_statement(archives_of(["events"], ["d"])[0], result)
    nobody = bucket_of("s3://backups/a", {})
    place = "S3('https://s3.us-east-1.amazonaws.com/backups/a/tables/shard-1/2')"
    assert place in backup_statement(archives_of(["events"], ["d"])[0], nobody), "ClickHouse shows its own identity"


def test_a_secret_comes_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-the-file\n")
    variables = {"AWS_ACCESS_KEY_ID": "the-id", "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "secret")}
    result = bucket_of("s3://backups/a", variables)
    assert result.secret == "from-the-file"
    assert "from-the-file" not in repr(result)
    assert "the-id" not in repr(result)
    assert result.without_secrets("S3('u', 'the-id', 'from-the-file')") == "S3('u', '***', '***')"
    with pytest.raises(CannotStart, match=r"AWS_SECRET_ACCESS_KEY_FILE=.*missing: No such file"):
        bucket_of("s3://backups/a", {"AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "missing")})


@pytest.mark.parametrize("variables", [{"AWS_ACCESS_KEY_ID": "x"}, {"AWS_SESSION_TOKEN": "x"}])
def test_a_key_without_its_secret_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(CannotStart, match="go together"):
        bucket_of("s3://backups/a", variables)


@pytest.mark.parametrize(
    "address", ["s3://backups", "s3://backups/", "s3://B/a", "s3://backups/../a", "s3://backups/a'b"]
)
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(CannotStart, match="BUCKET/PREFIX"):
        bucket_of(address, {})


@pytest.mark.parametrize("endpoint", ["s3:9000", "http://id:secret@s3", "http://s3/path", "http://s3'"])
def test_another_endpoint_is_refused_and_not_repeated(endpoint: str) -> None:
    with pytest.raises(CannotStart) as refused:
        bucket_of("s3://backups/a", {"AWS_ENDPOINT_URL": endpoint})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "changed", [{"path": "../x"}, {"path": "tables/'"}, {"database": "a b"}, {"tables": ["t, TABLE u"]}, {"shard": 0}]
)
def test_a_manifest_brings_no_statement_of_its_own(changed: dict[str, object]) -> None:
    right = {"path": "tables/shard-1/1", "shard": 1, "database": "headwater", "tables": ["events"]}
    assert Archive.model_validate(right)
    with pytest.raises(ValidationError):
        Archive.model_validate(right | changed)


if __name__ == "__main__":
    GOLDEN.write_text(rendered())
