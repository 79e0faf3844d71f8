"""The chart against the settings, the processes, the image and the rules; tests/contract renders its templates."""

import json
import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.local.stack import stages
from schemas.service.metrics import BY_NAME
from schemas.settings import Settings, variable
from tests.support import image
from tests.support.services import ROOT

CHART = ROOT / "deploy" / "helm"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
TEMPLATES = "\n".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))
ELSEWHERE = {
    *("port", "query_port", "kafka_port", "clickhouse_port", "clickhouse_floor_mib"),  # of the embedded services, fixed
    *("edges", "identity_workers", "segments_workers"),  # the local supervisor's
    *("kafka_password", "secret_key"),  # files in their place
}
"""Settings that no key of the chart sets."""


def named() -> set[str]:
    """The variables that templates set, those that are composed from a service's name too."""
    code = re.sub(r"^\s*#.*$", "", TEMPLATES, flags=re.MULTILINE)
    plain = set(re.findall(r"\b(?:KAFKA|CLICKHOUSE)_[A-Z_]+(?=:)|\bHEADWATER_[A-Z_]+\b", code))
    suffixes = re.findall(r"\{\{ \$name \}\}(_\w+)", TEMPLATES)
    composed = {f"HEADWATER_{service}{suffix}" for service in ("KAFKA", "CLICKHOUSE") for suffix in suffixes}
    return {name for name in plain | composed if not name.endswith("_")}


def test_each_setting_has_one_place() -> None:
    free = set(SCHEMA["properties"]["settings"]["propertyNames"]["anyOf"][1]["enum"])
    elsewhere = {variable(name) for name in ELSEWHERE}
    assert named() | free | elsewhere == {variable(name) for name in Settings.model_fields}
    assert not named() & free
    assert not elsewhere & (named() | free)


def test_every_process_of_a_local_stack_is_a_workload() -> None:
    local = {process.name: list(process.command[1:]) for layer in stages(Settings()) for process in layer}
    result = re.findall(r'dict "name" "([\w-]+)" "command" \(list "python" ([^)]+)\)', TEMPLATES)
    assert {name: re.findall(r'"([^"]+)"', command) for name, command in result} == local


def test_the_schema_takes_the_values() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)


def keys(schema: dict[str, Any], values: Any, place: str = "") -> Iterator[tuple[str, set[str], set[str]]]:
    """Each object whose keys are all known: its place, the schema's keys and the values'."""
    if "properties" in schema and isinstance(values, dict):
        yield place, set(schema["properties"]), set(values)
        for name, value in values.items():
            yield from keys(schema["properties"][name], value, f"{place}.{name}")


def test_the_schema_knows_every_key_and_no_other() -> None:
    places = list(keys(SCHEMA, VALUES))
    assert len(places) > 30
    assert {place: in_schema ^ given for place, in_schema, given in places if in_schema != given} == {"": {"global"}}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("ingest.replcas", 2),
        ("settings.HEADWATER_RATE_LIMITS", "3"),
        ("settings.HEADWATER_RATE_LIMIT", 3),  # a large number would be written with an exponent
        ("settings.HEADWATER_KAFKA_PASSWORD", "x"),
        ("kafka.password.value", "x"),
        ("kafka.bootstrapServers", "http://kafka:9092"),
        ("kafka.securityProtocol", "SASL_PLAINTEXT"),
        ("clickhouse.url", "http://user:password@clickhouse:8123"),
        ("clickhouse.url", "clickhouse:9000"),
        ("clickhouseSink.replicas", -1),
        ("topics.partitions", 0),
        ("webhooks.storage.size", "big"),
        ("ingest.service.type", "ExternalName"),
    ],
)
def test_what_is_wrong_is_refused(place: str, value: object) -> None:
    values = deepcopy(VALUES)
    *path, last = place.split(".")
    inner = values
    for part in path:
        inner = inner[part]
    inner[last] = value
    with pytest.raises(jsonschema.ValidationError) as refused:
        jsonschema.validate(values, SCHEMA)
    assert path[0] in refused.value.absolute_path


def test_it_is_of_the_release_and_of_its_image() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]
    assert ("USER", "10001:10001") in list(image.instructions(1))
    assert "runAsUser: 10001" in TEMPLATES
    assert VALUES["image"]["repository"] == "headwater"


def test_its_rules_are_the_rules_and_it_scales_by_a_metric() -> None:
    """A chart holds only files of its own folder; Helm puts what a link leads to into a package."""
    link = CHART / "files" / "alerts.yaml"
    assert link.is_symlink()
    assert link.resolve() == ROOT / "deploy" / "observability" / "alerts.yaml"
    (metric,) = set(re.findall(r"\bheadwater_\w+(?=\{)", TEMPLATES))
    assert metric in BY_NAME
