"""The chart as Helm renders it, where `helm` is on the path: what each container is given, and what it may do."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.settings import PREFIX, Settings, strangers
from tests.support.services import ROOT

CHART = ROOT / "deploy" / "helm"
HELM = shutil.which("helm")
pytestmark = pytest.mark.helm

SMALL = """
kafka: {bootstrapServers: "kafka:9092"}
clickhouse: {url: "http://headwater@clickhouse:8123"}
"""
FULL = """
image: {pullSecrets: [registry]}
kafka:
  bootstrapServers: kafka-1:9093,kafka-2:9093
  securityProtocol: SASL_SSL
  saslMechanism: SCRAM-SHA-512
  username: headwater
  password: {secret: kafka-user}
  ca: {secret: kafka-ca}
  clientCertificate: {secret: kafka-client}
clickhouse:
  url: https://headwater@clickhouse:8443
  password: {secret: clickhouse-user}
  ca: {secret: clickhouse-ca}
  clientCertificate: {secret: clickhouse-client}
secretKey: {secret: headwater}
topics: {partitions: 24, prefix: "eu."}
publicUrl: https://events.example.com
settings: {HEADWATER_RATE_LIMIT: "100", HEADWATER_PUBLISH_BUFFER_BYTES: "134217728"}
ingest: {autoscaling: {enabled: true}, podAnnotations: {a: b}, tolerations: [{key: a, operator: Exists}]}
identity: {scaling: {enabled: true}, storage: {size: 100Gi, className: fast}}
segments: {retireOnStop: true, scaling: {enabled: true, maxReplicas: 24}}
ingress: {enabled: true, host: events.example.com, tlsSecret: tls}
networkPolicy:
  ingestFrom: [{namespaceSelector: {matchLabels: {a: b}}}]
  egressTo: [{ipBlock: {cidr: 10.1.0.0/16}}]
keda: {prometheusAddress: "http://prometheus:9090"}
monitoring: {podMonitor: {enabled: true}, prometheusRule: {enabled: true}}
"""
NONE_OF_THE_CORE = {"ScaledObject", "PodMonitor", "PrometheusRule", "HorizontalPodAutoscaler", "Ingress"}


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(HELM), *arguments], capture_output=True, text=True, check=False)


def template(folder: Path, values: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "values.yaml").write_text(values)
    file = str(folder / "values.yaml")
    return helm("template", "shop", str(CHART), "--namespace", "events", "--kube-version", "1.31.0", "-f", file, *more)


@pytest.fixture(params=[SMALL, FULL], ids=["small", "full"])
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> list[dict[str, Any]]:
    done = template(tmp_path, request.param)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def pods(rendered: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in rendered:
        if manifest["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]


def test_each_pod_is_given_valid_settings_and_the_files_that_they_name(rendered: list[dict[str, Any]]) -> None:
    by_name = dict(pods(rendered))
    assert len(by_name) == 7
    for name, pod in by_name.items():
        (container,) = pod["containers"]
        env = {variable["name"]: variable.get("value", "0") for variable in container["env"]}
        assert len(env) == len(container["env"]), name
        assert not list(strangers(env))
        Settings(**{key.removeprefix(PREFIX).lower(): value for key, value in env.items() if key != "POD_NAME"})
        files = {
            f"/run/secrets/headwater/{item['path']}"
            for volume in pod["volumes"]
            for source in volume.get("projected", {}).get("sources", [])
            for item in source["secret"]["items"]
        }
        assert {value for key, value in env.items() if key.endswith("_FILE") and "READY" not in key} == files
        claims = {"state"} if any(mount["name"] == "state" for mount in container["volumeMounts"]) else set()
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted - {volume["name"] for volume in pod["volumes"]} <= claims


def test_a_pod_may_do_no_more_than_it_must(rendered: list[dict[str, Any]]) -> None:
    for _, pod in pods(rendered):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        assert not pod["enableServiceLinks"], "a Service would set HEADWATER_QUERY_PORT"
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_workers_have_numbers_and_those_that_keep_something_a_claim(rendered: list[dict[str, Any]]) -> None:
    sets = {
        manifest["metadata"]["name"].removeprefix("shop-headwater-"): manifest
        for manifest in kind(rendered, "StatefulSet")
    }
    assert set(sets) == {"identity", "segments", "clickhouse-sink", "webhooks"}
    assert {name for name, stateful_set in sets.items() if "volumeClaimTemplates" in stateful_set["spec"]} == {
        *("identity", "segments", "webhooks")
    }
    for stateful_set in sets.values():
        (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
        (worker,) = [variable for variable in container["env"] if variable["name"] == "HEADWATER_WORKER"]
        assert "pod-index" in worker["valueFrom"]["fieldRef"]["fieldPath"]


def test_each_probe_is_of_the_process(rendered: list[dict[str, Any]]) -> None:
    for name, pod in pods(rendered):
        (container,) = pod["containers"]
        if name.endswith("provision"):
            assert "livenessProbe" not in container, "a migration that takes long is not killed"
            continue
        assert container["livenessProbe"]["exec"]["command"][1:] == ["-m", "deploy.health"]
        ready = container["readinessProbe"]
        if name.endswith(("ingest", "query")):
            assert ready["httpGet"]["path"].startswith("/health/ready")
        else:  # a sender that stands by must not hold up a roll-out
            assert ("--ready" in ready["exec"]["command"]) == (not name.endswith("webhooks"))


def kind(rendered: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [manifest for manifest in rendered if manifest["kind"] == name]


def test_provisioning_comes_first_and_services_reach_their_pods(rendered: list[dict[str, Any]]) -> None:
    (job,) = kind(rendered, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    labels = [
        manifest["spec"]["template"]["metadata"]["labels"]
        for manifest in (*kind(rendered, "Deployment"), *kind(rendered, "StatefulSet"))
    ]
    selectors = [service["spec"]["selector"] for service in kind(rendered, "Service")]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in kind(rendered, "PodDisruptionBudget")]
    assert len(selectors) == 9
    for selector in selectors:
        assert any(selector.items() <= label.items() for label in labels)
        assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_options_are_off_until_they_are_asked_for(rendered: list[dict[str, Any]]) -> None:
    names = {manifest["kind"] for manifest in rendered} & NONE_OF_THE_CORE
    assert names in (set(), NONE_OF_THE_CORE)
    for rule in kind(rendered, "PrometheusRule"):
        assert rule["spec"] == yaml.safe_load((ROOT / "deploy/observability/alerts.yaml").read_text())
    for scaled in kind(rendered, "ScaledObject"):
        stage = scaled["metadata"]["name"]
        assert f'process=~"{stage}-[0-9]+"' in scaled["spec"]["triggers"][0]["metadata"]["query"]
        (workers,) = [manifest for manifest in kind(rendered, "StatefulSet") if manifest["metadata"]["name"] == stage]
        assert "replicas" not in workers["spec"]


def test_the_chart_has_nothing_for_lint_to_say(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(FULL)
    done = helm("lint", "--strict", str(CHART), "-f", str(tmp_path / "values.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ingest.replcas=2", "replcas"),
        (
            "identity.replicas=13",
            "identity.replicas is 13: a stage has at most one worker for each of topics.partitions",
        ),
        ("kafka.bootstrapServers=", "kafka.bootstrapServers is needed"),
        ("clickhouse.url=", "clickhouse.url is needed"),
        ("ingress.enabled=true", "ingress.host is needed"),
        ("identity.scaling.enabled=true", "keda.prometheusAddress is needed"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, setting: str, message: str) -> None:
    done = template(tmp_path, SMALL, "--set", setting)
    assert done.returncode != 0
    assert message in re.sub(r"\s+", " ", done.stderr)


def test_a_worker_that_is_to_retire_hands_over_after_its_process(
    rendered: list[dict[str, Any]], tmp_path: Path
) -> None:
    commands = {name.removeprefix("shop-headwater-"): pod["containers"][0]["command"] for name, pod in pods(rendered)}
    sink = ["python", "-m", "sinks", "clickhouse"]
    assert commands["clickhouse-sink"] == ["python", "-m", "deploy.handover", "clickhouse", *sink]
    assert commands["identity"] == ["python", "-m", "processors", "identity"], "it comes back to its disk"
    done = template(tmp_path, FULL)
    retiring = dict(pods([document for document in yaml.safe_load_all(done.stdout) if document]))[
        "shop-headwater-segments"
    ]
    assert retiring["containers"][0]["command"][:4] == ["python", "-m", "deploy.handover", "segments"]
