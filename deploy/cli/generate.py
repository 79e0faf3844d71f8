"""A rate, a number of people and a duration in; generated events of a small shop, sent at that rate, out.

People look around without a name, sign up, fill a cart and order, so each part of a stack has data to show. The
duration bounds the traffic, and a slow API slows it.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from deploy.cli.listen import seconds
from deploy.client.config import ConfigError, api_access
from deploy.client.output import FINDINGS, note, print_json
from deploy.client.session import OPTIONS, api, examples, run
from schemas.control.development import is_loopback

EXAMPLES = examples("headwater generate --rate 50 --people 20 --for 2s")
MOST_RATE, MOST_PEOPLE, MOST_S = 2000, 1_000_000, 3600.0
EVERY_S = 0.2
MOST_BATCH = 1000
"""Events of one request, as the API takes them by default."""
PATHS = ("/", "/pricing", "/products", "/blog/first-steps", "/help")
PLANS, COUNTRIES = ("free", "free", "pro", "team"), ("DE", "FR", "NL", "SE", "US")
NEXT: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "": (("page_viewed", "product_added", "signed_up"), (8, 1, 1)),
    "known": (("page_viewed", "product_added", "order_completed"), (7, 2, 1)),
}
"""The next event of a person without a name, and of one with, with their weights."""


def add_to(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(generate)


def generate(
    rate: Annotated[int, typer.Option(min=1, max=MOST_RATE, help="Events a second.")] = 20,
    people: Annotated[int, typer.Option(min=1, max=MOST_PEOPLE, help="Different people.")] = 100,
    for_: Annotated[str, typer.Option("--for", help="End by itself: 30s, 10m, 1h; at most an hour.")] = "60s",
    seed: Annotated[int, typer.Option(help="The same seed makes the same people do the same.")] = 1,
) -> None:
    """Send generated traffic of a small shop, to see a stack at work; its contacts are demo-1, demo-2 and so on."""
    access = api_access(OPTIONS.get())
    if not is_loopback(urlsplit(access.url).hostname or "") and access.environment is None:
        raise ConfigError("made-up contacts stay where they are sent: name their environment, --environment demo")
    account = run(_generate(events(people, seed), rate, min(seconds(for_), MOST_S)))
    if OPTIONS.get().as_json:
        print_json(account)
    else:
        print(f"sent {account['sent']:,} events, {account['refused']:,} refused   ({account['events_per_s']:,}/s)")
    if account["refused"]:
        raise typer.Exit(FINDINGS)


def events(people: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields event bodies of random people without end."""
    chance, users, orders = random.Random(seed), set[int](), 0
    while True:
        number = chance.randint(1, people)
        kinds, weights = NEXT["known" if number in users else ""]
        kind = chance.choices(kinds, weights)[0]
        who = {"external_id": f"demo-{number}"} if number in users else {"anonymous_id": f"demo-browser-{number}"}
        properties: dict[str, Any] = {"path": chance.choice(PATHS)}
        event: dict[str, Any] = {"type": kind, **who, "properties": properties}
        if kind == "product_added":
            properties |= {"sku": f"s{chance.randint(1, 50)}", "price": chance.randint(5, 200), "currency": "EUR"}
        elif kind == "order_completed":
            orders += 1
            properties |= {"order_id": f"{seed}-{orders}", "total": chance.randint(10, 500), "currency": "EUR"}
        elif kind == "signed_up":
            users.add(number)
            event |= {"external_id": f"demo-{number}", "email": f"demo-{number}@example.com"}
            properties |= {"plan": chance.choice(PLANS), "country": chance.choice(COUNTRIES)}
        yield event


@dataclass(slots=True)
class TrafficPace:
    """``rate`` events a second; what a slow API has missed by more than a second is not made up for."""

    rate: int
    passed: int = 0
    """Events that were due and are sent, or are not made up for."""

    def due(self, spent_s: float) -> int:
        """How many to send now, ``MOST_BATCH`` at most; they count as sent."""
        behind = int(self.rate * (spent_s + EVERY_S)) - self.passed
        self.passed += max(0, behind - self.rate)
        due = max(0, min(behind, self.rate, MOST_BATCH))
        self.passed += due
        return due


async def _generate(made: Iterator[dict[str, Any]], rate: int, for_s: float) -> dict[str, Any]:
    """Sends the events; returns the totals. Ctrl-C ends it like the end of the duration."""
    began, sent, refused, noted_at, pace = time.monotonic(), 0, 0, 0.0, TrafficPace(rate)
    with suppress(asyncio.CancelledError):
        async with api() as client:
            while (spent := time.monotonic() - began) < for_s:
                if batch := list(islice(made, pace.due(spent))):
                    answer = await client.call("POST", "/v1/events/batch", {"events": batch})
                    refused += sum("error" in result for result in answer["results"])
                    sent += len(batch)
                if spent - noted_at > 10:
                    noted_at = spent
                    note(f"{sent:,} events sent")
                await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began - spent)))
    seconds_spent = time.monotonic() - began
    return {"sent": sent, "refused": refused, "events_per_s": round(sent / seconds_spent)}
