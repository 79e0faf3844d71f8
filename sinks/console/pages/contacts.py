"""A visit in; the list of contacts, one contact with all data, or its split or erasure with a preview, out."""

import asyncio
from typing import Any

from starlette.responses import Response

from schemas.errors import ApiError
from sinks.console.pages import graph
from sinks.console.web import api
from sinks.console.web.visit import Visit

PATH = "/console/contacts"
A_PAGE = "50"
_KINDS = ("external_id", "email", "phone", "anonymous_id", "user_id", "device_id")
_SETTING = ("$contact", "$identify")
_MOST_SEARCH = 1000


async def contacts(visit: Visit) -> Response:
    """Lists contacts, newest first; a search opens the contact with the identifier."""
    text = visit.query.get("q", "").strip()
    missing = False
    if text:
        matches = await _found(visit, text)
        if matches is not None:
            return visit.go(f"{PATH}/{matches}")
        missing = True
    listed = await visit.api.get(api.path("contacts"), limit=A_PAGE, cursor=visit.query.get("cursor", "") or "")
    total = listed.get("meta", {}).get("total")
    return visit.page(
        "contacts.html",
        title="Contacts",
        contacts=listed["data"],
        total=total,
        more=listed.get("next_cursor"),
        text=text,
        missing=missing,
        erased="erased" in visit.query,
    )


async def _found(visit: Visit, text: str) -> str | None:
    """Returns the id of the contact with an identifier of any kind."""
    if len(text) > _MOST_SEARCH:
        return None
    named = text.startswith("cnt_") or text.partition(":")[0] in _KINDS
    for name in [text] if named else [f"{kind}:{text}" for kind in _KINDS]:
        try:
            contact = await visit.api.find(api.path("contacts", name))
        except ApiError as refused:
            if refused.status >= 500 or refused.code == "missing_scope":
                raise
            continue
        if contact is not None:
            return str(contact["id"])
    return None


async def contact(visit: Visit) -> Response:
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, **values: Any) -> Response:
    contact_id = visit.request.path_params["id"]
    get, cursor = visit.api.get, visit.query.get("cursor", "")
    # together: one after the other they take 300 ms among a million contacts
    contact, events, identity, segments, consents, ties = await asyncio.gather(
        get(api.path("contacts", contact_id)),
        get(api.path("contacts", contact_id, "events"), limit=A_PAGE, cursor=cursor),
        get(api.path("contacts", contact_id, "identity")),
        get(api.path("contacts", contact_id, "segments"), limit="100"),
        get(api.path("contacts", contact_id, "consents"), limit="50"),
        _ties(visit, contact_id),
    )
    shown = {"preview": None, "refused": None, "chosen": [], **values}
    return visit.page(
        "contact.html",
        status,
        title=_name(contact),
        contact=contact,
        name=_name(contact),
        events=events["data"],
        total=events.get("meta", {}).get("total"),
        more=events.get("next_cursor"),
        set_by=_set_by(events["data"]),
        identity=identity,
        graph=graph.drawn(identity),
        segments=segments["data"],
        consents=consents["data"],
        ties=ties,
        **shown,
    )


async def _ties(visit: Visit, contact_id: str) -> Any:
    return await visit.api.get(api.path("contacts", contact_id, "split")) if visit.may("contacts:write") else None


async def why(visit: Visit) -> Response:
    """Renders the reasons of a membership: a fragment."""
    contact_id, segment_id = visit.request.path_params["id"], visit.request.path_params["segment"]
    place = api.path("segments", segment_id, "explain")
    explanation = await visit.api.send("POST", place, {}, contact=contact_id)
    return visit.page("why.html", why=explanation, title="Why")


async def split(visit: Visit) -> Response:
    """Previews a split; with ``confirmed`` it performs the split."""
    contact_id = visit.request.path_params["id"]
    fields = await visit.fields()
    chosen = [value for name, value in fields if name == "evidence"]
    if not chosen:
        refused = ApiError("missing_field", "choose at least one event whose tie is wrong", "evidence")
        return await _page(visit, 422, refused=refused)
    if dict(fields).get("confirmed"):
        try:
            made = await visit.api.send("POST", api.path("contacts", contact_id, "split"), {"evidence": chosen})
        except ApiError as error:
            return await _page(visit, error.status, refused=error, chosen=chosen)
        return visit.go(f"{PATH}/{made['contacts'][0]}")
    identity = await visit.api.get(api.path("contacts", contact_id, "identity"))
    ties = await _ties(visit, contact_id)
    left = graph.groups(map(graph.pair, identity["identifiers"]), ties["ties"], chosen)
    return await _page(visit, preview=left, chosen=chosen)


async def erase(visit: Visit) -> Response:
    """Erases only if the form repeats the contact's id: a wrong click cannot."""
    contact_id = visit.request.path_params["id"]
    form = await visit.form()
    if form.get("confirm", "").strip() != contact_id:
        refused = ApiError("invalid_field", "write the contact's id to erase it", "confirm")
        return await _page(visit, 422, refused=refused)
    try:
        await visit.api.send("DELETE", api.path("contacts", contact_id))
    except ApiError as error:
        return await _page(visit, error.status, refused=error)
    return visit.go(f"{PATH}?erased")


def _name(contact: dict[str, Any]) -> str:
    """The contact's name for people."""
    first = contact["anonymous_ids"][0] if contact["anonymous_ids"] else contact["id"]
    return str(contact["external_id"] or contact["email"] or contact["phone"] or first)


def _set_by(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Maps each attribute to its newest event on this page."""
    sources: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["type"] in _SETTING:
            for name in event["properties"]:
                sources.setdefault(name, event)
    return sources
