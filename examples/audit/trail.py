"""Writes a tenant's audit trail as CSV, oldest first, after the fleet has proven that nobody changed it.

    python examples/audit/trail.py demo > trail.csv

Exit code 1, and where the chain breaks on stderr, when somebody did.
"""

import asyncio
import csv
import sys

from pywhatsweb import FleetClient, connect_local
from pywhatsweb.contracts.law_data import AuditEntry

COLUMNS = ("at", "actor", "action", "target", "reason", "address", "hash")


async def entries(fleet: FleetClient) -> list[AuditEntry]:
    """All of them: pages come newest first."""
    found: list[AuditEntry] = []
    cursor = None
    while True:
        page = await fleet.audit.list(limit=100, cursor=cursor)
        found += page.entries
        if (cursor := page.cursor) is None:
            return found[::-1]


async def main(tenant: str = "demo") -> int:
    async with connect_local(tenant) as fleet:
        verdict = await fleet.audit.verify()
        if not verdict.ok:
            print(f"The trail is {verdict.reason} at entry {verdict.flaw}.", file=sys.stderr)
            return 1
        writer = csv.writer(sys.stdout)
        writer.writerow(COLUMNS)
        writer.writerows([getattr(entry, column) for column in COLUMNS] for entry in await entries(fleet))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:2])))
