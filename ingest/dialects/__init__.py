"""The table of dialects: every path that takes events, and the file that speaks its language."""

from ingest.dialects import altacee, altertable
from ingest.dialects.operation import Operation

OPERATIONS: tuple[Operation, ...] = (*altacee.OPERATIONS, *altertable.OPERATIONS)
