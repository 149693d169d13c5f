"""The dashboards' queries, and a real Prometheus to ask them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.compose import free_port
from tests.support.waiting import wait_until

DASHBOARDS = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"

QUIET = frozenset(
    (
        "Rejected, by code",
        "Errors, by code",
        "Links opened again, by reason",
        "Files that fail, by step and code",
        "Readers cut for being slow, by kind",
    )
)
"""Panels with nothing to show where nothing went wrong."""


class Query(NamedTuple):
    panel: str
    """With its dashboard's name in front."""
    expr: str
    quiet: bool
    """May have no data."""


def queries(**variables: str) -> list[Query]:
    """Of every panel of every dashboard, with the variables filled in."""
    found = []
    for path in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(path.read_text())
        assert {entry["name"] for entry in dashboard["templating"]["list"]} <= variables.keys()
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"]
                for name, value in variables.items():
                    expr = expr.replace(f"${name}", value)
                found.append(Query(f"{path.stem}: {panel['title']}", expr, panel["title"] in QUIET))
    assert len(found) > 40
    return found


class Prometheus:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """The series; a query that it refuses fails the test."""
        answer = (await self._client.get("/api/v1/query", params={"query": query})).json()
        assert answer["status"] == "success", (query, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def without_data(self, wanted: list[Query]) -> list[Query]:
        return [query for query in wanted if not await self.ask(query.expr) and not query.quiet]

    async def rules(self) -> list[dict[str, Any]]:
        groups = (await self._client.get("/api/v1/rules")).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextlib.asynccontextmanager
async def asking(url: str) -> AsyncIterator[Prometheus]:
    """One that runs."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield Prometheus(client)


@contextlib.asynccontextmanager
async def prometheus(directory: Path, targets: Mapping[str, str], rules: Path) -> AsyncIterator[Prometheus]:
    """A process that scrapes ``targets`` (job → host:port) every 3 s; skips the test where there is none."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    config = directory / "prometheus.yml"
    scraped = [{"job_name": job, "static_configs": [{"targets": [at]}]} for job, at in targets.items()]
    intervals = {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "3s"}
    config.write_text(
        json.dumps({"global": intervals, "rule_files": [str(rules)], "scrape_configs": scraped})
    )
    address = f"127.0.0.1:{free_port()}"
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
                program, f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address={address}",
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        async with asking(f"http://{address}") as asked:

            async def scrapes() -> bool:
                try:
                    return len(await asked.ask("up == 1")) == len(targets)
                except (httpx.HTTPError, ValueError):
                    return False

            await wait_until(scrapes, 60, interval=0.2, message="Prometheus scrapes every target")
            yield asked
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
