"""A question about a stack in; ok, warn, fail or skip, with the observation and the remedy, out.

A check is a function with a name and a sentence about its purpose. It has a deadline. An error becomes its finding, and
the other checks continue.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from deploy.client.config import ApiAccess
from deploy.local.home import StackHome
from schemas.settings import Settings

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"
WITHIN_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The examined stack; ``is_here``: it runs on this machine, or this machine reaches its services."""

    settings: Settings
    home: StackHome
    access: ApiAccess
    is_here: bool

    @property
    def has_own_kafka(self) -> bool:
        """Whether the broker is the embedded one."""
        return self.settings.embeds_kafka

    @property
    def has_own_clickhouse(self) -> bool:
        return not self.settings.clickhouse_url


@dataclass(frozen=True, slots=True)
class Finding:
    """``remedy`` is a command or a place to look at; empty without a fault."""

    state: str
    what: str
    remedy: str = ""


def ok(what: str) -> Finding:
    return Finding(OK, what)


def warn(what: str, remedy: str) -> Finding:
    return Finding(WARN, what, remedy)


def fail(what: str, remedy: str) -> Finding:
    return Finding(FAIL, what, remedy)


def skip(what: str) -> Finding:
    return Finding(SKIP, what)


@dataclass(frozen=True, slots=True)
class Check:
    """``remedy`` applies if the check itself does not finish."""

    name: str
    why: str
    ask: Callable[[Patient], Awaitable[Finding]]
    remedy: str = "headwater status"
    within_s: float = WITHIN_S


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    check: Check
    finding: Finding
    seconds: float = field(compare=False)

    def to_row(self) -> dict[str, object]:
        finding = self.finding
        row: dict[str, object] = {"check": self.check.name, "state": finding.state, "what": finding.what}
        return row | {"why": self.check.why, "remedy": finding.remedy, "seconds": round(self.seconds, 3)}


async def result_of(check: Check, patient: Patient) -> CheckResult:
    """Returns the check's result; never raises."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(check.within_s):
            finding = await check.ask(patient)
    except TimeoutError:
        finding = fail(f"no answer within {check.within_s:g} s", check.remedy)
    except Exception as error:  # noqa: BLE001 - any exception is the finding
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        finding = fail(reason, check.remedy)
    return CheckResult(check=check, finding=finding, seconds=time.monotonic() - began)
