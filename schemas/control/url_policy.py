"""A webhook's URL and the addresses behind it in; whether requests may go there, out; pure.

An address counts as public only if it is known to be: everything outside the tables of the internet's ordinary
unicast space is refused, and an IPv6 form that carries an IPv4 address is as public as the address that it carries.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from schemas.errors import ApiError

MAX_URL = 2048
SCHEMES = ("https", "http")

_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20"))
"""Protocol assignments, Teredo among them, and documentation."""
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _6TO4:
        return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    return None


def is_public(text: str) -> bool:
    """Whether the text is an address of the public internet."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        carried = _carried(address)
        if carried is None:
            return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)
        address = carried
    return not any(address in network for network in _NOT_PUBLIC_4)


def checked_url(value: object) -> str:
    """A URL that requests can be sent to; raises ``ApiError`` (``url``)."""
    if not isinstance(value, str) or not value:
        raise ApiError("invalid_field", "url must be a string", "url")
    parts = _split(value)
    if parts is None or parts.scheme not in SCHEMES:
        raise ApiError("invalid_field", "url must be an http or https URL", "url")
    if not parts.hostname:
        raise ApiError("invalid_field", "url has no host", "url")
    if "@" in parts.netloc:
        raise ApiError("invalid_field", "url must not hold a user name or password", "url")
    if len(value) > MAX_URL:
        raise ApiError("invalid_field", f"url is longer than {MAX_URL} characters", "url")
    return value


def _split(text: str) -> SplitResult | None:
    if any(c <= " " or c in {"\x7f", "\\"} for c in text):
        return None
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        return None
    if port == 0 or (not host.isascii() and not _is_idna(host)):
        return None
    return parts


def _is_idna(host: str) -> bool:
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def host_of(url: str) -> tuple[str, int]:
    """Host and port of a checked URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
