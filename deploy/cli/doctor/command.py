"""`headwater doctor` in; each check's finding, with the command that fixes a fault, out."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from deploy.cli.doctor import broker, database, interface, machine
from deploy.cli.doctor.bundle import write_bundle
from deploy.cli.doctor.check import FAIL, OK, SKIP, WARN, Check, CheckResult, Patient, result_of
from deploy.client.config import LOCAL, ConfigError, api_access
from deploy.client.output import FINDINGS, note, print_json, printable
from deploy.client.session import OPTIONS, examples, run
from deploy.local.home import StackHome
from schemas.control.development import is_loopback
from schemas.service.kafka import quiet_clients
from schemas.settings import Settings

EXAMPLES = examples(
    "headwater doctor", "headwater doctor --json", "headwater doctor --list", "headwater doctor --bundle doctor.tar.gz"
)
COLOURS = {OK: "green", WARN: "yellow", FAIL: "bold red", SKIP: "dim"}
GROUPS: tuple[tuple[str, tuple[Check, ...]], ...] = (
    ("this machine", machine.CHECKS),
    ("Kafka", broker.CHECKS),
    ("ClickHouse", database.CHECKS),
    ("API", interface.CHECKS),
)


def patient() -> Patient:
    """Selects the stack: checks its services if the API runs on this machine, or settings name the services."""
    access, settings = api_access(OPTIONS.get()), Settings()
    given = not settings.embeds_kafka or bool(settings.clickhouse_url)
    home = StackHome(settings.home.resolve())
    return Patient(settings=settings, home=home, access=access, is_here=given or access.source == LOCAL)


def groups(who: Patient) -> list[tuple[str, tuple[Check, ...]]]:
    """Returns the checks that can run from here."""
    if not who.is_here:
        return [group for group in GROUPS if group[0] == "API"]
    if not who.has_own_kafka and not who.has_own_clickhouse and not is_loopback(who.settings.host):
        return [group for group in GROUPS if group[0] != "this machine"]
    return list(GROUPS)


async def examined(who: Patient, checks: list[Check]) -> list[CheckResult]:
    """Runs checks in parallel; the canary runs last, so no other check slows it."""
    first = await asyncio.gather(*(result_of(check, who) for check in checks if check.name != "canary"))
    last = [await result_of(check, who) for check in checks if check.name == "canary"]
    return [*first, *last]


def add_to(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(doctor)


def doctor(
    list_: Annotated[
        bool, typer.Option("--list", help="Name the checks and why each matters; look at nothing.")
    ] = False,
    bundle: Annotated[
        Path | None, typer.Option(help="Also write an archive for an issue: no secrets, no personal values.")
    ] = None,
) -> None:
    """Check a stack; name each fault and the command that fixes it. Exit status 1 if there is a fault."""
    if list_:
        for name, checks in GROUPS:
            for check in checks:
                print_json({"group": name, "check": check.name, "why": check.why})
        return
    who = patient()
    if bundle is not None and bundle.exists():
        raise ConfigError(f"{bundle} is there already")
    well, rows = True, list[dict[str, object]]()
    for name, checks in groups(who):
        with quiet_clients:
            results = run(examined(who, list(checks)))
        well &= all(result.finding.state in (OK, SKIP) for result in results)
        rows += [{"group": name, **result.to_row()} for result in results]
        _show(name, results)
    if bundle is not None:
        files = write_bundle(bundle, who.settings, who.home.logs, rows, [who.access.key, who.access.url])
        note(f"{bundle}: {', '.join(files)}; look at it before you send it")
    if not who.is_here and not OPTIONS.get().as_json:
        note(f"only the API was looked at: {who.access.url} is not this machine's stack")
    if not well:
        raise typer.Exit(FINDINGS)


def _show(group: str, results: list[CheckResult]) -> None:
    if OPTIONS.get().as_json:
        for result in results:
            print_json({"group": group, **result.to_row()})
        return
    console = Console(soft_wrap=True)
    console.print(Text(group, style="bold"))
    for result in results:
        finding = result.finding
        line = Text("  ")
        line.append(f"{finding.state:<5}", style=COLOURS[finding.state])
        line.append(f"{result.check.name:<17}{printable(finding.what)}")
        console.print(line)
        if finding.state in (WARN, FAIL):
            console.print(Text(f"       why: {result.check.why}"))
            console.print(Text(f"       mend: {printable(finding.remedy)}"))
    sys.stdout.flush()
