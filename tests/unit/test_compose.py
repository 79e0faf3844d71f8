"""The compose file against the settings, the processes, and what must hold of each container."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.local.stack import stages
from schemas.settings import PREFIX, Settings, strangers
from tests.support import image, services
from tests.support.image import COMPOSE, FOLDER, OURS, SERVICES, SERVING


def test_every_process_of_a_local_stack_is_a_service() -> None:
    local = {process.name: process.command[1:] for layer in stages(Settings()) for process in layer}
    assert {name: tuple(SERVICES[name]["command"][1:]) for name in SERVING} == local


@pytest.mark.parametrize("name", OURS)
def test_its_variables_are_settings(name: str) -> None:
    variables = SERVICES[name]["environment"]
    assert not list(strangers(variables))
    declared = {PREFIX + field.upper() for field in Settings.model_fields} | {
        "KAFKA_BOOTSTRAP_SERVERS",
        "CLICKHOUSE_URL",
    }
    assert set(variables) <= declared
    Settings(
        **{
            variable.removeprefix(PREFIX).lower(): value
            for variable, value in variables.items()
            if not value.startswith("${")
        }
    )


@pytest.mark.parametrize("name", OURS)
def test_it_may_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert ("USER", "10001:10001") in list(image.instructions(1))


def test_every_service_is_bounded_and_watched() -> None:
    assert all("mem_limit" in service and service["logging"]["options"] for service in SERVICES.values())
    unwatched = {name for name, service in SERVICES.items() if "healthcheck" not in service} - set(OURS)
    assert not unwatched
    assert ("HEALTHCHECK", image_health()) in list(image.instructions(1))
    assert all(
        SERVICES[name]["depends_on"] == {"provision": {"condition": "service_completed_successfully"}}
        for name in SERVING
    )
    small = [service for service in SERVICES.values() if "profiles" not in service]
    assert sum(_mebibytes(service["mem_limit"]) for service in small if service["restart"] != "no") <= 4608


def image_health() -> str:
    (command,) = (text for name, text in image.instructions(1) if name == "HEALTHCHECK")
    assert command.endswith('CMD ["python", "-m", "deploy.health"]')
    return command


def test_nothing_listens_beyond_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_are_pinned_and_those_that_the_tests_use() -> None:
    images = {name: service["image"] for name, service in SERVICES.items() if name not in OURS}
    assert all(re.search(r":v?\d+\.\d+", image) for image in images.values())
    assert images["kafka"] == services.KAFKA_IMAGE
    assert images["clickhouse"] == services.CLICKHOUSE_IMAGE


def test_every_file_that_is_mounted_and_every_secret_is_there() -> None:
    mounts = [volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = [Path(source) for source, *_ in mounts if source.startswith(".")]
    assert files
    assert not [file for file in files if not (FOLDER / file).is_file()]
    assert {source for source, *_ in mounts if not source.startswith(".")} == set(COMPOSE["volumes"])
    made = (FOLDER / "secrets.sh").read_text()
    assert all(f'echo "{secret["environment"]}=' in made for secret in COMPOSE["secrets"].values())
    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])


def test_prometheus_asks_every_process() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yaml").read_text())["scrape_configs"]
    port = SERVICES["ingest"]["environment"]["HEADWATER_METRICS_PORT"]
    (targets,) = (config["targets"] for config in job["static_configs"])
    assert set(targets) == {f"{name}:{port}" for name in SERVING}


def _mebibytes(text: str) -> int:
    units = {"m": 1, "g": 1024}
    return int(text[:-1]) * units[text[-1]]
