"""A dialect's operation: parsers, answers and credentials of one path, without any knowledge of Kafka; pure."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ingest.events.raw import IntakeResult, Parsed, Reply
from ingest.http.credentials import IN_HEADERS, Credentials
from schemas.control.access import Principal
from schemas.control.control_state import Campaign
from schemas.errors import ApiError
from schemas.records import identity

JSON = (b"content-type", b"application/json")


ADDRESSES = (identity.EMAIL, identity.PHONE)
Identifying = tuple[str, Any, str]
"""Type, value, and the name of the field that it came from."""


class DialectContext(Protocol):
    """Services for operations beyond event intake, scoped to the caller's tenant."""

    @property
    def principal(self) -> Principal: ...

    @property
    def query(self) -> Mapping[str, str]: ...

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Of the request, their names in lower case."""

    @property
    def most(self) -> int:
        """Items that one request may have."""

    @property
    def key(self) -> str:
        """The caller's key, as it was sent."""

    @property
    def base_url(self) -> str:
        """Scheme and host by which the caller reaches this server."""

    @property
    def repeat_id(self) -> str:
        """32 hex digits that a repeat shares: a request with the same ``X-Request-Id``, or within the window."""

    @property
    def params(self) -> Mapping[str, str]:
        """The named parts of the path."""

    @property
    def now_ms(self) -> int: ...

    def campaign(self, reference: Any) -> Campaign:
        """A campaign of the caller's workspace, by id or number; raises ``ApiError`` (404)."""

    def triggered(self, trigger: str) -> Campaign | None:
        """The campaign of a trigger's link."""

    async def ask_link(self, trigger: str, contact: str) -> tuple[int, Any]:
        """The contacts that a trigger's link names, asked of the read API as ``ask`` does."""

    async def keep(self, launch_id: str, value: Any) -> None:
        """Store the content that a launch's messages refer to, durably; raises ``ApiError`` (503)."""

    async def take(self, parsed: Parsed) -> IntakeResult:
        """As for an operation that only takes events; raises ``ApiError``."""

    def contact_of(self, kind: str, value: Any, field: str) -> str:
        """The own contact id of an identifier; raises ``ApiError`` for one that identifies no person."""

    async def erase(self, contact_id: str, environment: str) -> None:
        """Erases a contact from every store; raises ``ApiError`` (404)."""

    def winner(self, contact_id: str) -> str:
        """The contact that the id belongs to, as far as the edge knows."""

    def environment(self, name: Any) -> str:
        """The slug of an environment given by slug or number; raises ``ApiError``."""

    async def joined(self, a: str, b: str) -> bool | None:
        """Whether two own contact ids became one contact: false if it was refused, ``None`` if it is unknown yet."""

    async def is_refused(self, a: str, b: str) -> bool:
        """Whether the two cannot become one contact, as far as the tables know."""

    async def ask(self, path: str, environment: str, body: Any = None) -> tuple[int, Any]:
        """The read API's answer to the caller; raises ``ApiError`` (503) where it is away."""


Handler = Callable[[Any, DialectContext], Awaitable[Reply]]
"""(value, services) -> answer; may raise ``ApiError``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseOperation:
    """A path of a dialect. ``refuse`` receives the error and the request id."""

    source: str
    path: str
    refuse: Callable[[ApiError, str], Reply]
    methods: tuple[str, ...] = ("POST",)
    finish: Callable[[Reply, Mapping[bytes, bytes], Mapping[str, str]], Reply] | None = None
    """(reply, headers, query) -> the reply in the form that this request wants; must not raise."""
    credentials: Credentials = IN_HEADERS
    any_environment: bool = False
    """Whether a public key may name another environment of its workspace too."""
    read: Callable[[bytes, bytes, int], Any] | None = None
    """(Content-Type, bytes, most bytes after unpacking) -> value; ``None``: the body is JSON."""
    any_type: bool = False
    """Whether the body is JSON, packed or not, under any ``Content-Type``: some SDKs call it a form."""
    batch_label: str = ""
    """Name of the field that holds a batch, where the path takes one; a broken item then costs only itself."""
    with_query: Callable[[Any, Mapping[str, str]], Any] | None = None
    """(value, query) -> the value with what the parameters say about it."""
    lenient: bool = False
    """Whether an odd value costs itself and not its event, as the clients of the vendor expect."""
    always_task: bool = False
    """Whether every answer carries a task id, not only one that waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOperation(BaseOperation):
    """Takes events, and answers when they are durable."""

    parse: Callable[[Any, int], Parsed]
    """(value, most items) -> items; may raise ``ApiError`` for the whole request."""
    reply: Callable[[IntakeResult], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOperation(BaseOperation):
    """Any other call of a vendor's API: a handler answers it, with services of the edge and of the read API."""

    handler: Handler
    dedup_window_s: int = 0
    """For how many seconds the same request of the same key is answered with its first answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantOperation(BaseOperation):
    """Gives every request the same answer, without checking its key or its body."""

    answer: Reply


Operation = IngestOperation | CallOperation | ConstantOperation


def object_of(value: Any, noun: str = "the body") -> dict[str, Any]:
    """Raises ``ApiError`` (400) unless the value is a JSON object."""
    if not isinstance(value, dict):
        raise ApiError("invalid_type", f"{noun} must be a JSON object")
    return value


def optional_object(value: dict[str, Any], name: str) -> dict[str, Any] | None:
    """An optional object field; raises ``ApiError`` (422) for another type. PHP writes an empty object as ``[]``."""
    field_value = value.get(name)
    if field_value is None or isinstance(field_value, dict):
        return field_value
    if field_value == []:
        return {}
    raise ApiError("invalid_field", f"{name} must be an object", name)


def addresses_in(values: Mapping[str, Any], place: str) -> list[Identifying]:
    """The e-mail address and phone among the traits of a call."""
    return [(name, values[name], f"{place}.{name}") for name in ADDRESSES if is_address(name, values.get(name))]


def is_address(kind: str, value: Any) -> bool:
    """Whether a value may be an address: text, or a phone's digits that XML made a number."""
    return isinstance(value, str) or (kind == identity.PHONE and type(value) is int)


def earlier_id(value: Any, field: str) -> list[tuple[str, Any, str]]:
    """Identifiers of a sender's earlier id, which a vendor writes alike for an anonymous and an identified person.

    Events stored under the value join the sender, whether as an ``external_id`` or as an ``anonymous_id``, before or
    after this call. They follow the sender's own ``external_id``, which keeps the contact. Kind ``identify``: unless
    the earlier id belongs to an identified person; kind ``alias``: always.
    """
    return [("external_id", value, field), ("anonymous_id", value, field)]


def each(values: list[Any], parse: Callable[[Any], Any]) -> list[Any]:
    """Items parsed one by one; an invalid item is replaced by its error."""
    items = []
    for value in values:
        if isinstance(value, ApiError):
            items.append(value)
            continue
        try:
            items.append(parse(value))
        except ApiError as refused:
            items.append(refused.detached())
    return items


def check_count(values: list[Any], most: int, name: str) -> None:
    """Raises ``ApiError`` for an empty batch (422) or one over the limit (413)."""
    item = "contact" if name == "contacts" else "event"
    if not values:
        raise ApiError("invalid_field", f"at least one {item} is needed", name)
    if len(values) > most:
        raise ApiError("too_many", f"at most {most} {item}s in one request", name)


def check_taken(answer: IntakeResult) -> None:
    """Raises the ``ApiError`` of a refused item, for clients that drop or repeat a batch as a whole.

    Accepted events stay, and their repeats are recognised by their ids. Retriable errors (429, 503) come first.
    """
    refused = [item for item in answer.items if isinstance(item, ApiError)]
    if not refused:
        return
    first = min(refused, key=lambda error: error.status not in (429, 503))
    if len(refused) == 1:
        raise first
    raise ApiError(first.code, f"{first.message} (and {len(refused) - 1} more of the batch refused)", first.param)
