"""The files of a backup: records come back as they were, gaps are filled, tables are cut, damage is found."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.backup import manifest as manifests
from deploy.backup.manifest import Manifest, PartitionCopy, TableCopy
from deploy.backup.record_files import RecordFile, SavedRecord, records_in
from deploy.backup.sealed import refuse_sealed
from deploy.backup.tables import BYTES, ROWS, pieces
from deploy.backup.topics_in import FILLER_KEY, filled
from deploy.backup.topics_out import ORDER
from schemas import topics
from schemas.control import sealing
from schemas.errors import CannotStart
from sinks.maintenance.merges import TablePart


class FetchedRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


RECORDS = (
    FetchedRecord(3, 1_000, b"k", b"v" * 100_000),
    FetchedRecord(4, 1_001, None, b"\xff\x00", (("headwater-replay-of", b"1"), ("x", b""))),
    FetchedRecord(9, 1_002, b"", None),
)


def saved(path: Path) -> Path:
    with RecordFile(path) as file:
        for record in RECORDS:
            file.add(record)
    return path


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    records = list(records_in(saved(tmp_path / "topics" / "0.avro")))
    assert [(*record[:4], tuple(record.headers)) for record in records] == [tuple(record) for record in RECORDS]


def copy(first: int, end: int) -> PartitionCopy:
    return PartitionCopy(first=first, end=end, records=3, file="-")


def test_each_offset_below_the_end_has_a_record(tmp_path: Path) -> None:
    path = saved(tmp_path / "0.avro")
    records = list(filled(records_in(path), copy(3, 12), FILLER_KEY))
    assert [record.offset for record in records] == list(range(12))
    fillers = [record for record in records if record.offset not in {3, 4, 9}]
    assert {(filler.key, filler.value) for filler in fillers} == {(FILLER_KEY, None)}, "a compacted topic forgets them"
    assert [record.timestamp for record in records] == [1000] * 4 + [1001] + [1002] * 7, (
        "none is older than its neighbour"
    )
    begun = list(filled(records_in(path), copy(3, 10), None))
    assert {(record.key, record.value) for record in begun[:3]} == {(None, b"")}
    assert list(filled([], copy(4, 4), None)) == [SavedRecord(n, 0, None, b"", []) for n in range(4)]


def test_each_row_of_each_part_is_in_one_piece() -> None:
    parts = [
        TablePart(*of)
        for of in (("a", 10, 100), ("b", ROWS, 5), ("c", 3 * ROWS + 1, 5), ("d", 7, 3 * BYTES), ("e", 1, 1))
    ]
    items = list(pieces(parts))
    whole = [name for piece in items if piece.last > 1 << 60 for name in piece.parts]
    assert sorted(whole) == ["a", "b", "e"]
    for name, rows in (("c", 3 * ROWS + 1), ("d", 7)):
        spans = [(piece.first, piece.last) for piece in items if piece.parts == (name,)]
        covered = [n for first, last in spans for n in range(first, min(last, rows - 1) + 1)]
        assert covered == list(range(rows))
        assert all(last - first < ROWS for first, last in spans)
    assert list(pieces([])) == []


def test_causes_are_cut_after_what_follows_from_them() -> None:
    names = [topic.name for topic in ORDER]
    for cause, follows in (
        ("events", "resolved"),
        ("resolved", "changes"),
        ("changes", "deliveries"),
        ("links", "merges"),
    ):
        assert names.index(follows) < names.index(cause)
    assert {topic.name for topic in topics.DATA} - set(names) == {"receipts", "refusals", "webhook-tests"}


def manifest(folder: Path) -> Manifest:
    (folder / "a").write_bytes(b"records")
    return Manifest(
        release="1",
        began_ms=1,
        partitions=4,
        migrations=[],
        topics={},
        groups=[],
        tables={"t": TableCopy(rows=1, files=["a"])},
        sha256={"a": manifests.digest(folder / "a")},
    )


def test_a_backup_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"manifest\.json"):
        manifests.read(tmp_path)
    made = manifest(tmp_path)
    manifests.write(tmp_path, made)
    assert manifests.read(tmp_path) == made
    (tmp_path / "a").write_bytes(b"Records")
    with pytest.raises(CannotStart, match="not what was backed up"):
        manifests.read(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(CannotStart, match="missing"):
        manifests.read(tmp_path)


OUTSIDE = "../a"


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"more": 1},
        {"partitions": "x"},
        {"sha256": {}},
        {"tables": {"t": {"rows": 1, "files": [OUTSIDE]}}, "sha256": {OUTSIDE: ""}},
    ],
)
def test_another_manifest_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    manifests.write(tmp_path, manifest(tmp_path))
    path = tmp_path / manifests.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CannotStart, match=r"manifest\.json|the format 2"):
        manifests.read(tmp_path)


def test_secrets_that_this_process_cannot_unseal_are_refused(tmp_path: Path) -> None:
    sealing.use(["the key of then"])
    secret = json.dumps({"secret": sealing.seal("whsec_x")}).encode()
    made = manifest(tmp_path).model_copy(update={"topics": {"control": [copy(0, 3)]}})
    with RecordFile(tmp_path / "-") as file:
        file.add(FetchedRecord(0, 1, b"local/webhook/1", b"{}"))
        file.add(FetchedRecord(1, 1, b"local/webhook/1", secret))
        file.add(FetchedRecord(2, 1, b"local/webhook/2", None))
    try:
        refuse_sealed(tmp_path, made)
        for keys in ([], ["another"]):
            sealing.use(keys)
            with pytest.raises(CannotStart, match="1 webhooks and receivers are sealed"):
                refuse_sealed(tmp_path, made)
        sealing.use(["new", "the key of then"])
        refuse_sealed(tmp_path, made)
    finally:
        sealing.use([])
