"""What an export writes: CSV with a column for each attribute, nothing left out, and taken again by the import."""

import csv
import datetime as dt
import io
from typing import Any

import orjson
import pyarrow.parquet
import pytest

from deploy.cli.exports import writers
from deploy.cli.exports.command import _form
from deploy.cli.exports.writers import writer
from deploy.cli.imports import rows
from deploy.cli.imports.mapping import CONTACTS, Mapper, guess
from deploy.client.config import ConfigError


def contact(n: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"cnt_{n}",
        "email": f"a{n}@x.org" if n % 2 else None,
        "phone": None,
        "external_id": f"u{n}",
        "anonymous_ids": ["b"] if n % 2 else [],
        "attributes": {"plan": "pro", "visits": n, "vip": n == 1, "tags": ["a,b", 'c"d']},
        "consents": {"sms": True, "mail": None},
        "segments": [],
        "created_at": "2026-11-01T10:00:00.000Z",
        "updated_at": "2026-11-02T10:00:00.500Z",
        **more,
    }


def stream(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))


def written(form: str, kind: str, *values: dict[str, Any]) -> bytes:
    class Kept(io.BytesIO):
        def close(self) -> None: ...

    file = Kept()
    to = writer(file, form, kind)
    for value in values:
        to.write(value)
    to.close()
    to.release()
    return file.getvalue()


def test_csv_has_a_column_for_each_attribute_and_keeps_what_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "SAMPLE", 2)
    late = contact(3, attributes={"visits": 3, "late": {"a": 1}})
    table = list(csv.DictReader(io.StringIO(written("csv", "contacts", contact(1), contact(2), late).decode())))
    assert table[0]["attributes.plan"] == "pro"
    assert table[0]["attributes.vip"] == "true"
    assert orjson.loads(table[0]["attributes.tags"]) == ["a,b", 'c"d']
    assert (table[1]["email"], table[1]["attributes"]) == ("", "")
    assert (table[2]["attributes.visits"], table[2]["attributes"]) == ("3", '{"late":{"a":1}}')
    assert [row["consents.mail"] for row in table] == ["", "", ""]


def test_what_was_exported_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "SAMPLE", 1)
    people = [contact(1), contact(2, attributes={"late": {"a": 1}, "plan": "free"})]
    data = written("csv", "contacts", *people)
    form = rows.layout(stream(data))
    ignored = ["id", "segments", "anonymous_ids", "created_at"]
    samples = [row.values for row in form.sample]
    columns = guess(CONTACTS, form.columns, samples, is_text=True, chosen={}, ignored=ignored)
    mapper = Mapper(CONTACTS, columns, {})
    again = [mapper.of_list(row.values) for row in rows.rows(stream(data), form) if isinstance(row.values, list)]
    assert [row["attributes"] for row in again] == [person["attributes"] for person in people]
    assert [row["external_id"] for row in again] == ["u1", "u2"]
    assert [row["consents"] for row in again] == [{"sms": True}] * 2
    assert again[0]["timestamp"] == people[0]["updated_at"]


def test_ndjson_is_what_the_api_says() -> None:
    assert [orjson.loads(line) for line in written("ndjson", "contacts", contact(1), contact(2)).splitlines()] == [
        contact(1),
        contact(2),
    ]


def test_parquet_has_times_as_times_and_row_groups_that_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "GROUP", 2)
    file = pyarrow.parquet.ParquetFile(io.BytesIO(written("parquet", "contacts", *(contact(n) for n in range(5)))))
    assert (file.metadata.num_rows, file.num_row_groups) == (5, 3)
    row = file.read().to_pylist()[1]
    assert row["updated_at"] == dt.datetime(2026, 11, 2, 10, 0, 0, 500_000, dt.UTC)
    assert (row["email"], orjson.loads(row["attributes"])["visits"]) == ("a1@x.org", 1)


@pytest.mark.parametrize("form", ["csv", "parquet", "ndjson"])
@pytest.mark.parametrize("kind", ["contacts", "events"])
def test_nothing_is_a_file_too(form: str, kind: str) -> None:
    data = written(form, kind)
    assert data.startswith({"csv": b"", "parquet": b"PAR1", "ndjson": b""}[form])
    if form == "csv":
        assert len(list(csv.reader(io.StringIO(data.decode())))) == 1


def test_a_form_is_told_by_the_file_s_name(tmp_path: Any) -> None:
    assert [_form("", tmp_path / name) for name in ("a.csv", "a.parquet", "a.jsonl", "a.txt")] == [
        "csv",
        "parquet",
        "ndjson",
        "ndjson",
    ]
    for form, output in (("xml", None), ("parquet", None)):
        with pytest.raises(ConfigError):
            _form(form, output)
