"""A name from a request in, the record of that name out; raises ``ApiError`` if it does not exist; pure."""

from collections.abc import Mapping
from typing import TypeVar

from schemas.control.control_state import ControlState
from schemas.control.definitions import Campaign, Environment
from schemas.errors import ApiError

T = TypeVar("T")


def require(records: Mapping[str, T], record_id: str, noun: str) -> T:
    """Raises ``ApiError`` (404): no such ``noun``."""
    try:
        return records[record_id]
    except KeyError:
        raise ApiError("not_found", f"no such {noun}") from None


def require_test_environment(control: ControlState, workspace: str, name: str) -> Environment:
    """Raises ``ApiError`` (409) for an environment of another kind."""
    environment = control.environments[workspace].get(name)
    if environment is None or environment.kind != "test":
        message = f'the environment {name} is no test environment: POST /v1/environments {{"id": "ci", "kind": "test"}}'
        raise ApiError("conflict", message, "environment")
    return environment


def require_campaign(campaigns: Mapping[str, Campaign], reference: str) -> Campaign:
    """Returns the campaign with this id or number; raises ``ApiError`` (404)."""
    if reference not in campaigns and reference.isascii() and reference.isdigit():
        reference = next(
            (campaign.id for campaign in campaigns.values() if str(campaign.number) == reference), reference
        )
    return require(campaigns, reference, "campaign")


def require_environment(environments: Mapping[str, object], name: str, param: str = "environment") -> str:
    """The name; raises ``ApiError`` (422)."""
    if name not in environments:
        raise ApiError("unknown_environment", f"no environment {name[:80]!r} here", param)
    return name
