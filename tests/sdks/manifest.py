"""Programs with an SDK each in, whose leading comment says in TOML what it is; cases and the README's table out.

Adding an SDK is adding a file to the folder of its runtime. ``python -m tests.sdks.manifest`` prints the README's
table.
"""

import tomllib
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

FOLDER = Path(__file__).parent
RUNTIMES = {
    "browser": "browsers",
    "node": "Node.js",
    "python": "Python",
    "go": "Go",
    "java": "Java, Kotlin",
    "rust": "Rust",
}
STEPS = frozenset({"page", "history", "group", "alias", "past", "offline", "close", "clock"})
"""What an SDK may be unable to do; everything else of the journey is asked of each."""
CLOCKS_H = (3, -26)
OWN_CLOCK = frozenset({"go"})
"""Runtimes that ask the kernel for the time, so that nobody can tell them another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    path: Path
    package: str
    versions: tuple[str, ...]
    """The first one is tried in CI too, where ``short`` says so."""
    options: str
    """What a user sets, for the table."""
    short: bool = False
    variants: tuple[str, ...] = ("",)
    """Ways to set it up; the program is given the name of one. An older version is tried as it comes."""
    cannot: dict[str, str] = field(default_factory=dict, hash=False)
    """What of the journey it cannot do by itself, and why."""
    versions_cannot: dict[str, dict[str, str]] = field(default_factory=dict, hash=False)
    """The same of some of its versions alone."""
    needs: tuple[str, ...] = ()
    """Other packages, pinned in the words of the package manager."""
    tls: bool = False
    """Whether it speaks HTTPS only."""
    queue: str = ""
    """The folder on this machine, the same for all programs, in which it keeps what it has not sent, by its key."""

    @property
    def runtime(self) -> str:
        return self.path.parent.name


@dataclass(frozen=True, slots=True)
class Case:
    sdk: Sdk
    version: str
    variant: str
    short: bool
    clock_h: int = 0
    """By how many hours the clock of its machine is ahead."""

    @property
    def cannot(self) -> dict[str, str]:
        return {**self.sdk.cannot, **self.sdk.versions_cannot.get(self.version, {})}

    @property
    def name(self) -> str:
        """As in ``browser/posthog-js-1.449.2``; also where its recording lies."""
        clock = f"clock{self.clock_h:+}h" if self.clock_h else ""
        return f"{self.sdk.runtime}/" + "-".join(
            part for part in (self.sdk.path.stem, self.version, self.variant, clock) if part
        )


def read(path: Path) -> Sdk:
    """The comment at the head of a program; a field that is missing or unknown raises."""
    mark = "#" if path.suffix == ".py" else "//"
    lines = takewhile(lambda line: line.startswith(mark), path.read_text().splitlines())
    fields = tomllib.loads("\n".join(line.removeprefix(mark) for line in lines))
    unable = [fields.get("cannot", {}), *fields.get("versions_cannot", {}).values()]
    unknown = {step for steps in unable for step in steps} - STEPS
    if unknown:
        raise ValueError(f"{path}: [cannot] may name {sorted(STEPS)}, not {sorted(unknown)}")
    for name in ("versions", "variants", "needs"):
        if name in fields:
            fields[name] = tuple(fields[name])
    return Sdk(path=path, **fields)


def sdks() -> list[Sdk]:
    """All of them, by runtime and name."""
    return [
        read(path)
        for runtime in RUNTIMES
        for path in sorted((FOLDER / runtime).glob("*.*"))
        if path.suffix in {".js", ".mjs", ".go", ".java", ".py", ".rs"}
    ]


def cases() -> list[Case]:
    """Every version, the newest in every variant and with wrong clocks; in CI it as it comes, of the marked SDKs."""
    cases = []
    for sdk in sdks():
        newest, plain = sdk.versions[0], sdk.variants[0]
        cases += [Case(sdk, newest, variant, short=sdk.short and variant == plain) for variant in sdk.variants]
        if sdk.runtime not in OWN_CLOCK and "clock" not in sdk.cannot:
            cases += [Case(sdk, newest, plain, short=False, clock_h=hours) for hours in CLOCKS_H]
        cases += [Case(sdk, version, plain, short=False) for version in sdk.versions[1:]]
    return cases


def markdown_table() -> str:
    """The README's table of SDKs; a test compares them."""
    rows = ["| SDK | versions tried | what to set | what it cannot do by itself |", "|---|---|---|---|"]
    for sdk in sdks():
        versions = ", ".join(sdk.versions)
        older = (f"{version} {why}" for version, reasons in sdk.versions_cannot.items() for why in reasons.values())
        cannot = "; ".join((*sdk.cannot.values(), *older)) or "-"
        rows.append(f"| `{sdk.package}` ({RUNTIMES[sdk.runtime]}) | {versions} | {sdk.options} | {cannot} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(markdown_table())
