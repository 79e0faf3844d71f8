"""Records survive their bytes, and bytes written by an earlier version stay readable."""

from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.identity.forward import forward_event
from schemas.records import codec
from schemas.records.records import Absorb, Change, Rebuild
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


def _reads(kind: codec.Codec, data: bytes) -> Any:
    try:
        return kind.decode(data)
    except codec.UndecodableError:
        return None


def _fastavro_reads(kind: codec.Codec, data: bytes) -> Any:
    stream = BytesIO(data[codec.HEADER :])
    try:
        datum = fastavro.schemaless_reader(stream, kind.schema, None)
    except Exception:  # noqa: BLE001 - it raises whatever the bytes lead it to
        return None
    return datum if not stream.read(1) else None


def _check_odd(kind: codec.Codec, data: bytes, place: int, byte: int) -> None:
    """One byte of these is another, or the end is missing, or there is more: what one refuses the other does too."""
    at = codec.HEADER + place % (len(data) - codec.HEADER)
    for odd in (data[:at], data[:at] + bytes([byte]) + data[at + 1 :], data + bytes([byte])):
        if _reads(kind, odd) != _fastavro_reads(kind, odd):
            # fastavro takes what is no Avro: a negative length for an empty text, a boolean of 7 for true
            assert _reads(kind, odd) is None


@pytest.mark.parametrize("kind", codec.ALL, ids=lambda c: c.name)
def test_bytes_are_what_fastavro_writes_and_reads(kind: codec.Codec) -> None:
    """Whole ones, and ones of which a byte is another or the end is missing: what one refuses the other does too."""

    @given(strategy(kind.schema, {}), st.integers(0, 2000), st.integers(0, 255))
    @settings(max_examples=40, deadline=None)
    def check(datum: Any, place: int, byte: int) -> None:
        written = BytesIO()
        fastavro.schemaless_writer(written, kind.schema, datum)
        data = kind.encode(datum)
        assert data == kind.header + written.getvalue()
        _check_odd(kind, data, place, byte)

    check()


@pytest.mark.parametrize("kind", [c for c in codec.ALL if isinstance(c, codec.BatchCodec)], ids=lambda c: c.name)
def test_neighbours_that_have_some_values_in_common_are_written_and_read_as_others_are(kind: codec.BatchCodec) -> None:
    names = [field["name"] for field in kind.schema["fields"][0]["type"]["items"]["fields"]]
    item = strategy(kind.schema["fields"][0]["type"]["items"], {})

    @given(
        st.lists(item, min_size=1, max_size=3),
        st.lists(st.lists(st.integers(0, 2), min_size=len(names), max_size=len(names)), min_size=2, max_size=8),
        st.integers(0, 4000),
        st.integers(0, 255),
    )
    @settings(max_examples=80, deadline=None)
    def check(some: list[Any], picks: list[list[int]], place: int, byte: int) -> None:
        data = [{name: some[n % len(some)][name] for name, n in zip(names, pick, strict=True)} for pick in picks]
        written = BytesIO()
        fastavro.schemaless_writer(written, kind.schema, {kind.field: data})
        encoded = kind.batch(data)
        assert encoded == kind.header + written.getvalue()
        assert kind.items(encoded) == data
        _check_odd(kind, encoded, place, byte)

    check()


def test_a_union_has_no_other_branch_than_its_types() -> None:
    written = codec.encode_absorb(
        Absorb(
            workspace="w",
            environment="e",
            winner="a",
            loser="b",
            version=1,
            at_ms=1,
            event_id="x",
            identifier=None,
            state=b"",
            events=[],
            rebuild=None,
        )
    )
    assert codec.decode_absorb(written[:-1] + b"\x02\0\0")["rebuild"] == Rebuild(winner="", members=[])
    for branch in (b"\x01", b"\x03", b"\x04"):
        with pytest.raises(codec.UndecodableError, match="no branch"):
            codec.decode_absorb(written[:-1] + branch + b"\0\0")


def test_more_values_than_are_remembered_are_written_as_they_are() -> None:
    events = [event("external_id:u", task_id=f"task_{n}", received_ms=n, type=f"type_{n}") for n in range(5000)]
    decoded = codec.decode_events(codec.encode_events(events))
    assert [(e["task_id"], e["received_ms"], e["type"]) for e in decoded] == [
        (e["task_id"], e["received_ms"], e["type"]) for e in events
    ]


def test_a_number_that_has_been_read_with_too_many_bytes_is_written_with_as_few_as_before() -> None:
    versions = [1, 2**48 - 1, 2**49, 2**55 - 1, 1_790_000_000_000 * 1024]
    change = Change(workspace="", environment="", contact_id="", kind="", version=0, at_ms=0)
    for version in versions:
        seven, (rest,) = (version << 1) & (1 << 49) - 1, ((version << 1) >> 49,)
        long = bytes([*(seven >> shift & 127 | 128 for shift in range(0, 49, 7)), rest])
        plain = codec.encode_changes([{**change, "version": version}])
        at = codec.HEADER + 5
        assert plain[:at] == codec.encode_changes([change])[:at]
        size = len(plain) - len(codec.encode_changes([change])) + 1
        if rest < 128:
            odd = plain[:at] + long + plain[at + size :]
            assert codec.decode_changes(odd) == codec.decode_changes(plain)
            assert codec.decode_changes(odd)[0]["version"] == version
        assert codec.encode_changes([{**change, "version": version}]) == plain


def test_a_value_of_another_type_is_refused_in_a_run_of_fields_too() -> None:
    codec.encode_event(event("external_id:u"))
    for odd in ({"workspace": None}, {"source": 7}, {"received_ms": "1"}, {"task_id": b"x"}):
        with pytest.raises((TypeError, AttributeError, OverflowError)):
            codec.encode_event(event("external_id:u", **odd))


@given(st.lists(TEXT, min_size=1, max_size=200))
@settings(max_examples=60, deadline=None)
def test_joined_items_are_what_a_whole_batch_would_be(ids: list[str]) -> None:
    place: dict[str, Any] = dict.fromkeys(("origin_partition", "origin_offset", "origin_index", "repeat"), 0)
    events = [event("external_id:u", event_id=i, **place) for i in ids]
    joined = codec.join_events([codec.encode_event(e) for e in events])
    assert codec.decode_events(joined) == events
    assert codec.decode_events(codec.encode_events(events)) == events


def _forwarded(events: list[dict[str, Any]], data: bytes, contact_id: str, origin: tuple[int, int, int, int]) -> None:
    """Each is written as it would be if nothing were copied."""
    names = ("origin_partition", "origin_offset", "origin_index", "repeat")
    for n, placed in enumerate(codec.decode_placed_events(data)):
        changes: Any = {"contact_id": contact_id, **dict(zip(names, origin, strict=True))}
        placed.update(changes)
        expected: Any = {**events[n], **changes}
        assert forward_event(placed, data) == codec.encode_event(expected)


def test_a_forwarded_event_is_what_encoding_it_would_give() -> None:
    item = strategy(codec.ALL[0].schema["fields"][0]["type"]["items"], {})
    numbers = st.integers(-(2**63), 2**63 - 1)

    @given(
        st.lists(item, min_size=1, max_size=3),
        st.lists(st.integers(0, 2), min_size=1, max_size=8),
        TEXT,
        st.tuples(numbers, numbers, numbers, numbers),
    )
    @settings(max_examples=150, deadline=None)
    def check(some: list[Any], picks: list[int], contact_id: str, origin: tuple[int, int, int, int]) -> None:
        events = [some[n % len(some)] for n in picks]
        data = codec.encode_events(events)
        placed = [{k: v for k, v in event.items() if k != "places"} for event in codec.decode_placed_events(data)]
        assert placed == codec.decode_events(data)
        _forwarded(events, data, contact_id, origin)

    check()


@pytest.mark.parametrize("version", ["event_batch.v1", "event_batch.v2"])
def test_an_event_of_an_earlier_version_is_forwarded_in_todays(version: str) -> None:
    data = (SAMPLES / f"{version}.bin").read_bytes()
    events: list[Any] = codec.decode_events(data)
    assert events
    _forwarded(events, data, "cnt_other", (3, 70_000, 8, 1))


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
