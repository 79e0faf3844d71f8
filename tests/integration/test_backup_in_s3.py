"""ClickHouse's own backup of tables, in an S3 server, and back; and what is said where S3 refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.backup.archives import archive_tables, archives_of, restore_tables
from deploy.backup.command import backup, restore
from deploy.backup.object_store import ObjectStore, bucket_of
from deploy.backup.tables import tables_of
from schemas.errors import CannotStart
from schemas.settings import Settings
from sinks.clickhouse.connect import writing
from sinks.clickhouse.rows import EVENTS, MEMBERSHIP_CHANGES, Item
from sinks.clickhouse.writer import Writer
from sinks.maintenance.migrate import migrate
from tests.support.builders import event
from tests.support.object_storage import BUCKET, KEY, SECRET, ObjectStorage, object_storage
from tests.support.services import free_port
from tests.support.sink_pipeline import change

pytestmark = pytest.mark.clickhouse


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path_factory.mktemp("s3")) as running:
        yield running


async def test_the_same_rows_come_back(settings: Settings, storage: ObjectStorage) -> None:
    newer = settings.model_copy(update={"clickhouse_database": f"{settings.clickhouse_database}_new"})
    member = change("cnt_1", "membership", 1, segment_id="s", member=True, segment_version=1, reason="e", event_id="")
    for configured in (settings, newer):
        await migrate(configured)
    writer = Writer(settings)
    await writer.start()
    for table in (EVENTS, MEMBERSHIP_CHANGES):
        await writer.prepare(table)
    for n in range(3):
        placed = event("external_id:u1", event_id=f"e{n}", origin_partition=0, origin_offset=7, origin_index=0)
        await writer.insert(EVENTS, "resolved", [Item(n, 7, 0, placed)])
    await writer.insert(MEMBERSHIP_CHANGES, "changes", [Item(0, 0, 0, member)])
    await writer.stop()
    bucket = bucket_of(f"s3://{BUCKET}/rows", storage.variables())
    async with await writing(settings) as client, await writing(newer) as empty:
        archives = archives_of(await tables_of(client), [settings.clickhouse_database])
        sizes = [await archive_tables([client], archive, bucket, print) for archive in archives]
        assert all(sizes[1:])
        assert [await restore_tables([empty], archive, bucket, print) for archive in archives] == sizes
        for name in await tables_of(client):
            both = [f"SELECT * FROM {of.clickhouse_database}.{name} ORDER BY ALL" for of in (settings, newer)]
            before, after = [(await client.query(sql)).result_rows for sql in both]
            assert before == after, name
        with pytest.raises(CannotStart, match="already contains some data"):
            await restore_tables([empty], archives[1], bucket, print)
        with pytest.raises(CannotStart, match="already exists") as refused:
            await archive_tables([client], archives[0], bucket, print)
        assert SECRET not in str(refused.value)


async def test_what_s3_refuses_is_told_without_secrets(
    settings: Settings, storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in storage.variables().items():
        monkeypatch.setenv(name, value)
    storage.put("taken/1/other", b"")
    texts: list[str] = []
    with pytest.raises(CannotStart, match="taken/1 is not empty") as taken:
        await backup(settings, f"s3://{BUCKET}/taken/1", texts.append)
    with pytest.raises(CannotStart, match="unfinished") as unfinished:
        await restore(settings, f"s3://{BUCKET}/taken/1", texts.append)
    with pytest.raises(CannotStart, match="NoSuchBucket") as missing:
        await backup(settings, "s3://no-bucket-of-this-name/1", texts.append)
    with pytest.raises(CannotStart, match="NoSuchBucket"):
        await restore(settings, "s3://no-bucket-of-this-name/1", texts.append)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(CannotStart, match=f"s3://{BUCKET}/1") as silent:
        await backup(settings, f"s3://{BUCKET}/1", texts.append)
    for refused in (taken, unfinished, missing, silent):
        assert KEY not in str(refused.value)
        assert SECRET not in str(refused.value)
    assert not texts
    assert not list(settings.home.glob("backup-*")), "what was on its way is gone"


async def test_objects_go_there_and_come_back(storage: ObjectStorage, tmp_path: Path) -> None:
    store = ObjectStore(bucket_of(f"s3://{BUCKET}/objects", storage.variables()))
    assert await store.is_empty()
    large = bytes(range(256)) * (80 << 10)  # in several requests
    for name, content in (("a/b.avro", large), ("empty", b"")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        await store.upload(tmp_path, name)
    assert not await store.is_empty()
    for name in ("a/b.avro", "empty"):
        await store.download(tmp_path / "back", name)
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / name).read_bytes()
    with pytest.raises(FileNotFoundError):
        await store.download(tmp_path, "missing")
