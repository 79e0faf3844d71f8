"""A word in; what could not be processed, by reason or one by one, out."""

from collections import Counter
from typing import Annotated, Any

import typer

from deploy.client.config import ConfigError
from deploy.client.output import note, print_json, print_rows
from deploy.client.session import OPTIONS, api, commands, examples, run

cli = commands("quarantine", "Records that could not be processed. Needs a key with the scope admin.")
COLUMNS = ("id", "at", "reason", "detail", "event_id")
NEWEST = 100

Reason = Annotated[str, typer.Option(help="Of this reason alone.")]
Topic = Annotated[str, typer.Option(help="Of this topic alone.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")]
ByReason = Annotated[bool, typer.Option("--by-reason", help="How many of each topic and reason, over all.")]


@cli.command("list", epilog=examples("headwater quarantine list", "headwater quarantine list --by-reason --json"))
def show_all(reason: Reason = "", topic: Topic = "", limit: Limit = NEWEST, by_reason: ByReason = False) -> None:
    """The newest first."""

    async def work() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with api() as client:
            async for one in client.listed("/v1/quarantine"):
                if (not reason or one["reason"] == reason) and (not topic or one["topic"] == topic):
                    found.append(one)
                    if len(found) >= limit and not by_reason:
                        break
        return found

    found = run(work())
    as_json = OPTIONS.get().as_json
    if by_reason:
        counts = Counter((one["topic"], one["reason"]) for one in found).most_common()
        rows = [{"topic": topic, "reason": why, "records": count} for (topic, why), count in counts]
        print_rows(rows, ("records", "topic", "reason"), as_json=as_json)
        return
    if print_rows(found, COLUMNS, as_json=as_json) == limit:
        note(f"the newest {limit}: --limit shows more")


@cli.command(epilog=examples("headwater quarantine show RECORD_ID"))
def show(record_id: str) -> None:
    """One record, with all that is known of it."""

    async def work() -> dict[str, Any]:
        async with api() as client:
            async for one in client.listed("/v1/quarantine"):
                if one["id"] == record_id:
                    return one
        raise ConfigError(f"no record {record_id!r} in quarantine: headwater quarantine list")

    found = run(work())
    if OPTIONS.get().as_json:
        print_json(found)
        return
    for name, value in found.items():
        print(f"{name:<10} {value if value is not None else '-'}")
