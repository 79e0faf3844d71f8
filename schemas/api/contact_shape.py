"""A contact's fields in, the contact as the API shows it out: the one shape of every answer; pure."""

from collections.abc import Mapping
from typing import Any

from schemas.times import iso


def shape(fields: Mapping[str, Any], attributes: Any, segments: list[str]) -> dict[str, Any]:
    """``fields`` of a stored row or of a snapshot: ``id``, times in epoch ms, texts or ``None``."""
    return {
        "id": fields["id"],
        "email": fields["email"] or None,
        "phone": fields["phone"] or None,
        "external_id": fields["external_id"] or None,
        "anonymous_ids": fields["anonymous_ids"],
        "attributes": attributes,
        "consents": fields["consents"],
        "devices": fields["devices"],
        "segments": segments,
        "created_at": iso(fields["created_ms"]),
        "updated_at": iso(fields["updated_ms"]),
    }
