"""Records of the `control` topic in, the current workspaces, keys and segments out: one fold for every process."""

import hashlib
from collections import defaultdict
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

SCOPES = (
    "contacts:read",
    "contacts:write",
    "events:ingest",
    "campaigns:read",
    "campaigns:write",
    "segments:read",
    "segments:write",
    "webhooks:read",
    "webhooks:write",
    "admin",
    "instance",
)
PUBLIC_SCOPES = ("events:ingest",)


class Record(BaseModel):
    """What every control record has; ``extra`` is refused so that a typo in a producer shows at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    workspace: str
    created_ms: int
    deleted: bool = False


class Workspace(Record):
    name: str


class Environment(Record):
    """``id`` is the slug, ``number`` the place in order of creation (1 = production)."""

    number: int


class ApiKey(Record):
    """Only the SHA-256 of the key is kept."""

    name: str
    kind: Literal["secret", "public"]
    scopes: tuple[str, ...]
    environment: str
    sha256: str
    expires_ms: int | None = None

    def is_valid(self, now_ms: int) -> bool:
        return not self.deleted and (self.expires_ms is None or now_ms < self.expires_ms)


class Segment(Record):
    """``rule`` as it was written; ``version`` grows with each edit."""

    environment: str
    name: str
    rule: Any
    version: int
    updated_ms: int


class Campaign(Record):
    """``number`` counts in its workspace; ``trigger`` is the secret part of a trigger's link, empty for other kinds."""

    environment: str
    name: str
    kind: str
    channel: str
    status: str
    number: int
    trigger: str
    delivery: dict[str, str]
    variants: tuple[dict[str, Any], ...]
    conversion: dict[str, Any] | None
    updated_ms: int


KINDS: dict[str, type[Record]] = {
    "workspace": Workspace,
    "environment": Environment,
    "key": ApiKey,
    "segment": Segment,
    "campaign": Campaign,
}


def digest(key: str) -> str:
    """What is stored of an API key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def record_key(kind: str, workspace: str, record_id: str) -> bytes:
    return f"{workspace}/{kind}/{record_id}".encode()


def encode(kind: str, record: Record) -> tuple[bytes, bytes]:
    """Kafka key and value of a record."""
    return record_key(kind, record.workspace, record.id), record.model_dump_json().encode()


class ControlState:
    """The fold over `control`: last record per key wins; reading is dict look-ups."""

    def __init__(self) -> None:
        self.revision = 0
        self.workspaces: dict[str, Workspace] = {}
        self.environments: dict[str, dict[str, Environment]] = defaultdict(dict)
        self.keys: dict[str, ApiKey] = {}
        self._key_digests: dict[tuple[str, str], str] = {}
        self.segments: dict[tuple[str, str], dict[str, Segment]] = defaultdict(dict)
        self._segment_homes: dict[tuple[str, str], tuple[str, str]] = {}

        self.campaigns: dict[str, dict[str, Campaign]] = defaultdict(dict)
        self.triggers: dict[str, Campaign] = {}

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record in; an unknown kind is passed over, so that an old process reads a newer topic."""
        workspace, kind, record_id = key.decode().split("/", 2)
        model = KINDS.get(kind)
        if model is None:
            return
        self.revision += 1
        self._forget(kind, workspace, record_id)
        if value is None:
            return
        record = model.model_validate(orjson.loads(value))
        if not record.deleted:
            self._keep(record)

    def _forget(self, kind: str, workspace: str, record_id: str) -> None:
        if kind == "workspace":
            self.workspaces.pop(workspace, None)
        elif kind == "environment":
            self.environments[workspace].pop(record_id, None)
        elif kind == "key":
            self.keys.pop(self._key_digests.pop((workspace, record_id), ""), None)
        elif kind == "segment":
            home = self._segment_homes.pop((workspace, record_id), None)
            if home is not None:
                self.segments[home].pop(record_id, None)

        elif kind == "campaign":
            gone = self.campaigns[workspace].pop(record_id, None)
            if gone is not None:
                self.triggers.pop(gone.trigger, None)

    def _keep(self, record: Record) -> None:
        match record:
            case Workspace():
                self.workspaces[record.workspace] = record
            case Environment():
                self.environments[record.workspace][record.id] = record
            case ApiKey():
                self.keys[record.sha256] = record
                self._key_digests[record.workspace, record.id] = record.sha256
            case Segment():
                home = (record.workspace, record.environment)
                self.segments[home][record.id] = record
                self._segment_homes[record.workspace, record.id] = home
            case Campaign():
                self.campaigns[record.workspace][record.id] = record
                if record.trigger:
                    self.triggers[record.trigger] = record
            case _:
                raise TypeError(type(record))

    def key(self, secret: str, now_ms: int) -> ApiKey | None:
        """The valid key with this secret."""
        key = self.keys.get(digest(secret))
        return key if key is not None and key.is_valid(now_ms) else None
