"""Files to rows and rows to batches: packed or not, broken or not, each line with its number and its id."""

import gzip
import io
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from deploy.cli.imports import checkpoint as checkpoints
from deploy.cli.imports import rows, source
from deploy.cli.imports.batches import RefusedRow, RowBatch, batches
from deploy.cli.imports.checkpoint import Checkpoint, Totals
from deploy.cli.imports.mapping import CONTACTS, Mapper, guess
from deploy.cli.imports.refused_file import RefusedFile
from deploy.cli.imports.rows import MAX_LINE, Layout, Row
from deploy.client.config import ConfigError


def stream(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))


def read(data: bytes, **options: Any) -> tuple[Layout, list[Row]]:
    form = rows.layout(stream(data), **options)
    return form, list(rows.rows(stream(data), form))


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, zstandard.compress, lambda d: gzip.compress(d) * 2], ids=range(4)
)
def test_packing_is_told_by_the_first_bytes(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(pack(b"a,b\n1,2\n"))
    with source.opened(str(path)) as file:
        again = [file.unpacked().read() for _ in range(2)]
        assert file.size == path.stat().st_size
    assert again[0] == again[1]
    assert again[0].startswith(b"a,b\n1,2\n")


def test_the_digest_is_of_what_lies_there(tmp_path: Path) -> None:
    rows = []
    for text in ("a", "a", "b"):
        (tmp_path / "x").write_text(text)
        with source.opened(str(tmp_path / "x")) as file:
            rows.append(file.digest)
    assert rows[0] == rows[1] != rows[2]
    with pytest.raises(ConfigError, match="cannot be read"), source.opened(str(tmp_path / "y")):
        pass


def test_csv_with_quotes_lines_in_fields_and_wrong_rows() -> None:
    data = b'\xef\xbb\xbfid;name\r\n1;"a\r\nb"\r\n2\r\n\r\n3;"say ""x"""\r\n4;5;6\r\n'
    form, rows = read(data)
    assert (form.kind, form.columns, form.delimiter) == ("csv", ("id", "name"), ";")
    assert [(row.line, row.values) for row in rows] == [
        (2, ["1", "a\r\nb"]),
        (4, None),
        (6, ["3", 'say "x"']),
        (7, None),
    ]
    assert rows[1].problem == "has 1 fields, the header has 2"
    assert form.sample == rows


def test_a_quote_that_never_ends_costs_no_more_than_a_line_may_be_long() -> None:
    data = b'id,name\n1,"' + b"x" * (MAX_LINE + 10) + b"\n2,b\n"
    _, rows = read(data)
    assert [row.values for row in rows if row.values is not None] == [["2", "b"]]
    assert any("cannot be read as CSV" in row.problem for row in rows)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b" \n", "empty"), (b"a,a\n1,2\n", "more than once"), (b"a,\n1,2\n", "without a name")],
)
def test_a_file_that_is_none_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read(data)


def test_ndjson_with_lines_that_are_none() -> None:
    data = b'\xef\xbb\xbf{"a": 1}\n\n[1]\n{"b": \n{"b": 2}' + b"\n" + b"x" * (MAX_LINE + 5) + b"\n{}"
    form, rows = read(data)
    assert (form.kind, form.columns) == ("ndjson", ("a", "b"))
    assert [(row.line, row.values) for row in rows] == [
        (1, {"a": 1}),
        (3, None),
        (4, None),
        (5, {"b": 2}),
        (6, None),
        (7, {}),
    ]
    assert [row.problem.split(":")[0] for row in rows if row.values is None] == [
        "is no JSON object",
        "is not JSON",
        f"is longer than {MAX_LINE} bytes",
    ]


def batched(data: bytes, *, after: int = 0, most: int = 1000, digest: str = "d" * 32) -> list[RowBatch]:
    form, rows = read(data)
    columns = guess(CONTACTS, form.columns, [], is_text=form.kind == "csv", chosen={})
    return list(batches(rows, Mapper(CONTACTS, columns, {}), digest, after=after, most=most))


def test_ids_follow_from_file_and_line_and_sort_by_it() -> None:
    data = b"email\n" + b"".join(b"a%d@x.org\n" % n for n in range(12))
    first, *_ = batched(data)
    ids = [orjson.loads(item)["event_id"] for item in first.items]
    assert ids == sorted(ids)
    assert len(set(ids)) == 12
    assert [orjson.loads(item)["event_id"] for item in batched(data, most=5)[1].items] == ids[5:10]
    assert not set(ids) & {orjson.loads(item)["event_id"] for item in batched(data, digest="e" * 32)[0].items}
    (rest,) = batched(data, after=11)
    assert (rest.lines, rest.last_line) == ([12, 13], 13)


def test_a_row_with_an_id_keeps_it_and_bytes_of_another_encoding_are_named() -> None:
    (batch,) = batched(b"email,event_id\na@x.org,row-1\n\xff@x.org,\n")
    assert [orjson.loads(item)["event_id"] for item in batch.items] == ["row-1"]
    (problem,) = batch.problems
    assert (problem.line, "--encoding" in problem.reason) == (3, True)
    assert orjson.loads(problem.to_json())["line"] == 3


def test_batches_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.cli.imports.batches.MAX_BYTES", 1000)
    data = b"email,note\n" + b"".join(b"a%d@x.org,%s\n" % (n, b"x" * 400) for n in range(10))
    assert [batch.rows for batch in batched(data)] == [3, 3, 3, 1]
    halves = batched(data)[0].halves()
    assert [(half.rows, half.lines) for half in halves] == [(1, [2]), (2, [3, 4])]


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert checkpoints.load(path) is None
    state = Checkpoint(digest="d", purpose="p", as_of="2026", line=7, refused_bytes=3, totals=Totals(sent=9, stored=9))
    checkpoints.save(path, state)
    assert checkpoints.load(path) == state
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"line": 1}'])
def test_a_checkpoint_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="--restart"):
        checkpoints.load(path)


def test_the_file_of_refused_rows_is_cut_where_the_checkpoint_ends(tmp_path: Path) -> None:
    path = tmp_path / "refused"
    row = RefusedRow(1, "email", "why", b'{"a":1}').to_json()
    with RefusedFile(path, 0) as file:
        assert not path.exists()
        file.open().write(row * 3)
    with RefusedFile(path, len(row)) as file:
        file.open().write(row)
    assert path.read_bytes() == row * 2
    assert path.stat().st_mode & 0o077 == 0
    with RefusedFile(path, 0):
        assert not path.exists()
