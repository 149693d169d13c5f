"""The async client: commands in, outcomes and events out, and the control plane, over NATS.

    async with connect(url, user="demo", password="…") as fleet:
        handle = await fleet.session("s1").send_text("+5511999990001", "Olá!", id="order-1042")
        await handle.outcome("delivered")

`docs/CLIENT.md` is a reference by example.
"""

from pywhatsweb.client.bulk import Bulk, Campaign
from pywhatsweb.client.bulk_results import RowResult, write_report
from pywhatsweb.client.bulk_rows import Row, read_rows
from pywhatsweb.client.durables import DurableStream
from pywhatsweb.client.fleet import FleetClient, connect
from pywhatsweb.client.local import LocalFleet, connect_local, read_ready
from pywhatsweb.client.outcomes import Outcome
from pywhatsweb.client.sending import Handle, SessionClient
from pywhatsweb.client.streams import EventStream, Gap

__all__ = [
    "Bulk",
    "Campaign",
    "DurableStream",
    "EventStream",
    "FleetClient",
    "Gap",
    "Handle",
    "LocalFleet",
    "Outcome",
    "Row",
    "RowResult",
    "SessionClient",
    "connect",
    "connect_local",
    "read_ready",
    "read_rows",
    "write_report",
]
