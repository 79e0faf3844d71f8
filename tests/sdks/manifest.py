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
}
STEPS = frozenset({"page", "history", "group", "alias", "past", "offline", "close"})
"""What an SDK may be unable to do; everything else of the journey is asked of each."""


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
    """Ways to set it up; the program is given the name of one."""
    cannot: dict[str, str] = field(default_factory=dict, hash=False)
    """What of the journey it cannot do by itself, and why."""
    needs: tuple[str, ...] = ()
    """Other packages, pinned in the words of the package manager."""
    tls: bool = False
    """Whether it speaks HTTPS only."""

    @property
    def runtime(self) -> str:
        return self.path.parent.name


@dataclass(frozen=True, slots=True)
class Case:
    sdk: Sdk
    version: str
    variant: str
    short: bool

    @property
    def name(self) -> str:
        """As in ``browser/posthog-js-1.449.2``; also where its recording lies."""
        return f"{self.sdk.runtime}/" + "-".join(
            part for part in (self.sdk.path.stem, self.version, self.variant) if part
        )


def read(path: Path) -> Sdk:
    """The comment at the head of a program; a field that is missing or unknown raises."""
    mark = "#" if path.suffix == ".py" else "//"
    lines = takewhile(lambda line: line.startswith(mark), path.read_text().splitlines())
    fields = tomllib.loads("\n".join(line.removeprefix(mark) for line in lines))
    unknown = fields.get("cannot", {}).keys() - STEPS
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
        if path.suffix in {".js", ".mjs", ".go", ".java", ".py"}
    ]


def cases() -> list[Case]:
    """Every version in every variant; in CI the newest version as it comes, of the SDKs that are marked."""
    return [
        Case(sdk, version, variant, short=sdk.short and version == sdk.versions[0] and variant == sdk.variants[0])
        for sdk in sdks()
        for version in sdk.versions
        for variant in sdk.variants
    ]


def markdown_table() -> str:
    """The README's table of SDKs; a test compares them."""
    rows = ["| SDK | versions tried | what to set | what it cannot do by itself |", "|---|---|---|---|"]
    for sdk in sdks():
        versions = ", ".join(sdk.versions)
        cannot = "; ".join(sdk.cannot.values()) or "-"
        rows.append(f"| `{sdk.package}` ({RUNTIMES[sdk.runtime]}) | {versions} | {sdk.options} | {cannot} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(markdown_table())
