"""Words that opt their sender out, as they are recorded: exact, and again without a trace."""

from __future__ import annotations

import time
from typing import Final

import msgspec
from sqlalchemy import Connection

from pywhatsweb_fleet.persistence.rows import Heard, Rows
from pywhatsweb_fleet.storage import audit, optouts
from pywhatsweb_fleet.storage.optouts import OptOut
from pywhatsweb_fleet.storage.people import address

_SECOND_MS: Final = 1000
_to_json = msgspec.json.Encoder().encode


def heed(conn: Connection, rows: Rows) -> None:
    """Opts those out who wrote one of their tenant's words and nothing else; on record in the audit trail."""
    words = {tenant: optouts.words_that_count(conn, tenant) for tenant in sorted(rows.keys)}
    for heard in rows.heard:
        if heard.text in words[heard.tenant]:
            _opt_out(conn, rows, heard)


def _opt_out(conn: Connection, rows: Rows, heard: Heard) -> None:
    addresses = {one for one in (address(heard.pn, None), address(None, heard.lid)) if one is not None}
    found = optouts.aliases(conn, heard.tenant, rows.keys[heard.tenant], addresses)
    keys = sorted({key for several in found.values() for key in several})
    if not keys:
        return
    # WhatsApp tells whole seconds: what else happened in this one came before the word, as far as anybody can say.
    at = heard.sent_at // _SECOND_MS * _SECOND_MS + _SECOND_MS - 1
    row = OptOut(heard.tenant, keys[0], keys[0], "out", at, "word", heard.text, heard.session)
    if optouts.put(conn, row, keys):
        detail = _to_json({"source": "word", "word": heard.text, "session": heard.session}).decode()
        now = time.time_ns() // 1_000_000
        audit.append(
            conn, audit.Entry(heard.tenant, now, "contact", "contact.opt_out", keys[0], detail=detail)
        )
