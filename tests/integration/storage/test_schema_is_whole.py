"""Whoever goes over all tables goes over all of them, in a process that has imported nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect

from pywhatsweb_fleet.storage.store import open_store

SEES = """
import json
from {module} import metadata
print(json.dumps(sorted(metadata.tables)))
"""
LEAVES = """
import json
from pywhatsweb_fleet.storage import leaving
print(json.dumps(sorted(table.name for table in leaving.tables())))
"""
NOT_OURS = ("sqlite_", "alembic_version", "message_search")


def alone(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    found: list[str] = json.loads(done.stdout)
    return found


async def in_the_database(tmp_path: Path, *, of_tenants: bool) -> list[str]:
    """By the database's own catalogue."""

    def names(conn: Connection) -> list[str]:
        seen = inspect(conn)
        return sorted(
            name
            for name in seen.get_table_names()
            if not name.startswith(NOT_OURS)
            and (not of_tenants or "tenant" in {column["name"] for column in seen.get_columns(name)})
        )

    store = open_store(f"sqlite:///{tmp_path}/whole.db")
    try:
        await store.migrate()
        return await store.read(names)
    finally:
        await store.close()


async def test_a_tenant_leaves_from_every_table(tmp_path: Path) -> None:
    assert alone(LEAVES) == await in_the_database(tmp_path, of_tenants=True)


@pytest.mark.parametrize(
    "module",
    [
        "pywhatsweb_fleet.storage.copying",
        "pywhatsweb_fleet.storage.scouring",
        "pywhatsweb_fleet.storage.migrating",
        "pywhatsweb_fleet.persistence.sweeping",
    ],
)
async def test_each_sees_every_table(tmp_path: Path, module: str) -> None:
    assert alone(SEES.format(module=module)) == await in_the_database(tmp_path, of_tenants=False)
