"""``consent.*``, ``contact.opt_out`` and ``contact.opt_in``: a transaction each, with its entry in the audit trail."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import consent_data as cs
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.event_data import Person
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.errors import ContractError, ErrorCode, RequestError
from pywhatsweb.phone import parse_recipient
from pywhatsweb_fleet.persistence.asking import Asker, from_cursor, to_cursor
from pywhatsweb_fleet.storage import audit, boards, consents, optouts
from pywhatsweb_fleet.storage.consents import ConsentRow
from pywhatsweb_fleet.storage.optouts import OptOut
from pywhatsweb_fleet.storage.people import address, names_of
from pywhatsweb_fleet.storage.store import Store

_to_json = msgspec.json.Encoder().encode
Act = Callable[[Connection, Asker, Any], Any]


class Consenting:
    """Over one store. All answers raise StorageUnavailable, and ContractError for somebody who cannot be meant."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answers(self) -> dict[str, Callable[[Asker, Any], Awaitable[Any]]]:
        writes: dict[str, Act] = {
            "contact.opt_out": _opt_out,
            "contact.opt_in": _opt_in,
            "consent.record": _record,
            "consent.withdraw": _withdraw,
            "consent.declare": _declare,
            "consent.set_words": _set_words,
        }
        reads: dict[str, Act] = {
            "consent.get": lambda conn, who, args: _told(conn, who, _meant(conn, who, args)),
            "consent.check": _check,
            "consent.list": _list,
            "consent.opt_outs": _opt_outs,
            "consent.words": lambda conn, who, _args: _words(conn, who),
        }
        return {
            **{verb: self._answer(self._store.transact, act) for verb, act in writes.items()},
            **{verb: self._answer(self._store.read, act) for verb, act in reads.items()},
        }

    @staticmethod
    def _answer(run: Callable[..., Awaitable[Any]], act: Act) -> Callable[[Asker, Any], Awaitable[Any]]:
        async def answer(who: Asker, args: Any) -> Any:
            return await run(act, who, args)

        return answer


class _Meant(NamedTuple):
    """A person: the keys of every chat that may be theirs, and the addresses that were named."""

    keys: tuple[str, ...]
    pn: str | None
    lid: str | None

    @property
    def key(self) -> str:
        return self.keys[0]


def _meant(conn: Connection, who: Asker, args: cs.PersonArgs) -> _Meant:
    """Raises ContractError (E_INVALID_PHONE, E_INVALID_RECIPIENT) or RequestError (E_CHAT_NOT_FOUND)."""
    if args.chat is None:
        recipient = parse_recipient(args.to or "", who.region)
        named: dict[str, str] = {recipient.kind: recipient.value}
    else:
        rows = boards.by_key(conn, who.id, args.chat)
        if not rows:
            raise RequestError(ErrorCode.E_CHAT_NOT_FOUND)
        named = {kind: value for kind, value in (("pn", rows[0].pn), ("lid", rows[0].lid)) if value}
    pn, lid = named.get("pn"), named.get("lid")
    addresses = {one for one in (address(pn, None), address(None, lid)) if one is not None}
    if not addresses:
        raise ContractError(ErrorCode.E_INVALID_RECIPIENT, {"reason": "a group is no person"})
    found = optouts.aliases(conn, who.id, who.key, addresses)
    return _Meant(tuple(sorted({key for several in found.values() for key in several})), pn, lid)


def _opt_out(conn: Connection, who: Asker, args: cs.OptChange) -> cs.ContactConsents:
    return _choose(conn, who, args, "out")


def _opt_in(conn: Connection, who: Asker, args: cs.OptChange) -> cs.ContactConsents:
    return _choose(conn, who, args, "in")


def _choose(conn: Connection, who: Asker, args: cs.OptChange, state: str) -> cs.ContactConsents:
    meant = _meant(conn, who, args)
    row = OptOut(who.id, meant.key, meant.key, state, _now(), "request", changed_by=args.by)
    # A word of this very second stands a little ahead of the clock: what is asked for after it counts all the same.
    if (last := optouts.latest(conn, who.id, meant.keys)) is not None:
        row = row._replace(at=max(row.at, min(last.at + 1, row.at + 1000)))
    if optouts.put(conn, row, meant.keys):
        _note(conn, who, f"contact.opt_{state}", meant.key, args.by, args.reason)
    return _told(conn, who, meant)


def _record(conn: Connection, who: Asker, args: cs.ConsentRecord) -> cs.ContactConsents:
    """E_INVALID_TIMESTAMP for a consent of the future."""
    meant, now = _meant(conn, who, args), _now()
    at = now if args.at is None else int(args.at.timestamp() * 1000)
    if not 0 <= at <= now + 60_000:
        raise ContractError(ErrorCode.E_INVALID_TIMESTAMP, {"path": "$.at"})
    known = consents.standing(conn, who.id, args.purpose, meant.keys)
    row = ConsentRow(
        who.id, args.purpose, next(iter(sorted(known)), meant.key), meant.pn, meant.lid, at, args.source, args.text,
        args.by,
    )  # fmt: skip
    consents.put(conn, row)
    _note(conn, who, "consent.record", meant.key, args.by, None, purpose=args.purpose, at=timestamp(at))
    return _told(conn, who, meant)


def _withdraw(conn: Connection, who: Asker, args: cs.ConsentWithdraw) -> cs.ContactConsents:
    """E_CONSENT_MISSING when none stands."""
    meant = _meant(conn, who, args)
    if not consents.withdraw(conn, who.id, meant.keys, args.purpose, _now(), args.by):
        raise RequestError(ErrorCode.E_CONSENT_MISSING)
    _note(conn, who, "consent.withdraw", meant.key, args.by, args.reason, purpose=args.purpose)
    return _told(conn, who, meant)


def _check(conn: Connection, who: Asker, args: cs.ConsentCheck) -> cs.CheckedConsents:
    recipients: dict[str, str | ContractError] = {}
    for number in args.numbers:
        try:
            found = parse_recipient(number, who.region)
            if found.kind == "group":
                raise ContractError(ErrorCode.E_INVALID_RECIPIENT)
            recipients[number] = f"{found.kind}:{found.value}"
        except ContractError as error:
            recipients[number] = error
    addresses = {one for one in recipients.values() if isinstance(one, str)}
    keys = optouts.aliases(conn, who.id, who.key, addresses)
    out = optouts.standing(conn, who.id, keys)
    every = {key for several in keys.values() for key in several}
    agreed = consents.standing(conn, who.id, args.purpose, every) if args.purpose is not None else {}

    def told(number: str, recipient: str | ContractError) -> cs.CheckedConsent:
        if isinstance(recipient, ContractError):
            return cs.CheckedConsent(number=number, error=recipient.code.wire)
        times = [agreed[key] for key in keys[recipient] if key in agreed]
        return cs.CheckedConsent(
            number=number,
            key=keys[recipient][0],
            pn=recipient[3:] if recipient.startswith("pn:") else None,
            opted_out=recipient in out,
            consented_at=timestamp(max(times)) if times else None,
        )

    return cs.CheckedConsents(people=[told(number, recipients[number]) for number in args.numbers])


def _declare(conn: Connection, who: Asker, args: cs.CampaignDeclare) -> cs.Declared:
    at = _now()
    _note(
        conn,
        who,
        "consent.declare",
        args.campaign,
        args.by,
        args.basis,
        purpose=args.purpose,
        people=args.people,
    )
    return cs.Declared(at=timestamp(at))


def _list(conn: Connection, who: Asker, args: cs.ConsentList) -> cs.Consents:
    place = from_cursor(args.cursor, consents.Place) or consents.Place("", "")
    rows = consents.page(conn, who.id, args.purpose, place, args.limit)
    cursor = to_cursor((rows[-1].purpose, rows[-1].chat)) if len(rows) == args.limit else None
    return cs.Consents(consents=[_consent(row) for row in rows], cursor=cursor)


def _opt_outs(conn: Connection, who: Asker, args: d.Page) -> cs.OptOuts:
    rows = optouts.page(conn, who.id, from_cursor(args.cursor, str) or "", args.limit)
    cursor = to_cursor(rows[-1].chat) if len(rows) == args.limit else None
    known = optouts.addresses(conn, who.id, [row.person for row in rows])
    found = {one for pn, lid in known.values() for one in (address(pn, None), address(None, lid)) if one}
    names = names_of(conn, who.id, sorted(found))

    def person(row: OptOut) -> Person:
        pn, lid = known.get(row.person, (None, None))
        return Person(pn=pn, lid=lid, name=names.get(f"lid:{lid}") or names.get(f"pn:{pn}"))

    told = [msgspec.structs.replace(_opted_out(row), person=person(row)) for row in rows]
    return cs.OptOuts(opt_outs=told, cursor=cursor)


def _words(conn: Connection, who: Asker) -> cs.WordsInfo:
    own = optouts.words_of(conn, who.id)
    return cs.WordsInfo(words=list(cs.USUAL_WORDS) if own is None else own, usual=own is None)


def _set_words(conn: Connection, who: Asker, args: cs.WordsSet) -> cs.WordsInfo:
    words = list(dict.fromkeys(cs.normalise(word) for word in args.words))
    optouts.set_words(conn, who.id, words, _now(), args.by)
    _note(conn, who, "consent.set_words", None, args.by, None, words=words)
    return _words(conn, who)


def _told(conn: Connection, who: Asker, meant: _Meant) -> cs.ContactConsents:
    out = optouts.find(conn, who.id, meant.keys)
    rows = consents.find(conn, who.id, meant.keys)
    return cs.ContactConsents(
        key=meant.key,
        opt_out=_opted_out(out) if out is not None else None,
        consents=[_consent(row) for row in rows],
    )


def _opted_out(row: OptOut) -> cs.OptOut:
    return cs.OptOut(
        key=row.person, at=timestamp(row.at), source=row.source, word=row.word,  # type: ignore[arg-type]
        session_id=row.session, by=row.changed_by,
    )  # fmt: skip


def _consent(row: ConsentRow) -> cs.Consent:
    return cs.Consent(
        key=row.chat, purpose=row.purpose, source=row.source, text=row.text, at=timestamp(row.at),
        by=row.recorded_by, withdrawn_at=timestamp(row.withdrawn_at) if row.withdrawn_at else None,
        withdrawn_by=row.withdrawn_by, person=Person(pn=row.pn, lid=row.lid),
    )  # fmt: skip


def _note(  # noqa: PLR0917 - called here alone
    conn: Connection, who: Asker, what: str, key: str | None, by: str | None, why: str | None, **detail: Any
) -> None:
    told = _to_json(detail).decode()
    audit.append(conn, audit.Entry(who.id, _now(), by or "tenant", what, key, why, detail=told))


def _now() -> int:
    return time.time_ns() // 1_000_000
