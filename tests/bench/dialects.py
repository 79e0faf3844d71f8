"""Each vendor's ordinary request in; several thousand copies with other users out.

A new dialect is one row of a table. Each request carries the data of ``tests/bench/edge.py``'s native event.
"""

from collections.abc import Callable
from typing import Any

from ingest.http import xml_codec
from tests.support.load_client import KEY, request

USERS = 5000
BATCH = 100
PROPERTIES = {"url": "https://example.com/a/b/c", "title": "Hello world", "price": 12.5, "plan": "pro"}
Body = Callable[[int], Any]


def properties(number: int) -> dict[str, Any]:
    return {**PROPERTIES, "n": number}


def altertable(number: int) -> Any:
    return {
        "environment": "production",
        "event": "page_view",
        "distinct_id": f"user{number % USERS}",
        "timestamp": "2026-11-20T10:00:00Z",
        "properties": properties(number),
    }


def parcelvoy(number: int) -> Any:
    return {"external_id": f"user{number % USERS}", "name": "page_view", "data": properties(number)}


def altcraft(number: int) -> Any:
    """All requests differ: the edge would answer a repeat from memory."""
    return {"db_id": 1, "matching": "email", "email": f"user{number % USERS}@example.com", "data": properties(number)}


def segment(number: int) -> Any:
    return {
        "type": "track",
        "userId": f"user{number % USERS}",
        "event": "page_view",
        "timestamp": "2026-11-20T10:00:00Z",
        "properties": properties(number),
    }


def posthog(number: int) -> Any:
    values = properties(number)
    return {"distinct_id": f"user{number % USERS}", "event": "page_view", "properties": values, "api_key": KEY}


JSON, XML = "application/json", "application/xml"
SINGLES: dict[str, tuple[str, Body, str]] = {
    "altertable": ("/track", altertable, JSON),
    "parcelvoy": ("/api/client/events", lambda n: [parcelvoy(n)], JSON),
    "segment": ("/v1/track", segment, JSON),
    "posthog": ("/i/v0/e/", posthog, JSON),
    "altcraft json": ("/api/v1.1/profiles/import", altcraft, JSON),
    "altcraft xml": ("/api/v1.1/profiles/import", lambda n: xml_codec.dumps(altcraft(n)), XML),
}
BATCHES: dict[str, tuple[str, Body, str]] = {
    "altertable": ("/track", altertable, JSON),
    "parcelvoy": ("/api/client/events", parcelvoy, JSON),
    "segment": ("/v1/batch", segment, JSON),
    "posthog": ("/batch/", posthog, JSON),
}
WRAPPED = {"segment": {}, "posthog": {"api_key": KEY, "sent_at": "2026-11-20T10:00:01Z"}}
"""Whose batches are no bare arrays, and what stands beside them."""


def singles() -> dict[str, list[bytes]]:
    """Requests by dialect: enough that the edge's memory of repeats is overwritten before the first one returns."""
    return {
        name: [request(path, body(n), content_type=kind) for n in range(40_000 if "altcraft" in name else 2 * USERS)]
        for name, (path, body, kind) in SINGLES.items()
    }


def batches() -> dict[str, list[bytes]]:
    return {
        name: [
            request(path, _wrapped(name, [body(b * BATCH + n) for n in range(BATCH)]), content_type=kind)
            for b in range(100)
        ]
        for name, (path, body, kind) in BATCHES.items()
    }


def _wrapped(name: str, calls: list[Any]) -> Any:
    return {**WRAPPED[name], "batch": calls} if name in WRAPPED else calls
