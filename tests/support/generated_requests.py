"""A stack's address in; the command that sends generated requests to it, and the statuses of its report, out."""

import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

import orjson

from ingest.dialects import OPERATIONS

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SECONDS = int(os.environ.get("FUZZ_SECONDS", "35"))
VENDORS = sorted({operation.source for operation in OPERATIONS} - {"altacee"})
Ids = dict[str, str]
"""Of things that there are, by the first part of their path."""


def settings_of(ids: Ids) -> str:
    """Returns the configuration: mostly existing ids, so that requests pass the look-up."""
    lines = [
        'hooks = "tests.support.loopback_urls"',
        "[generation]",
        "with-security-parameters = false",
        "[parameters]",
        '"query.environment" = "production"',
    ]
    for thing, name in ids.items():
        if thing in ("tasks", "deliveries", "receivers"):
            continue
        lines += [
            "[[operations]]",
            f'include-path-regex = "^/v1/{thing}/{{id}}"',
            'exclude-method = "DELETE"',
            f'parameters = {{ "path.id" = "{name}", "query.environment" = "production" }}',
        ]
    for thing, parameter in (("lists", "name"), ("typed-columns", "property")):
        lines += [
            "[[operations]]",
            f'include-path-regex = "^/v1/{thing}/{{{parameter}}}"',
            'exclude-method = "DELETE"',
            f'parameters = {{ "path.{parameter}" = "described", "query.environment" = "production" }}',
        ]
    return "\n".join(lines) + "\n"


def command_of(url: str, key: str, config: Path, report: Path) -> list[str]:
    """Returns the command of a separate process: schemathesis changes hypothesis for its importers."""
    return [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: {key}", "--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing"),
        *("--max-time", str(SECONDS), "--seed", os.environ.get("FUZZ_SEED", "1"), "--no-color", "--warnings", "off"),
        *("--report-ndjson-path", str(report), "--continue-on-failure"),
        # a revoked key would end the run; vendors' answers have their own documents
        *("--exclude-operation-id", "delete_v1_keys_id"),
        # this response is endless
        *("--exclude-operation-id", "get_v1_live"),
        *(word for tag in VENDORS for word in ("--exclude-tag", tag)),
    ]


def answered(report: Path) -> dict[str, Counter[int]]:
    """Counts the statuses of each operation's responses."""
    statuses: dict[str, Counter[int]] = defaultdict(Counter)
    for line in report.read_bytes().splitlines():
        done = orjson.loads(line).get("ScenarioFinished")
        if done is None:
            continue
        for interaction in done["recorder"].get("interactions", {}).values():
            if interaction.get("response") is not None:
                statuses[done["recorder"]["label"]][interaction["response"]["status_code"]] += 1
    return statuses
