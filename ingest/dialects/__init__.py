"""The table of dialects: every path that takes events, and the file that speaks its language."""

from ingest.dialects import (
    altacee,
    altacee_contacts,
    altcraft,
    altcraft_triggers,
    altertable,
    lunogram,
    parcelvoy,
    posthog,
    posthog_web,
    segment,
    segment_web,
)
from ingest.events.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *altacee.OPERATIONS,
    *altacee_contacts.OPERATIONS,
    *altertable.OPERATIONS,
    *parcelvoy.OPERATIONS,
    *lunogram.OPERATIONS,
    *segment.OPERATIONS,
    *segment_web.OPERATIONS,
    *posthog.OPERATIONS,
    *posthog_web.OPERATIONS,
    *altcraft_triggers.OPERATIONS,
    # the last: it answers every other method under its root
    *altcraft.OPERATIONS,
)
