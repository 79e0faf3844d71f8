"""Figures of ``tests.bench.cost`` and the accepted ones in; a table and the excessive costs out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ACCEPTED = Path(__file__).with_name("accepted.json")
MOST = 1.15
"""Times the accepted cost."""
Figures = Mapping[str, Any]


def read(path: Path) -> Figures:
    """Reads accepted figures; empty before the first acceptance."""
    return json.loads(path.read_text()) if path.exists() else {}


def _kinds(figures: Figures) -> list[str]:
    return [name for name, figure in figures.items() if "units_each" in figure]


def complaints(figures: Figures, accepted: Figures) -> list[str]:
    """Returns a complaint for each kind beyond ``MOST`` times its accepted cost, or without a complete measurement."""
    problems = []
    for name in _kinds(accepted):
        figure = figures.get(name)
        if figure is None:
            problems.append(f"{name}: not measured")
            continue
        count = figure.get("events", figure.get("contacts"))
        read_back = figure.get("rows", figure.get("read"))
        if read_back != count:
            problems.append(f"{name}: {read_back} of {count} can be read")
        ratio = figure["units_each"]["all"] / accepted[name]["units_each"]["all"]
        if ratio > MOST:
            problems.append(f"{name}: {ratio:.2f} times the accepted CPU, at most {MOST}")
    return problems


def table(figures: Figures, accepted: Figures) -> str:
    """Returns a row for each process: µs and units of work each, and the multiple of the accepted units."""
    lines = []
    for name in _kinds(figures):
        figure, before = figures[name], accepted.get(name, {}).get("units_each", {})
        lines.append(f"{name:<20} µs of CPU   units   accepted = 1   (a unit: {figure['unit_us']} µs)")
        for process, us in figure["cpu_us_each"].items():
            units = figure["units_each"][process]
            ratio = f"{units / before[process]:14.2f}" if before.get(process) else f"{'-':>14}"
            lines.append(f"  {process:<18} {us:9} {units:7.3f} {ratio}")
    return "\n".join(lines)
