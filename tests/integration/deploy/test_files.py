"""The files of deploy/ as far as this machine's tools can check them; each check skips where its tool is missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pywhatsweb_runtime.metrics import Metrics
from tests.support.compose import OURS, ROOT
from tests.support.dashboards import queries
from tests.support.programs import call, tool

DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
ALERT_TESTS = DEPLOY / "prometheus" / "alerts_test.yml"
KUBERNETES = DEPLOY / "kubernetes"

PROMETHEUS_OWN = {"up"}
"""Series that Prometheus itself adds."""
_METRIC = re.compile(r"\b(?:pww|whatsapp|process|python|up)(?:_[a-z0-9_]+)?\b(?=[{\[) ,/]|$)")


def known_metrics() -> set[str]:
    """Every series' name that a service can have."""
    names: set[str] = set(PROMETHEUS_OWN)
    for family in Metrics().registry.collect():
        names |= {family.name, f"{family.name}_total"}
        names |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
        names |= {sample.name for sample in family.samples}
    return names


def expressions() -> Iterator[tuple[str, str]]:
    """Every query of the alerts and of the dashboards, with where it is from."""
    text = re.sub(r">-\n((?: {10}.*\n)+)", lambda m: " ".join(m[1].split()) + "\n", ALERTS.read_text())
    for alert, expr in re.findall(r"- alert: (\w+)\n(?: +#.*\n)* +expr: (.+)", text):
        yield f"alert {alert}", expr
    for query in queries(tenant="demo", session="s1"):
        yield f"panel {query.panel}", query.expr


def test_every_query_asks_for_metrics_that_exist() -> None:
    """No alert and no panel names a series that no service has."""
    known = known_metrics()
    found = list(expressions())
    assert len(found) > 30
    for where, expr in found:
        names = set(_METRIC.findall(re.sub(r"\{[^}]*\}|\([a-z, ]+\)", "{", expr)))
        assert names, (where, expr)
        assert names <= known, (where, names - known)


def test_every_alert_has_a_test_and_a_runbook_that_is_there() -> None:
    """The part of RUNBOOKS.md that an alert names exists; its unit test expects it to fire."""
    alerts = set(re.findall(r"- alert: (\w+)", ALERTS.read_text()))
    tested = re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels", ALERT_TESTS.read_text())
    assert alerts == set(tested)
    headings = re.findall(r"^## (.+)$", (ROOT / "RUNBOOKS.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    named = set(re.findall(r"RUNBOOKS\.md#([a-z0-9-]+)", ALERTS.read_text()))
    assert named <= anchors, named - anchors


def test_the_runbooks_list_every_alert() -> None:
    """Whoever is woken finds its part by the alert's name; in bold what wakes somebody."""
    rule = r"- alert: (\w+)\n.*?severity: (\w+).*?RUNBOOKS\.md#([a-z0-9-]+)"
    alerts = {
        (name, severity, part) for name, severity, part in re.findall(rule, ALERTS.read_text(), re.DOTALL)
    }
    table = (ROOT / "RUNBOOKS.md").read_text().partition("## Alerts by name")[2].partition("\n## ")[0]
    listed = {
        (name, "page" if bold else "ticket", part)
        for names, part in re.findall(r"^\| (.+) \| \[.+\]\(#([a-z0-9-]+)\) \|$", table, re.MULTILINE)
        for bold, name in re.findall(r"(\*\*)?`(\w+)`", names)
    }
    assert listed == alerts


def test_every_metric_is_shown() -> None:
    """A metric that no panel asks for is found by nobody."""
    asked = " ".join(query.expr for query in queries(tenant="demo", session="s1"))
    ours = {
        family.name
        for family in Metrics().registry.collect()
        if family.name.startswith(("pww_", "whatsapp_"))
    }
    assert {name for name in ours if name not in asked} == set()


def test_the_rules_for_kubernetes_are_the_same() -> None:
    """The Prometheus operator's object holds alerts.yml, indented."""
    rules = ALERTS.read_text().partition("groups:")[2]
    object_ = (KUBERNETES / "components" / "monitoring" / "alerts.yaml").read_text().partition("  groups:")[2]
    assert object_ == "".join(
        f"  {line}" if line.strip() else line for line in rules.splitlines(True)
    ).removeprefix("  ")


def test_promtool_checks_and_tests() -> None:
    """Prometheus's configuration and rules are valid, and every alert's unit test passes."""
    promtool = tool("promtool")
    call(promtool, "check", "config", "prometheus.yml", cwd=DEPLOY / "prometheus")
    call(promtool, "test", "rules", "alerts_test.yml", cwd=DEPLOY / "prometheus")


@pytest.mark.parametrize("script", ["settings_table", "dashboard"])
def test_what_is_generated_is_up_to_date(script: str) -> None:
    """docs/OPERATIONS.md and the dashboards are what their scripts write (`python tools/<script>.py`)."""
    call(sys.executable, ROOT / "tools" / f"{script}.py", "--check")


def compose(*files: str) -> dict[str, Any]:
    docker = tool("docker")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose")
    named = [part for file in files for part in ("-f", file)]
    profiles = ("--profile", "sandbox", "--profile", "tools")
    found: dict[str, Any] = json.loads(
        call(docker, "compose", "--env-file", ".env.example", *named, *profiles, "config", "--format", "json")
    )
    return found


@pytest.mark.parametrize(
    "files",
    [
        ("docker-compose.yml",),
        ("docker-compose.yml", "deploy/compose/nats-cluster.yml"),
        ("docker-compose.yml", "deploy/compose/browsers.yml"),
    ],
)
def test_compose_is_valid_and_contained(files: tuple[str, ...]) -> None:
    """Loopback ports only; read-only roots, no capabilities to spare, limits, health checks, no secret by value."""
    services = compose(*files)["services"]
    assert services["session-worker"].get("container_name") is None, "it could not be scaled"
    for name, service in services.items():
        once = name in ("setup", "provision", "pww", "keys")
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == ("no" if once else "unless-stopped"), name
        assert once or service.get("healthcheck") or service.get("build"), name
        assert once or service["deploy"]["resources"]["limits"]["memory"], name
        for variable, value in (service.get("environment") or {}).items():
            secret = any(word in variable for word in ("PASSWORD", "DATABASE_URL", "ENCRYPTION_KEY"))
            assert not secret or variable.endswith("_FILE"), (name, variable, value)


def test_a_cluster_replicates_everywhere() -> None:
    """With three brokers every service is told R3 and all nodes: one that was not would set replicas back to 1."""
    services = compose("docker-compose.yml", "deploy/compose/nats-cluster.yml")["services"]
    for name in {"provision", *OURS}:
        environment = services[name]["environment"]
        assert environment["PWW_REPLICAS"] == "3", name
        assert environment["PWW_NATS_URL"].count("nats://") == 3, name
    assert "3" in services["provision"]["command"]
    names = {services[node]["environment"]["SERVER_NAME"] for node in ("nats", "nats-2", "nats-3")}
    assert names <= set(services["setup"]["command"])


def dockerfile() -> list[tuple[str, str]]:
    """Its instructions, continued lines joined, comments left out."""
    text = (DEPLOY / "docker" / "Dockerfile").read_text()
    joined = re.sub(r"\\\n(?:\s*#.*\n)*", " ", re.sub(r"(?m)^#.*\n", "", text))
    return [(line.split()[0], line) for line in joined.splitlines() if line.strip()]


def test_the_dockerfile_keeps_to_the_rules() -> None:
    """Pinned bases, hashed requirements, no registry, no BuildKit, a user and a health check in what is shipped."""
    lines = dockerfile()
    assert {"FROM", "USER", "HEALTHCHECK", "ENTRYPOINT"} <= {word for word, _ in lines}
    targets: dict[str, list[str]] = {}
    current = ""
    for word, line in lines:
        if word == "FROM":
            current = line.split()[-1]
        targets.setdefault(current, []).append(line)
        assert "--mount" not in line
        assert "://" not in line.replace("http://127.0.0.1", ""), line
        if word == "RUN" and "pip" in line and "install" in line:
            assert "--require-hashes" in line or "--no-index" in line, line
        if "apt-get install" in line:
            assert "--no-install-recommends" in line
            assert "rm -rf /var/lib/apt/lists" in line
    assert all(":" in line for word, line in lines if word == "ARG" and "IMAGE" in line)
    for target in ("services", "sandbox"):
        kept = "\n".join(targets[target])
        for needed in (
            "USER 10001:10001",
            "HEALTHCHECK",
            'ENTRYPOINT ["tini"',
            "org.opencontainers.image.version",
        ):
            assert needed in kept, (target, needed)
    assert targets["node-services"][0] == "FROM services AS node-services"
    assert targets["worker"][0] == "FROM node-services AS worker"
    assert targets["browser"][0] == "FROM worker AS browser"
    assert targets["browser"][-1] == "USER 10001:10001"
