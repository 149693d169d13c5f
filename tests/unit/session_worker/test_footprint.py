"""What a session worker does not carry around."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_RUN = """
import asyncio, sys
from pywhatsweb_fleet.session_worker import app
from pywhatsweb_fleet.storage.store import open_store

async def migrate():
    store = open_store("sqlite:///" + sys.argv[1])
    await store.migrate()
    await store.close()

asyncio.run(migrate())
print(*sorted({"alembic", "mako", "PIL", "qrcode", "phonenumbers"} & sys.modules.keys()))
"""


def test_a_worker_on_a_database_that_is_up_to_date_does_without(tmp_path: Path) -> None:
    """Migrations, pictures and phone numbers are imported by those who need them, when they do."""

    def imported() -> list[str]:
        command = [sys.executable, "-c", _RUN, str(tmp_path / "fleet.db")]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()

    assert imported() == ["alembic", "mako"], "the first one makes the schema"
    assert imported() == []


def test_no_service_carries_the_tables_of_carriers() -> None:
    """They are 45 MB, and only `get_phone_info` asks them."""
    services = ("dispatcher", "persistence", "kanban", "gateway", "webhooks", "tenancy")
    imports = ", ".join(f"pywhatsweb_fleet.{service}.app" for service in services)
    script = f"import sys, {imports}; print('phonenumbers.carrier' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=90
    )
    assert found.stdout.strip() == "False"
