"""Records of the `control` topic in; all workspaces, keys, segments and webhooks out, by one fold."""

import hashlib
import hmac
import logging
from collections import defaultdict
from typing import Any

import orjson

from schemas.control.definitions import (
    SCOPES,
    ApiKey,
    Campaign,
    ControlRecord,
    Conversion,
    Environment,
    Erasure,
    ErasureStep,
    KeyUse,
    Receiver,
    Segment,
    SegmentProgress,
    SegmentStatus,
    TypedColumn,
    ValueList,
    Variant,
    Webhook,
    Workspace,
)
from schemas.control.erasure import Erased
from schemas.control.list_users import contents_of, stamp_of
from schemas.records import identity
from schemas.rules.nodes import ListValues

__all__ = [
    "KINDS",
    "SCOPES",
    "ApiKey",
    "Campaign",
    "ControlRecord",
    "ControlState",
    "Conversion",
    "Environment",
    "Erasure",
    "ErasureStep",
    "KeyUse",
    "Receiver",
    "Segment",
    "SegmentProgress",
    "TypedColumn",
    "ValueList",
    "Variant",
    "Webhook",
    "Workspace",
    "digest",
    "encode",
    "parse_key",
    "record_key",
]

log = logging.getLogger(__name__)

KINDS: dict[str, type[ControlRecord]] = {
    "workspace": Workspace,
    "environment": Environment,
    "key": ApiKey,
    "key_use": KeyUse,
    "segment": Segment,
    "list": ValueList,
    "progress": SegmentProgress,
    "webhook": Webhook,
    "campaign": Campaign,
    "receiver": Receiver,
    "typed_column": TypedColumn,
    "erasure": Erasure,
    "erasure_step": ErasureStep,
}


def digest(key: str) -> str:
    """Returns the form in which an API key is stored: its SHA-256."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def record_key(kind: str, workspace: str, record_id: str) -> bytes:
    return f"{workspace}/{kind}/{record_id}".encode()


def parse_key(key: bytes | None) -> tuple[str, str, str] | None:
    """Returns workspace, kind and id of a record's key; ``None`` for a malformed key."""
    try:
        workspace, kind, record_id = (key or b"").decode().split("/", 2)
    except ValueError:
        return None
    return workspace, kind, record_id


def encode(kind: str, record: ControlRecord) -> tuple[bytes, bytes]:
    """Kafka key and value of a record."""
    return record_key(kind, record.workspace, record.id), record.model_dump_json().encode()


class ControlState:
    """The fold over `control`: last record per key wins; reading is dict look-ups."""

    def __init__(self) -> None:
        self.revision = 0
        self.unreadable = 0
        """Records that were passed over."""
        self.workspaces: dict[str, Workspace] = {}
        self.environments: dict[str, dict[str, Environment]] = defaultdict(dict)
        self.test_environments: set[tuple[str, str]] = set()
        """Workspace and environment of those whose refusals are kept."""
        self.keys: dict[str, ApiKey] = {}
        self.key_uses: dict[tuple[str, str], int] = {}
        self._key_digests: dict[tuple[str, str], str] = {}
        self.segments: dict[tuple[str, str], dict[str, Segment]] = defaultdict(dict)
        self._segment_homes: dict[tuple[str, str], tuple[str, str]] = {}
        self.value_lists: dict[tuple[str, str], dict[str, ValueList]] = defaultdict(dict)
        """By workspace and environment, then name."""
        self.progress: dict[tuple[str, str], dict[int, SegmentProgress]] = defaultdict(dict)
        """By workspace and segment, then partition."""
        self.webhooks: dict[tuple[str, str], dict[str, Webhook]] = defaultdict(dict)
        self.webhooks_by_id: dict[str, Webhook] = {}
        self.campaigns: dict[tuple[str, str], dict[str, Campaign]] = defaultdict(dict)
        self._campaign_homes: dict[tuple[str, str], tuple[str, str]] = {}
        self.receivers: dict[str, Receiver] = {}
        """By id alone: a provider's request carries no key that would name the workspace."""
        self.triggers: dict[str, Campaign] = {}
        self.typed_columns: dict[tuple[str, str], dict[str, TypedColumn]] = {}
        """By workspace and environment, then property; environments without typed columns are absent."""
        self.erased = Erased()
        self.erasures: dict[str, Erasure] = {}
        self.open_erasures: dict[str, Erasure] = {}
        self.erasure_steps: dict[str, dict[str, ErasureStep]] = defaultdict(dict)
        """By erasure, then the step's id."""

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record in; never raises.

        A record that this version cannot read is passed over, so an old process reads a newer topic: a definition
        stays as it was; a key becomes invalid, for the record may revoke it. So is one whose value names another
        workspace or id than its key.
        """
        parsed = parse_key(key)
        if parsed is None:
            self._pass_over(key, "not a key of this topic")
            return
        workspace, kind, record_id = parsed
        model = KINDS.get(kind)
        if model is None:
            return
        try:
            record = None if value is None else model.model_validate(orjson.loads(value))
            if record is not None and (record.workspace, record.id) != (workspace, record_id):
                raise ValueError("its value belongs to another key")  # noqa: TRY301 - as the model's own
        except (ValueError, RecursionError) as error:
            self._pass_over(key, type(error).__name__)  # its text may hold a secret
            if kind == "key":
                self._forget(kind, workspace, record_id)
                self.revision += 1
            return
        # a stage's report on a definition, or the use of a key, changes no definition
        self.revision += kind not in ("progress", "key_use", "erasure", "erasure_step")
        self._forget(kind, workspace, record_id)
        if record is not None and not record.deleted:
            self._keep(record)

    def _pass_over(self, key: bytes | None, reason: str) -> None:
        self.unreadable += 1
        log.error("a record on control cannot be read by this version (key %.200r): %s", key, reason)

    def _forget(self, kind: str, workspace: str, record_id: str) -> None:
        if kind == "workspace":
            if record_id == workspace:
                self.workspaces.pop(workspace, None)
        elif kind == "environment":
            self.environments[workspace].pop(record_id, None)
            self.test_environments.discard((workspace, record_id))
        elif kind == "key":
            self.keys.pop(self._key_digests.pop((workspace, record_id), ""), None)
        elif kind == "key_use":
            self.key_uses.pop((workspace, record_id), None)
        elif kind == "segment":
            home = self._segment_homes.pop((workspace, record_id), None)
            if home is not None:
                self.segments[home].pop(record_id, None)
        elif kind == "list":
            environment, _, name = record_id.partition("/")
            self.value_lists[workspace, environment].pop(name, None)
        elif kind == "progress":
            segment, _, partition = record_id.rpartition(".")
            if partition.isascii() and partition.isdigit():
                self.progress[workspace, segment].pop(int(partition[:9]), None)
        elif kind == "webhook":
            webhook = self.webhooks_by_id.pop(record_id, None)
            if webhook is not None:
                self.webhooks[webhook.workspace, webhook.environment].pop(record_id, None)
        elif kind == "campaign":
            home = self._campaign_homes.pop((workspace, record_id), None)
            if home is not None:
                self.triggers.pop(self.campaigns[home].pop(record_id).trigger, None)
        elif kind == "receiver":
            self.receivers.pop(record_id, None)
        elif kind == "typed_column":
            environment, _, name = record_id.partition(".")
            here = self.typed_columns.get((workspace, environment), {})
            if here.pop(name, None) is not None and not here:
                del self.typed_columns[workspace, environment]

    def _keep(self, record: ControlRecord) -> None:
        match record:
            case Workspace():
                self.workspaces[record.workspace] = record
            case Environment():
                self.environments[record.workspace][record.id] = record
                if record.kind == "test":
                    self.test_environments.add((record.workspace, record.id))
            case ApiKey():
                self.keys[record.sha256] = record
                self._key_digests[record.workspace, record.id] = record.sha256
            case KeyUse():
                self.key_uses[record.workspace, record.id] = record.used_ms
            case Segment():
                home = (record.workspace, record.environment)
                self.segments[home][record.id] = record
                self._segment_homes[record.workspace, record.id] = home
            case ValueList():
                self.value_lists[record.workspace, record.environment][record.name] = record
            case SegmentProgress():
                self.progress[record.workspace, record.segment][record.partition] = record
            case Webhook():
                self.webhooks[record.workspace, record.environment][record.id] = record
                self.webhooks_by_id[record.id] = record
            case Campaign():
                home = (record.workspace, record.environment)
                self.campaigns[home][record.id] = record
                self._campaign_homes[record.workspace, record.id] = home
                if record.trigger:
                    self.triggers[record.trigger] = record
            case Receiver():
                self.receivers[record.id] = record
            case TypedColumn():
                self.typed_columns.setdefault((record.workspace, record.environment), {})[record.property] = record
            case Erasure() if record.open:
                if record.id not in self.erasures:
                    self.open_erasures[record.id] = record
            case Erasure():
                self.open_erasures.pop(record.id, None)
                self.erasures[record.id] = record
                self.erased.add(record)
            case ErasureStep():
                self.erasure_steps[record.erasure][record.id] = record
            case _:
                raise TypeError(type(record))

    def standing(self, segment: Segment, partitions: int) -> tuple[SegmentStatus, int, int, str]:
        """Returns status, finished contacts, all contacts and a reason (disabled) from all partitions' reports."""
        reports = [r for r in self.progress[segment.workspace, segment.id].values() if r.partition < partitions]
        home = (segment.workspace, segment.environment)
        now = (segment.version, stamp_of(segment, self.segments[home], self.value_lists[home]))
        current = [report for report in reports if (report.version, report.lists) == now]
        done, total = sum(report.done for report in current), sum(report.total for report in current)
        reason = next((report.reason for report in current if report.state == "disabled"), "")
        if reason:
            return "disabled", done, total, reason
        is_live = sum(report.state == "live" for report in current) == partitions
        return "live" if is_live else "backfilling", done, total, ""

    def rules_and_lists(self, home: tuple[str, str]) -> tuple[dict[str, Any], dict[str, ListValues]]:
        """Returns an environment's rules as written, by segment id, and its named lists, by name."""
        return {s.id: s.rule for s in self.segments[home].values()}, contents_of(self.value_lists[home])

    def key(self, secret: str, now_ms: int) -> ApiKey | None:
        """The valid key with this secret."""
        sha256 = digest(secret)
        key = self.keys.get(sha256)
        if key is None or not hmac.compare_digest(key.sha256, sha256):
            return None
        return key if key.is_valid(now_ms) else None

    def campaigns_of(self, workspace: str) -> list[Campaign]:
        """Returns the campaigns of all environments of a workspace."""
        homes = [(workspace, name) for name in self.environments[workspace]]
        return [campaign for home in homes for campaign in self.campaigns[home].values()]

    def has_campaign(self, workspace: str, campaign_id: str) -> bool:
        """Whether any environment has the campaign: an id is unique within a workspace."""
        return (workspace, campaign_id) in self._campaign_homes

    def apart(self, workspace: str) -> frozenset[str]:
        """The types of identifiers that tie no contacts of the workspace together."""
        record = self.workspaces.get(workspace)
        return identity.APART if record is None else record.apart

    def key_named(self, workspace: str, key_id: str) -> ApiKey | None:
        """The key with this id, valid or expired."""
        return self.keys.get(self._key_digests.get((workspace, key_id), ""))
