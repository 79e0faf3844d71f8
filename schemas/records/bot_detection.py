"""An open or a click in; whether a machine did it, out, also as SQL: the one list of known proxies and scanners.

A machine's open says that the message arrived, not that a person saw it, so figures show it apart. Sources:

* Apple Mail Privacy Protection loads every image when mail arrives and calls itself ``Mozilla/5.0`` and nothing more:
  mailgun.com/blog/product/bot-detection, help.socketlabs.com "Identifying Apple MPP opens in notification API events".
* Gmail prefetches for a session that is open with one fixed, long outdated browser line: bird.com "Gmail is
  prefetching images". The image proxies (``GoogleImageProxy``, ``YahooMailProxy``) fetch when a person opens.
* Security gateways and link checkers run libraries and headless browsers; no person reads mail with one.
* Barracuda's e-mail gateway documents the ranges that its servers connect from: campus.barracuda.com "Email Gateway
  Defense IP Ranges".

A provider's own verdict overrules this list: ``properties.machine_open`` (``sg_machine_open`` of SendGrid, ``bot`` of
Mailgun).
"""

import re
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from schemas.sql_text import literal

APPLE = "Mozilla/5.0"
GMAIL = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)
EXACT = (APPLE, GMAIL)
"""Whole user agents, as they come."""

PARTS = (
    "barracuda",
    "bitdefender",
    "bot/",
    "cisco-outbreak",
    "curl/",
    "forcepoint",
    "go-http-client",
    "googlebot",
    "headlesschrome",
    "ironport",
    "java/",
    "libwww-perl",
    "mimecast",
    "phantomjs",
    "proofpoint",
    "python-requests",
    "python-urllib",
    "safelinks",
    "sophos",
    "symantec",
    "trendmicro",
    "urldefense",
    "wget/",
)
"""Parts of a user agent, in lower case."""

RANGES = ("64.235.144.0/20", "209.222.80.0/21")


def quoted(texts: tuple[str, ...]) -> str:
    """A list of SQL strings; for constants of ours alone, a client's values travel as parameters."""
    return ", ".join(map(literal, texts))


def machine_sql(flag: str, agent: str, ip: str) -> str:
    """SQL that is true if ``flag`` is true, or if user agent or address are a machine's."""
    in_ranges = " OR ".join(f"isIPAddressInRange({ip}, '{network}')" for network in RANGES)
    return (
        f"({flag} OR {agent} IN ({quoted(EXACT)}) OR multiSearchAny(lower({agent}), [{quoted(PARTS)}])"
        f" OR if(isIPv4String({ip}), {in_ranges}, 0))"
    )


IS_MACHINE = machine_sql("_machine = 1", "_agent", "_ip")
"""True for a row of `events` that a machine caused."""
_PART = re.compile("|".join(map(re.escape, PARTS)), re.IGNORECASE | re.ASCII)
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_NETWORKS = tuple(map(ip_network, RANGES))


def is_machine(properties: Any) -> bool:
    """The same for the ``properties`` of an event."""
    if type(properties) is not dict:
        return False
    if properties.get("machine_open") is True:
        return True
    agent, ip = properties.get("user_agent"), properties.get("ip")
    agent = agent if type(agent) is str else ""
    ip = ip if type(ip) is str and _IPV4.fullmatch(ip) is not None else ""
    return _is_machines(agent, ip) if len(agent) <= _CACHED_LENGTH else _is_machines_agent(agent) or _is_in_ranges(ip)


def _is_machines_agent(agent: str) -> bool:
    return agent in EXACT or _PART.search(agent) is not None


def _is_in_ranges(ip: str) -> bool:
    if not ip:
        return False
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in _NETWORKS)


_CACHED_LENGTH = 512
"""The longest user agent whose result is cached, in characters."""


@lru_cache(maxsize=4096)
def _is_machines(agent: str, ip: str) -> bool:
    return _is_machines_agent(agent) or _is_in_ranges(ip)
