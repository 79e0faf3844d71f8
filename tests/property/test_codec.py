"""Records survive their bytes, and bytes written by an earlier version stay readable."""

from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import codec
from schemas.records.records import Change
from tests.support.builders import event

SAMPLES = Path(__file__).parents[1] / "golden" / "avro"
TEXT = st.text(st.characters(codec="utf-8"), max_size=80)


def strategy(schema: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Any value of an Avro schema."""
    if isinstance(schema, list):
        return st.one_of([strategy(s, named) for s in schema])
    if isinstance(schema, str):
        plain = {
            "string": TEXT,
            "bytes": st.binary(max_size=80),
            "long": st.integers(-(2**63), 2**63 - 1),
            "boolean": st.booleans(),
            "null": st.none(),
        }
        return plain[schema] if schema in plain else strategy(named[schema], named)
    if schema["type"] == "array":
        return st.lists(strategy(schema["items"], named), max_size=4)
    if schema["type"] == "record":
        named[schema["name"]] = schema
        named[f"headwater.{schema['name'].split('.')[-1]}"] = schema
        return st.fixed_dictionaries({f["name"]: strategy(f["type"], named) for f in schema["fields"]})
    return strategy(schema["type"], named)


@pytest.mark.parametrize("kind", codec.ALL, ids=lambda c: c.name)
def test_decoding_undoes_encoding(kind: codec.Codec) -> None:
    @given(strategy(kind.schema, {}))
    @settings(max_examples=60, deadline=None)
    def check(datum: Any) -> None:
        assert kind.decode(kind.encode(datum)) == datum

    check()


@pytest.mark.parametrize("kind", codec.ALL, ids=lambda c: c.name)
def test_bytes_are_what_fastavro_writes_and_reads(kind: codec.Codec) -> None:
    """Whole ones, and ones of which a byte is another or the end is missing: what one refuses the other does too."""

    def fastavro_reads(data: bytes) -> Any:
        stream = BytesIO(data[codec.HEADER :])
        try:
            datum = fastavro.schemaless_reader(stream, kind.schema, None)
        except Exception:  # noqa: BLE001 - it raises whatever the bytes lead it to
            return None
        return datum if not stream.read(1) else None

    def reads(data: bytes) -> Any:
        try:
            return kind.decode(data)
        except codec.UndecodableError:
            return None

    @given(strategy(kind.schema, {}), st.integers(0, 2000), st.integers(0, 255))
    @settings(max_examples=40, deadline=None)
    def check(datum: Any, place: int, byte: int) -> None:
        written = BytesIO()
        fastavro.schemaless_writer(written, kind.schema, datum)
        data = kind.encode(datum)
        assert data == kind.header + written.getvalue()
        at = codec.HEADER + place % (len(data) - codec.HEADER)
        for odd in (data[:at], data[:at] + bytes([byte]) + data[at + 1 :], data + bytes([byte])):
            if reads(odd) != fastavro_reads(odd):
                # fastavro takes what is no Avro: a negative length for an empty text, a boolean of 7 for true
                assert reads(odd) is None

    check()


@given(st.lists(TEXT, min_size=1, max_size=200))
@settings(max_examples=60, deadline=None)
def test_joined_items_are_what_a_whole_batch_would_be(ids: list[str]) -> None:
    place: dict[str, Any] = dict.fromkeys(("origin_partition", "origin_offset", "origin_index", "repeat"), 0)
    events = [event("external_id:u", event_id=i, **place) for i in ids]
    joined = codec.join_events([codec.encode_event(e) for e in events])
    assert codec.decode_events(joined) == events
    assert codec.decode_events(codec.encode_events(events)) == events


@given(st.binary(max_size=300), st.sampled_from(codec.ALL))
@settings(max_examples=200, deadline=None)
def test_any_other_bytes_are_refused_and_nothing_else_is_raised(noise: bytes, kind: codec.Codec) -> None:
    for data in (noise, kind.header + noise):
        try:
            kind.decode(data)
        except codec.UndecodableError as error:
            assert kind.name in str(error)


@pytest.mark.parametrize("kind", codec.ALL, ids=lambda c: c.name)
def test_old_bytes_still_decode(kind: codec.Codec) -> None:
    """A sample per schema version lies in the repository; a new version adds one and leaves the old ones alone."""
    versions = sorted(codec.FOLDER.glob(f"{kind.name}.v*.avsc"))
    assert versions
    for path in versions:
        name = path.name.removesuffix(".avsc")
        expected = orjson.loads((SAMPLES / f"{name}.json").read_bytes())
        shown = orjson.dumps(kind.decode((SAMPLES / f"{name}.bin").read_bytes()), default=bytes.decode)
        assert orjson.loads(shown) == expected


def test_a_field_that_is_not_given_has_its_default() -> None:
    change = Change(workspace="w", environment="e", contact_id="c", kind="membership", version=1, at_ms=2)
    (decoded,) = codec.decode_changes(codec.encode_changes([change]))
    assert decoded["profile"] == b""
    assert decoded["entered"] == []
    assert decoded["segment_id"] == ""


def test_a_record_of_another_kind_is_refused() -> None:
    with pytest.raises(codec.UndecodableError, match="fingerprint"):
        codec.decode_links(codec.encode_events([event("external_id:u")]))
