"""What each protocol version adds to the Native format, over bytes that the engine writes for version 0."""

import struct

import pytest

from deploy.local.clickhouse.native_blocks import Version, rebuilt, versioned
from deploy.local.clickhouse.native_types import UnmeasurableError, column_of

CHECK = b"\x01\x01\x05check\x05UInt8\x01"
"""``SELECT 1 AS check FORMAT Native``."""
INFO = bytes.fromhex("010002ffffffff00")
LONG_INFO = bytes.fromhex("010002ffffffff030000")
NONE: dict[str, str] = {}


def block(rows: int, *columns: tuple[str, str, bytes]) -> bytes:
    head = bytes([len(columns), rows])
    return head + b"".join(
        bytes([len(name)]) + name.encode() + bytes([len(kind)]) + kind.encode() + data for name, kind, data in columns
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, INFO + CHECK),
        (54405, INFO + CHECK),
        (54453, INFO + CHECK),
        (54454, INFO + b"\x01\x01\x05check\x05UInt8\x00\x01"),
        (54460, INFO + b"\x01\x01\x05check\x05UInt8\x00\x01"),
        (54479, INFO + b"\x01\x01\x05check\x05UInt8\x00\x01"),
        (54480, LONG_INFO + b"\x01\x01\x05check\x05UInt8\x00\x01"),
    ],
)
def test_what_a_version_adds_to_a_block(number: int, expected: bytes) -> None:
    assert versioned(CHECK, Version(number, NONE), 1) == expected


def test_each_block_has_its_own_info() -> None:
    blocks = block(2, ("s", "String", b"\x01a\x00")) + block(1, ("s", "String", b"\x02bc"))
    for number, custom in ((54405, b""), (54460, b"\x00")):
        written = [block(2, ("s", "String", custom + b"\x01a\x00")), block(1, ("s", "String", custom + b"\x02bc"))]
        assert versioned(blocks, Version(number, NONE), 3) == INFO + written[0] + INFO + written[1]


def test_a_time_zone_is_told_from_54337_on() -> None:
    data = block(1, ("d", "DateTime", bytes(4)))
    version = Version(54337, {"d": "DateTime('Europe/Berlin')"})
    assert versioned(data, version, 1) == INFO + block(1, ("d", "DateTime('Europe/Berlin')", bytes(4)))
    assert versioned(data, Version(54336, version.types), 1) == INFO + data


def test_no_rows_have_no_data() -> None:
    data = block(0, ("l", "LowCardinality(String)", b""), ("n", "UInt8", b""))
    expected = block(0, ("l", "LowCardinality(String)", b"\x00"), ("n", "UInt8", b"\x00"))
    assert versioned(data, Version(54460, NONE), 0) == INFO + expected
    assert versioned(b"", Version(54460, NONE), 0) == b""


WORD = struct.Struct("<Q").pack
DICTIONARY = WORD(0x600) + WORD(2) + b"\x00\x01x" + WORD(2) + b"\x01\x01"
COLUMNS = [
    ("UInt8", 2, 0, bytes(2)),
    ("Int256", 2, 0, bytes(64)),
    ("DateTime64(3, 'UTC')", 2, 0, bytes(16)),
    ("Decimal(9, 2)", 2, 0, bytes(8)),
    ("Decimal(76, 2)", 2, 0, bytes(64)),
    ("FixedString(3)", 2, 0, b"abcdef"),
    ("Enum8('a,(\\'' = 1, 'b' = 2)", 2, 0, bytes(2)),
    ("IntervalDay", 2, 0, bytes(16)),
    ("Nullable(Nothing)", 2, 0, bytes(4)),
    ("String", 2, 0, b"\x80\x01" + bytes(128) + b"\x00"),
    ("Nullable(String)", 2, 0, b"\x00\x01\x01a\x00"),
    ("Array(UInt16)", 2, 0, WORD(1) + WORD(3) + bytes(6)),
    ("Array(Array(UInt8))", 2, 0, WORD(0) + WORD(0)),
    ("Map(String, UInt8)", 2, 0, WORD(1) + WORD(2) + b"\x01a\x01b" + b"\x01\x02"),
    ("Tuple(a UInt8, `b c` Decimal(9, 2), DateTime('UTC'))", 2, 0, bytes(2 + 8 + 8)),
    ("Nested(a UInt8, b String)", 2, 0, WORD(1) + WORD(1) + b"\x01" + b"\x01x"),
    ("Point", 2, 0, bytes(32)),
    ("Ring", 2, 0, WORD(0) + WORD(1) + bytes(16)),
    ("SimpleAggregateFunction(max, UInt64)", 2, 0, bytes(16)),
    ("LowCardinality(String)", 2, 1, DICTIONARY),
    ("LowCardinality(Nullable(String))", 2, 1, DICTIONARY),
    ("Array(LowCardinality(String))", 1, 1, WORD(2) + DICTIONARY),
    ("Tuple(LowCardinality(String), LowCardinality(String))", 2, 2, DICTIONARY * 2),
]


@pytest.mark.parametrize(("kind", "rows", "prefixes", "data"), COLUMNS, ids=[case[0] for case in COLUMNS])
def test_a_column_is_measured(kind: str, rows: int, prefixes: int, data: bytes) -> None:
    column = column_of(kind)
    assert column.prefixes == prefixes
    assert column.skip(memoryview(b"before" + data + b"behind"), 6, rows) == 6 + len(data)


@pytest.mark.parametrize(
    "kind", ["JSON", "Dynamic", "Variant(String, UInt8)", "AggregateFunction(sum, UInt8)", "Array(JSON)"]
)
def test_a_column_that_cannot_be_measured_says_so(kind: str) -> None:
    with pytest.raises(UnmeasurableError):
        column_of(kind)
    with pytest.raises(UnmeasurableError):
        versioned(block(1, ("j", kind, b"?")), Version(54460, NONE), 1)


def test_columns_that_cannot_be_measured_are_asked_for_one_by_one() -> None:
    """Also where the data of one look like the beginning of a block."""
    first, second = block(2, ("j", "JSON", b"??")), block(1, ("j", "JSON", b"\x01j\x04JSON!"))
    answers = {
        "SELECT count()": b"2\n1\n",
        "DESCRIBE": b'{"data": [["j", "JSON"]]}',
        "SELECT `j` FROM {table} FORMAT": first + second,
        "SELECT `j` FROM {table} LIMIT 2 OFFSET 0": first,
        "SELECT `j` FROM {table} LIMIT 1 OFFSET 2": second,
    }
    queries: list[str] = []

    def ask(sql: str) -> bytes:
        queries.append(sql)
        return next(answer for start, answer in answers.items() if sql.startswith(start))

    converted = rebuilt(first + second, Version(54460, NONE), ask)
    assert converted == b"".join(
        INFO + block(n, ("j", "JSON", b"\x00" + data)) for n, data in ((2, b"??"), (1, b"\x01j\x04JSON!"))
    )
    assert len(queries) == 5
    answers["SELECT `j` FROM {table} FORMAT"] = first + block(1, ("j", "JSON", b"!"))
    queries.clear()
    converted = rebuilt(first + second, Version(54405, NONE), ask)
    assert converted == INFO + first + INFO + block(1, ("j", "JSON", b"!"))
    assert len(queries) == 3
