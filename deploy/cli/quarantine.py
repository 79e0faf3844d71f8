"""`headwater quarantine` in; records that could not be processed, listed, replayed or discarded, out."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

from deploy.client.api import ApiClient, part
from deploy.client.config import ConfigError
from deploy.client.output import FINDINGS, note, print_json, print_rows, printable
from deploy.client.session import OPTIONS, api, commands, examples, run

cli = commands("quarantine", "Records that could not be processed. Needs a key with the scope admin.")
COLUMNS = ("id", "at", "status", "reason", "detail", "event_id")
GROUP_COLUMNS = ("records", "topic", "reason", "status", "expires_at")
PLAN_COLUMNS = ("records", "topic", "reason", "would", "code", "message")
NEWEST = 100
LINE = 16
"""Bytes of a line of hex digits."""
MOST_LINES = 64
LOOK_S, PATIENCE_S = 0.5, 600.0

RecordIds = Annotated[list[str] | None, typer.Argument(help="Ids as `headwater quarantine list` shows them.")]
Reason = Annotated[str, typer.Option(help="Of this reason alone.")]
Topic = Annotated[str, typer.Option(help="Of this topic alone.")]
Status = Annotated[str, typer.Option(help="open, replayed or discarded; empty: any.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")]
ByReason = Annotated[bool, typer.Option("--by-reason", help="How many of each topic, reason and status.")]
EveryOne = Annotated[bool, typer.Option("--all", help="All that are open, where no other choice is made.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what a replay would do now, and change nothing.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(cli)


@cli.command("list", epilog=examples("headwater quarantine list", "headwater quarantine list --by-reason --json"))
def show_all(
    reason: Reason = "", topic: Topic = "", status: Status = "", limit: Limit = NEWEST, by_reason: ByReason = False
) -> None:
    """The newest first."""
    query = {name: value for name, value in (("reason", reason), ("topic", topic), ("status", status)) if value}

    async def work() -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        async with api() as client:
            if by_reason:
                rows = (await client.call("GET", "/v1/quarantine/summary"))["data"]
                return [row for row in rows if all(row[name] == value for name, value in query.items())]
            async for record in client.listed("/v1/quarantine", query):
                records.append(record)
                if len(records) >= limit:
                    break
        return records

    records = run(work())
    as_json = OPTIONS.get().as_json
    if print_rows(records, GROUP_COLUMNS if by_reason else COLUMNS, as_json=as_json) == limit and not by_reason:
        note(f"the newest {limit}: --limit shows more")


@cli.command(epilog=examples("headwater quarantine show RECORD_ID"))
def show(record_id: str) -> None:
    """Show a record: its reason, its bytes as text and in hex, and the effect of a replay now."""
    record = run(_call("GET", f"/v1/quarantine/{part(record_id)}"))
    if OPTIONS.get().as_json:
        print_json(record)
        return
    payload, replay = record.pop("payload"), record.pop("replay")
    record["key"] = record["key"]["text"] or None
    record["bytes"] = f"{payload['bytes']}{' (cut)' if record.pop('truncated') else ''}"
    record["replay"] = replay["would"] if replay["would"] == "replay" else f"{replay['code']}: {replay['message']}"
    for name, value in record.items():
        print(f"{name:<12} {printable(str(value)) if value is not None else '-'}")
    lines = _hex_lines(bytes.fromhex(payload["hex"]))
    print("\n".join(lines[:MOST_LINES]))
    if len(lines) > MOST_LINES:
        note(f"{payload['bytes']} bytes: --json shows the first {payload['shown']}")


@cli.command(
    epilog=examples(
        "headwater quarantine replay --all --dry-run",
        "headwater quarantine replay --reason processor_failed --json",
    )
)
def replay(
    records: RecordIds = None,
    reason: Reason = "",
    topic: Topic = "",
    everything: EveryOne = False,
    dry_run: DryRun = False,
) -> None:
    """Send records through the pipeline again, each once. Records that cannot be replayed stay, and are listed."""
    body = {"filter": _filter(records, reason, topic, everything=everything), "dry_run": dry_run}
    if dry_run:
        plan = run(_call("POST", "/v1/quarantine/replay", body))
        if OPTIONS.get().as_json:
            print_json(plan)
            return
        print_rows(plan["data"], PLAN_COLUMNS, as_json=False)
        note(f"{plan['examined']} of {plan['matching']} open records were looked at; nothing was changed")
        return
    _done(run(_job("/v1/quarantine/replay", body)), "replayed")


@cli.command(epilog=examples("headwater quarantine discard --reason undecodable --json"))
def discard(records: RecordIds = None, reason: Reason = "", topic: Topic = "", everything: EveryOne = False) -> None:
    """Discard records. They stay readable until they expire, and cannot be replayed."""
    body = {"filter": _filter(records, reason, topic, everything=everything)}
    _done(run(_job("/v1/quarantine/discard", body)), "discarded")


def _filter(records: list[str] | None, reason: str, topic: str, *, everything: bool) -> dict[str, Any]:
    chosen = {"ids": records, "reason": reason, "topic": topic}
    chosen = {name: value for name, value in chosen.items() if value}
    if not chosen and not everything:
        raise ConfigError("name records, or choose by --reason or --topic; --all takes every open one")
    return chosen


def _call(method: str, path: str, body: Any = None) -> Coroutine[Any, Any, dict[str, Any]]:
    async def work() -> dict[str, Any]:
        async with api() as client:
            return await client.call(method, path, body)

    return work()


async def _job(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Returns the job's result; waits for a long job."""
    async with api() as client:
        return await _until_done(client, await client.call("POST", path, body))


async def _until_done(client: ApiClient, job: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while job["status"] != "done":
            await asyncio.sleep(LOOK_S)
            job = await client.call("GET", f"/v1/quarantine/jobs/{part(job['id'])}")
    return job


def _done(job: dict[str, Any], outcome: str) -> None:
    """Sets exit status 1 if a record was refused."""
    if OPTIONS.get().as_json:
        print_json(job)
    else:
        print(f"{job[outcome]} {outcome}")
        for refusal in job["refused"]:
            print(f"{refusal['records']} not replayed: {refusal['code']}")
    if job["refused"]:
        raise typer.Exit(FINDINGS)


def _hex_lines(value: bytes) -> list[str]:
    """Formats offset, bytes in hex, and printable ASCII."""
    rows = ((at, value[at : at + LINE]) for at in range(0, len(value), LINE))
    return [
        f"{at:08x}  {row.hex(' '):<{LINE * 3}} {''.join(chr(b) if 32 <= b < 127 else '.' for b in row)}"
        for at, row in rows
    ]
