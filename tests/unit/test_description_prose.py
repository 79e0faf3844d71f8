"""The description of the API says what each parameter is, and shows a body of each vendor's path, which is taken."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest import openapi
from ingest.dialects import OPERATIONS
from ingest.events.operation import IngestOperation
from ingest.vendor_examples import example_of
from tests.support.edge import PUBLIC, SECRET, MemoryLog, client_of, memory_edge

DOCUMENT: dict[str, Any] = orjson.loads(openapi.written())
OPERATIONS_OF = [
    (path, method, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
TAKEN = [o for o in OPERATIONS if isinstance(o, IngestOperation) and o.source != "altacee" and "POST" in o.methods]


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in parameter:
        return parameter
    shared: dict[str, Any] = DOCUMENT["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
    return shared


def test_every_parameter_has_a_sentence() -> None:
    without = [
        f"{method} {path}: {parameter['name']}"
        for path, method, operation in OPERATIONS_OF
        for parameter in map(_parameter, operation.get("parameters", ()))
        if len(parameter.get("description", "")) < 10 or not parameter["description"].endswith(".")
    ]
    assert without == []


@pytest.mark.parametrize("operation", TAKEN, ids=lambda o: o.path)
async def test_the_body_that_is_shown_of_a_vendors_path_is_taken(operation: Any, tmp_path: Path) -> None:
    example, log = example_of(operation.source, operation.path), MemoryLog()
    assert example is not None
    shown = DOCUMENT["paths"][operation.path]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert shown == orjson.loads(orjson.dumps(example))
    path = operation.path.replace("{project}", "shop")
    headers = SECRET if operation.source == "parcelvoy" else PUBLIC
    async with client_of(memory_edge(tmp_path, log)) as client:
        answer = await client.post(path, json=example, headers=headers)
    assert answer.is_success, answer.text
    assert log.events or not answer.content, answer.text
