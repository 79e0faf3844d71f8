"""A stack's folder of sockets in; the state of its stages (behind, recovering, holding), from their metrics, out.

The same numbers as in `/metrics` and in the alerts, asked of each process at its socket, which only its owner may open.
"""

import http.client
import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from schemas.service.processes import METRICS_PATH, SOCKET

LATE_S, FAR_S = 5.0, 60.0
"""Ages of the oldest pending record: shown from the first on, a fault from the second on, as in the alerts."""
WITHIN_S = 1.0


@dataclass(slots=True)
class Figures:
    """Of one process, as its metrics are now."""

    oldest_s: dict[str, float] = field(default_factory=dict)
    """Age of the oldest record that is fetched and not done, by topic."""
    behind: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Records that are in Kafka and not done, by topic."""
    recovering: int = 0
    """Partitions whose tables are read from the changelog."""
    is_holding: bool = False
    """Whether the database takes no rows."""
    residual: int = 0
    """Events of settled minutes that the ledger does not find."""

    @property
    def state(self) -> str:
        """behind, recovering, holding or unbalanced; empty: none of them."""
        if self.is_holding:
            return "holding"
        if self.recovering:
            return "recovering"
        if max(self.oldest_s.values(), default=0) > LATE_S:
            return "behind"
        return "unbalanced" if self.residual else ""

    @property
    def is_fault(self) -> bool:
        """Whether it is more than a burst, a start or a moment."""
        return self.is_holding or bool(self.residual) or max(self.oldest_s.values(), default=0) > FAR_S

    @property
    def reason(self) -> str:
        """Why it is in this state."""
        match self.state:
            case "holding":
                return f"the database takes no rows{self._owed('; the oldest record owed is ')}"
            case "recovering":
                return f"{self.recovering} partitions are read from the changelog"
            case "behind":
                return f"the oldest record owed is {self._owed()}"
            case "unbalanced":
                return f"{self.residual} accepted events are not accounted for (GET /v1/ledger)"
        return ""

    def _owed(self, before: str = "") -> str:
        topic, age = max(self.oldest_s.items(), key=lambda pair: pair[1], default=("", 0.0))
        count = self.behind.get(topic, 0)
        return f"{before}{age:.0f} s old, {count:,} records behind on {topic}" if age else ""


def figures_of(run: Path) -> dict[str, Figures]:
    """The figures of each process that answers."""
    texts = {path.stem: _ask(path) for path in sorted(run.glob(f"*{SOCKET}"))}
    return {name: read(text) for name, text in texts.items() if text}


def read(text: str) -> Figures:
    """Of one process's text."""
    figures = Figures()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            _take(figures, sample.name, sample.labels, sample.value)
    return figures


def _take(figures: Figures, name: str, labels: Mapping[str, str], value: float) -> None:
    match name:
        case "headwater_stage_oldest_seconds":
            figures.oldest_s[labels["topic"]] = value
        case "headwater_stage_behind_records":
            figures.behind[labels["topic"]] = int(value)
        case "headwater_stage_partitions" if labels["state"] == "recovering":
            figures.recovering = int(value)
        case "headwater_sink_holding":
            figures.is_holding = bool(value)
        case "headwater_ledger_residual_events":
            figures.residual = int(value)


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=WITHIN_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WITHIN_S)
        self.sock.connect(str(self._path))


def _ask(path: Path) -> str:
    """Empty if the process does not answer: its heartbeat shows that."""
    connection = _SocketConnection(path)
    try:
        connection.request("GET", METRICS_PATH)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == http.client.OK else ""
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return ""
    finally:
        connection.close()


def faults(figures: Mapping[str, Figures]) -> Iterable[tuple[str, Figures]]:
    """Processes that are in a state to tell of, the worst first."""
    shown = [(name, figure) for name, figure in figures.items() if figure.state]
    return sorted(shown, key=lambda pair: not pair[1].is_fault)
