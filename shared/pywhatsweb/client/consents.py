"""``consent.*``: who agreed to what, who opted out, and the words that do it."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import consent_data as cs
from pywhatsweb.contracts import control_data as d


class Consents(Part):
    """Whom a tenant may write to. People are named by `to` (a number or ``lid:…``) or by `chat`, a key."""

    async def opt_out(
        self,
        to: str | None = None,
        *,
        chat: str | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> cs.ContactConsents:
        """They are not written to any more, by none of the tenant's sessions."""
        args = cs.OptChange(to=to, chat=chat, reason=reason, by=by)
        return await self._ask("contact.opt_out", args, cs.ContactConsents)

    async def opt_in(
        self,
        to: str | None = None,
        *,
        chat: str | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> cs.ContactConsents:
        """They asked to be written to again."""
        args = cs.OptChange(to=to, chat=chat, reason=reason, by=by)
        return await self._ask("contact.opt_in", args, cs.ContactConsents)

    async def record(
        self,
        to: str | None = None,
        *,
        purpose: str,
        source: str,
        chat: str | None = None,
        text: str | None = None,
        at: datetime | None = None,
        by: str | None = None,
    ) -> cs.ContactConsents:
        """Keeps what they agreed to (`text`), where (`source`) and when (`at`, aware; now by default)."""
        args = cs.ConsentRecord(to=to, chat=chat, purpose=purpose, source=source, text=text, at=at, by=by)
        return await self._ask("consent.record", args, cs.ContactConsents)

    async def withdraw(
        self,
        to: str | None = None,
        *,
        purpose: str,
        chat: str | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> cs.ContactConsents:
        """RequestError(E_CONSENT_MISSING) when none stands."""
        args = cs.ConsentWithdraw(to=to, chat=chat, purpose=purpose, reason=reason, by=by)
        return await self._ask("consent.withdraw", args, cs.ContactConsents)

    async def get(self, to: str | None = None, *, chat: str | None = None) -> cs.ContactConsents:
        return await self._ask("consent.get", cs.PersonArgs(to=to, chat=chat), cs.ContactConsents)

    async def check(
        self, numbers: Sequence[str], *, purpose: str | None = None
    ) -> builtins.list[cs.CheckedConsent]:
        """Up to 500 people, in their order: who opted out, and since when they agree to `purpose`."""
        args = cs.ConsentCheck(numbers=[*numbers], purpose=purpose)
        return (await self._ask("consent.check", args, cs.CheckedConsents)).people

    async def declare(
        self,
        campaign: str,
        people: int,
        *,
        purpose: str | None = None,
        basis: str | None = None,
        by: str | None = None,
    ) -> cs.Declared:
        """Notes in the audit trail that many are written to, and on which basis."""
        args = cs.CampaignDeclare(campaign=campaign, people=people, purpose=purpose, basis=basis, by=by)
        return await self._ask("consent.declare", args, cs.Declared)

    async def list(
        self, *, purpose: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> cs.Consents:
        args = cs.ConsentList(purpose=purpose, limit=limit, cursor=cursor)
        return await self._ask("consent.list", args, cs.Consents)

    async def opt_outs(self, *, limit: int = 50, cursor: str | None = None) -> cs.OptOuts:
        return await self._ask("consent.opt_outs", d.Page(limit=limit, cursor=cursor), cs.OptOuts)

    async def words(self) -> cs.WordsInfo:
        """The words that opt their sender out."""
        return await self._ask("consent.words", d.Nothing(), cs.WordsInfo)

    async def set_words(self, words: Sequence[str], *, by: str | None = None) -> cs.WordsInfo:
        """Replaces them; compared without case, accents and punctuation."""
        return await self._ask("consent.set_words", cs.WordsSet(words=[*words], by=by), cs.WordsInfo)
