"""deploy/kubernetes and deploy/helm: both say the same, Kubernetes takes it, and its policies let the fleet work."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from pywhatsweb.version import __version__
from tests.support.compose import OURS
from tests.support.manifests import (
    CHART,
    OVERLAYS,
    Object,
    by_name,
    kustomized,
    lets,
    lets_out,
    pods,
    rendered,
    written,
)
from tests.support.programs import call, tool

MAKERS = {"kustomize": cache(kustomized), "helm": cache(rendered)}
FOREIGN = ("monitoring.coreos.com/", "keda.sh/")
"""Kinds that the operators of others bring."""
_MARKED = {"nats": 4222, "database": 5432, "media": 443}
"""What a label `pywhatsweb/uses-…` of a pod stands for."""


@pytest.fixture(params=MAKERS)
def maker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=OVERLAYS)
def objects(maker: str, request: pytest.FixtureRequest) -> list[Object]:
    return MAKERS[maker](request.param)


def test_kubernetes_takes_every_object(objects: list[Object], tmp_path: Path) -> None:
    """kubernetes-validate --strict takes those of its own kinds; no secret is among them, services are all there."""
    own = [each for each in objects if not each["apiVersion"].startswith(FOREIGN)]
    assert {each["metadata"]["name"] for each in own} >= OURS
    assert "Secret" not in {each["kind"] for each in own}, "secrets are referenced, not contained"
    call(tool("kubernetes-validate"), "--strict", "-k", "1.32", written(own, tmp_path / "all.yaml"))


def test_every_pod_is_contained(objects: list[Object]) -> None:
    """A user without rights, read-only roots, no capability, bounded memory, no token of the API server."""
    for name, pod in pods(objects):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            assert container["resources"]["limits"]["memory"], name
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_a_service_has_its_own_user_and_no_more_secrets(objects: list[Object]) -> None:
    """Probes for all, time to hand over; the password of its own user at the broker, and no other's."""
    found = {name: pod["spec"] for name, pod in pods(objects) if name in OURS}
    assert found.keys() == OURS
    for name, spec in found.items():
        user = name.replace("-", "_")
        (container,) = spec["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys(), name
        assert spec["terminationGracePeriodSeconds"] > 25, name
        assert {"name": "PWW_NATS_USER", "value": user} in container["env"], name
        for variable in container["env"]:
            assert not variable["name"].endswith(("PASSWORD", "DATABASE_URL", "ENCRYPTION_KEY")), name
        sources = {
            source["secret"]["name"]: {item["key"] for item in source["secret"]["items"]}
            for volume in spec["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
        }
        assert sources["pww-users"] == {user}
        assert sources.get("pww-fleet", set()) <= {"database_url", "encryption.key"}


def test_the_policies_let_the_fleet_work(objects: list[Object]) -> None:
    """Who is marked as using the broker, the database or the files reaches it; who is not does not."""
    templates = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}
    for name, labels in templates.items():
        for what, port in _MARKED.items():
            uses = labels.get(f"pywhatsweb/uses-{what}") == "yes"
            if what in ("nats", "database"):
                host = templates.get({"nats": "nats", "database": "postgres"}[what])
                if host is not None and host is not labels:
                    assert lets(objects, labels, host, port) is uses, (name, what)
            if what != "nats" and not (name in ("webhooks", "session-worker") and not uses):
                assert lets_out(objects, labels, port) is uses, (name, what)
    assert lets(objects, templates["nats"], templates["nats"], 6222)
    for name in ("webhooks", "session-worker"):
        assert lets_out(objects, templates[name], 443)
        assert not lets(objects, templates["gateway"], templates[name], 9100)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_chart_says_what_kustomize_says(overlay: str) -> None:
    """With the values of an overlay's name: the same objects, in every field."""
    chart, overlaid = by_name(MAKERS["helm"](overlay)), by_name(MAKERS["kustomize"](overlay))
    assert chart.keys() == overlaid.keys()
    for key in chart:
        assert chart[key] == overlaid[key], key


def test_the_chart_is_in_order() -> None:
    """helm lint --strict, with the values of each file; its versions are this distribution's."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    for values in sorted(CHART.glob("values*.yaml")):
        call(tool("helm"), "lint", "--strict", CHART, "-f", values)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("settings.PWW_NATS_PASSWORD=x", "PWW_NATS_PASSWORD"),
        ("services.gateway.env.PWW_DATABASE_URL=x", "PWW_DATABASE_URL"),
        ("services.dispatcher.replica=3", "replica"),
        ("nats.replicas=2", "replicas"),
        ("tenants={Not a tenant}", "tenants"),
        ("secrets.fleet=", "fleet"),
    ],
)
def test_the_chart_refuses_values(wrong: str, said: str) -> None:
    """A secret by value, a key that it does not know, a number of brokers without a majority: told by name."""
    command = [tool("helm"), "template", "x", str(CHART), "--set", wrong]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert said in done.stderr


def test_what_values_change() -> None:
    """Digests stay as they are, a changed setting restarts pods and names another Job, tenancy can be left out."""
    digest = "example/services@sha256:" + "0" * 64
    usual = dict(pods(rendered("dev")))
    changed = rendered(
        "dev",
        *("--set", f"images.services={digest}", "--set", "settings.PWW_LOG_LEVEL=debug"),
        *(
            "--set-json",
            'tenants=["demo","acme"]',
            "--set-json",
            'network.database=[{"ipBlock":{"cidr":"10.1.2.3/32"}}]',
        ),
        *("--set", "services.tenancy.enabled=false", "--set", "services.kanban.pod.priorityClassName=high"),
    )
    found = dict(pods(changed))
    assert found["dispatcher"]["spec"]["containers"][0]["image"] == digest
    assert found["session-worker"]["spec"]["containers"][0]["image"] == "pywhatsweb/worker:dev"
    assert found["kanban"]["spec"]["priorityClassName"] == "high"
    assert found["kanban"]["metadata"]["annotations"] != usual["kanban"]["metadata"]["annotations"]
    assert "tenancy" not in found
    assert found["nats"]["spec"].get("initContainers") is None
    (job,) = found.keys() - usual.keys()
    assert job.startswith("provision-")
    named = by_name(changed)
    assert named["ConfigMap", "fleet"]["data"]["TENANTS"] == "demo acme"
    (rule,) = named["NetworkPolicy", "to-database"]["spec"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
