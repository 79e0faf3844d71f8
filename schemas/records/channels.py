"""A campaign's channel in, the kind of address that its messages go to out."""

EMAIL, PHONE, DEVICES = "email", "phone", "devices"
_KINDS = {
    "email": EMAIL,
    **dict.fromkeys(("sms", "phone", "mms", "rcs", "voice", "whatsapp", "viber"), PHONE),
    **dict.fromkeys(("push", "mobile_push", "web_push"), DEVICES),
}


def address_kind(channel: str) -> str:
    """Returns the type of address that a channel needs; empty for other channels, which need none."""
    return _KINDS.get(channel.strip().lower().replace("-", "_"), "")
