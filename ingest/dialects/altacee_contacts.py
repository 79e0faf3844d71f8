"""Altacee's JSON in, raw events and an answer for each contact out: `POST /v1/contacts/batch`.

An item is the body of `POST /v1/contacts`, with the same rules; a refused item does not affect the others. Only items
with an ``id`` need the database, since such a contact has to exist: one query reads all of them.
"""

from typing import Any, Final

import orjson

from ingest.contacts import parse
from ingest.dialects.altacee import list_of, refuse, synced_reply
from ingest.events.operation import JSON, CallOperation, DialectContext, each
from ingest.events.raw import Accepted, IntakeResult, Parsed, RawEvent, Reply
from ingest.http.credentials import Credentials
from schemas.api.requests.body import checked
from schemas.api.requests.contacts import MOST_LISTED, ContactUpsert
from schemas.errors import STATUS, ApiError
from schemas.records import identity

LABEL: Final = "contacts"
Item = tuple[ContactUpsert, RawEvent]


def _item(value: Any) -> Item:
    if not isinstance(value, dict):
        raise ApiError("invalid_field", "a contact must be a JSON object")
    body = checked(ContactUpsert, value)
    parse.check_room(body, None)
    event = parse.event_of(body, parse.identifiers_of(body), body.event_id)
    event.environment = body.environment
    return body, event


async def _with_existing(items: list[Any], request: DialectContext) -> list[RawEvent | ApiError]:
    """The events. An item with a contact's ``id`` becomes an event of its strongest identifier, or a refusal."""
    named: dict[str, dict[str, list[int]]] = {}
    for index, item in enumerate(items):
        if not isinstance(item, ApiError) and item[0].id is not None:
            body = item[0]
            environment = body.environment or request.principal.environment
            normal = identity.normalise(identity.CONTACT_ID, body.id)
            # an id of another environment is refused without a look-up
            if normal is not None and identity.belongs_to(normal, request.principal.workspace, environment):
                named.setdefault(environment, {}).setdefault(normal, []).append(index)
    events = [item if isinstance(item, ApiError) else item[1] for item in items]
    for environment, places in named.items():
        question = {"identifiers": [{"type": identity.CONTACT_ID, "value": contact_id} for contact_id in places]}
        status, answer = await request.ask(parse.FOUND, environment, question)
        if status != 200:
            why = answer["error"]
            raise ApiError(why["code"] if why["code"] in STATUS else "internal", why["message"], why.get("param"))
        for indexes, contact in zip(places.values(), answer["contacts"], strict=True):
            for index in indexes:
                events[index] = _about(items[index], contact)
    return events


def _about(item: Item, document: dict[str, Any] | None) -> RawEvent | ApiError:
    body, event = item
    if document is None:
        return ApiError("not_found", "no such contact", "id")
    try:
        parse.check_room(body, document)
    except ApiError as refused:
        return refused
    return parse.about(event, document)


async def write(value: Any, request: DialectContext) -> Reply:
    """Durable when answered; with ``sync=true`` applied as well."""
    items = each(list_of(value, LABEL, MOST_LISTED), _item)
    answer = await request.take(Parsed(items=await _with_existing(items, request), atomic=False, label=LABEL))
    return _reply(answer)


def _reply(answer: IntakeResult) -> Reply:
    results = [{"index": index, **_result(item)} for index, item in enumerate(answer.items)]
    rejected = sum(isinstance(item, ApiError) for item in answer.items)
    body: dict[str, Any] = {"accepted": len(results) - rejected, "rejected": rejected, "results": results}
    if rejected == len(results):
        body["error"] = ApiError("invalid_field", "no contact of the batch is valid", LABEL).body()
        return Reply(status=422, body=orjson.dumps(body), headers=(JSON,))
    body["task_id"] = answer.task_id
    return synced_reply(answer, body)


def _result(item: Accepted | ApiError) -> dict[str, Any]:
    if isinstance(item, ApiError):
        return {"error": item.body()}
    shown = {"id": item.contact_id}
    return {**shown, "warnings": item.warnings} if item.warnings else shown


OPERATIONS: Final = (
    CallOperation(
        source="altacee",
        path="/v1/contacts/batch",
        handler=write,
        refuse=refuse,
        credentials=Credentials(scope="contacts:write"),
        batch_label=LABEL,
        always_task=True,
    ),
)
