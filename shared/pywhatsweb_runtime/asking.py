"""A question to the owner of a session: core request/reply on ``wa.ask.<tenant>.<session>``.

Only the owner listens there, so a session that nobody owns is known at once (`NobodyAnswers`); and a worker that lost
it stays silent (docs/adr/0019). An answer has the envelope of the control plane; its data is the engine's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pywhatsweb.contracts import control, subjects
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb_runtime.bus import Bus


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``verb``, ``to`` and ``content`` are those of an engine's action; the owner has ``budget_ms`` from its arrival.

    ``acts``: it changes something, so that without an answer of WhatsApp's its outcome is unknown.
    """

    verb: str
    content: dict[str, Any] = {}
    to: dict[str, str] | None = None
    """One of pn, lid and group."""
    budget_ms: int
    acts: bool = False


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Ask).decode


async def ask_owner(bus: Bus, tenant: TenantId, session: SessionId, question: Ask, grace_s: float) -> Any:
    """The engine's data.

    Raises RequestError with the owner's code, NobodyAnswers when it certainly reached nobody, or BrokerUnavailable when
    no answer came within the budget and ``grace_s``.
    """
    answer = await bus.request(
        subjects.ask(tenant, session), _encode(question), deadline=question.budget_ms / 1000 + grace_s
    )
    return control.read_reply(answer.data, Any)
