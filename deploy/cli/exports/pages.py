"""A kind of export in; its objects in the API's shape, one after the other, out."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from deploy.client.api import ApiClient, part
from deploy.client.config import ConfigError


async def segment_id(client: ApiClient, text: str) -> str:
    """Returns the id of an id or a name; raises ``ConfigError`` for an unknown or ambiguous name."""
    if text.startswith("seg_"):
        return text
    ids = [segment["id"] async for segment in client.listed("/v1/segments") if segment["name"] == text]
    if len(ids) != 1:
        raise ConfigError(f"{'no segment' if not ids else 'more than one segment'} is called {text!r}: say its id")
    return str(ids[0])


def contacts(client: ApiClient, filters: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    return client.listed("/v1/contacts", filters)


def events(client: ApiClient, filters: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    return client.listed("/v1/events", filters)


async def members(client: ApiClient, segment: str) -> AsyncIterator[dict[str, Any]]:
    path = f"/v1/segments/{part(await segment_id(client, segment))}/contacts"
    async for row in client.listed(path):
        yield row


async def person(client: ApiClient, name: str) -> AsyncIterator[dict[str, Any]]:
    """Yields all objects of one contact, each with its ``kind``."""
    path = f"/v1/contacts/{part(name)}"
    contact = await client.call("GET", path)
    yield {"kind": "contact", **contact}
    # an id names the same person even if an identifier moves meanwhile
    path = f"/v1/contacts/{part(contact['id'])}"
    yield {"kind": "identity", **await client.call("GET", f"{path}/identity")}
    for kind, place in (("segment", "segments"), ("consent", "consents"), ("event", "events")):
        async for row in client.listed(f"{path}/{place}"):
            yield {"kind": kind, **row}
