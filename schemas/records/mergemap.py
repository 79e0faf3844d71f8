"""A merge in, its row in a merge map out; all replicas of `merges` keep the same rows.

A row is the version in eight bytes, then the winner: rows compare by version, and the highest one holds, so
merges may repeat and come late. A version is a place in the log of links: the offset of a record, and within it.
"""

from typing import Final

from schemas.records.records import Merge

_VERSION_BYTES: Final = 8
VERSIONS_PER_RECORD: Final = 1 << 13
"""Versions reserved for the merges of one record's links."""


def row_of(merge: Merge) -> bytes:
    return merge["version"].to_bytes(_VERSION_BYTES) + merge["winner"].encode()


def replaces(row: bytes, current: bytes | None) -> bool:
    """Whether a row replaces the current row of the same loser."""
    return current is None or current[:_VERSION_BYTES] <= row[:_VERSION_BYTES]


def winner_of(row: bytes) -> str:
    return row[_VERSION_BYTES:].decode()


def version_of(row: bytes) -> int:
    return int.from_bytes(row[:_VERSION_BYTES])
