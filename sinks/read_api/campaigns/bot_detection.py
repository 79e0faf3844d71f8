"""An open or a click in; whether a machine did it, as a SQL condition, out: the one list of known proxies and scanners.

A machine's open says that the message arrived, not that anybody saw it, so figures show it apart. Sources:

* Apple Mail Privacy Protection loads every image when mail arrives and calls itself ``Mozilla/5.0`` and nothing more:
  mailgun.com/blog/product/bot-detection, help.socketlabs.com "Identifying Apple MPP opens in notification API events".
* Gmail prefetches for a session that is open with one fixed, long outdated browser line: bird.com "Gmail is
  prefetching images". The image proxies (``GoogleImageProxy``, ``YahooMailProxy``) fetch when a person opens.
* Libraries and headless browsers are what security gateways and link checkers run; nobody reads mail with one.
* Barracuda's e-mail gateway documents the ranges that its servers connect from: campus.barracuda.com "Email Gateway
  Defense IP Ranges".

A provider that knows better says so: ``properties.machine_open`` (SendGrid's ``sg_machine_open``, Mailgun's ``bot``).
"""

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
    return ", ".join("'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" for text in texts)


_in_ranges = " OR ".join(f"isIPAddressInRange(_ip, '{one}')" for one in RANGES)
IS_MACHINE = (
    f"(_machine = 1 OR _agent IN ({quoted(EXACT)}) OR multiSearchAny(lower(_agent), [{quoted(PARTS)}])"
    f" OR if(isIPv4String(_ip), {_in_ranges}, 0))"
)
"""True for a row of `events` that a machine caused."""
