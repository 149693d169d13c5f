"""Objects of Kubernetes as kustomize and Helm write them, and what network policies make of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.compose import ROOT
from tests.support.programs import call, tool

KUBERNETES = ROOT / "deploy" / "kubernetes"
CHART = ROOT / "deploy" / "helm"
OVERLAYS = ("dev", "production")
NAMESPACE = "pywhatsweb"

Object = dict[str, Any]
_HASHED = re.compile(r"^(fleet|provision)-[0-9a-z]{10}$")
"""A ConfigMap of kustomize's and a Job of the chart's have a hash of their content in their names."""


def kustomized(overlay: str) -> list[Object]:
    return _parsed(call(tool("kubectl"), "kustomize", KUBERNETES / "overlays" / overlay))


def rendered(overlay: str, *arguments: str) -> list[Object]:
    """The chart with the values of the same name."""
    values = CHART / f"values-{overlay}.yaml"
    command: tuple[str | Path, ...] = (tool("helm"), "template", "pywhatsweb", CHART, "-n", NAMESPACE)
    return _parsed(call(*command, "-f", values, *arguments))


def _parsed(text: str) -> list[Object]:
    return [found for found in yaml.safe_load_all(text) if found]


def comparable(value: Any) -> Any:
    """Without what differs by design: hashes, Helm's own annotations, the order of what is named."""
    match value:
        case dict():
            kept = {
                key: comparable(each)
                for key, each in value.items()
                if not key.startswith(("helm.sh/", "checksum/"))
            }
            return {key: each for key, each in kept.items() if key != "annotations" or each}
        case list():
            found = [comparable(each) for each in value]
            named = all(isinstance(each, dict) and "name" in each for each in found)
            return sorted(found, key=lambda each: each["name"]) if named else found
        case str():
            return _HASHED.sub(r"\1", value)
    return value


def by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
    """By kind and name, comparable. The namespace is not the chart's to make."""
    found = [comparable(each) for each in objects if each["kind"] != "Namespace"]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Each workload's name and its pods' template."""
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield each["metadata"]["name"], each["spec"]["template"]


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Of a label selector, as Kubernetes reads it; an empty one takes everything."""
    wanted = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", ())
    assert all(each["operator"] == "In" for each in expressions), "no other is used"
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def lets(objects: list[Object], source: Mapping[str, str], target: Mapping[str, str], port: int) -> bool:
    """Whether the policies let pods with the one's labels connect to the other's, in the same namespace."""
    return any(
        _port(rule, port) and _peer(rule.get("to"), target) for rule in _rules(objects, "egress", source)
    ) and any(
        _port(rule, port) and _peer(rule.get("from"), source) for rule in _rules(objects, "ingress", target)
    )


def lets_out(objects: list[Object], source: Mapping[str, str], port: int) -> bool:
    """Whether they let them connect to some address outside of the namespace."""
    return any(
        _port(rule, port) and ("to" not in rule or any("ipBlock" in peer for peer in rule["to"]))
        for rule in _rules(objects, "egress", source)
    )


def _peer(peers: list[Mapping[str, Any]] | None, pod: Mapping[str, str]) -> bool:
    """Whether a pod is among them; everybody is where none are named."""
    return peers is None or any("podSelector" in peer and selects(peer["podSelector"], pod) for peer in peers)


def _rules(objects: list[Object], way: str, pod: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Of the policies that select the pod; where there is none, everything is let through."""
    found = [
        each["spec"]
        for each in objects
        if each["kind"] == "NetworkPolicy"
        and way.capitalize() in each["spec"]["policyTypes"]
        and selects(each["spec"]["podSelector"], pod)
    ]
    if not found:
        yield {}
    for policy in found:
        yield from policy.get(way, ())


def _port(rule: Mapping[str, Any], port: int) -> bool:
    return "ports" not in rule or any(each["port"] == port for each in rule["ports"])


def written(objects: list[Object], path: Path) -> Path:
    """As one file."""
    path.write_text(yaml.safe_dump_all(objects))
    return path
