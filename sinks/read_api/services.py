"""The parts of the read API's process that its handlers share."""

from dataclasses import dataclass

from schemas.control.control_state import ControlState
from schemas.control.launch_jobs import LaunchJobs
from schemas.control.quarantine_jobs import QuarantineJobs
from schemas.service.kafka import Tail
from sinks.read_api.contacts.read_your_writes import WrittenContacts
from sinks.read_api.control.consistency import ConsistencyCheck
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.record_times import RecordTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadServices:
    """The parts of the process that reads share."""

    control: ControlState
    jobs: QuarantineJobs
    launches: LaunchJobs
    tail: Tail
    """Of `control`; a read that must show the latest definitions catches up first."""
    reader: ClickHouseReader
    written: WrittenContacts
    parity: ConsistencyCheck
    times: RecordTimes
