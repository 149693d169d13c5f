"""Labels as users reach them at the command line; what they are at WhatsApp, `kinds.own` shows."""

from __future__ import annotations

import json

from pywhatsweb_fleet.cli import exits
from tests.e2e.kinds.stage import CONTACT, on_stage
from tests.support.running import Fleet, Plain, Sandbox


async def test_at_the_command_line(fleet: Fleet, program: Plain, whatsapp: Sandbox) -> None:
    """`pww label`: made, shown, put on a chat, renamed, taken off and deleted; what is not there fails."""
    stage = await on_stage(program, whatsapp, "baileys")
    session = ("--session", stage.session)
    code, out = await fleet.pww("label", "create", "Na fila", "--color", "7", *session, "--format", "json")
    assert code == 0, out
    label = json.loads(out)["label_id"]
    assert (await fleet.pww("label", "add", label, CONTACT, *session))[0] == 0
    await stage.heard("label", label_id=label, change="add", message_id=None)
    code, out = await fleet.pww("label", "change", label, "--name", "Atendido", *session)
    assert (code, "Atendido" in out) == (0, True), out
    code, out = await fleet.pww("label", "list", *session)
    assert (code, "Atendido" in out, "Na fila" in out) == (0, True, False), out
    assert (await fleet.pww("label", "remove", label, CONTACT, *session))[0] == 0
    await stage.heard("label", label_id=label, change="remove", message_id=None)
    assert (await fleet.pww("label", "delete", label, *session))[0] == 0
    assert (await fleet.pww("label", "add", label, CONTACT, *session))[0] == exits.FAILED
