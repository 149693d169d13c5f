"""An erasure on record: its beginning, how far it is, its receipt."""

from __future__ import annotations

import hmac
import secrets
import time
from typing import Literal

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import events
from pywhatsweb.contracts import law_data as ld
from pywhatsweb_fleet.persistence import sweeping
from pywhatsweb_fleet.persistence.person import GONE, Person, resolve, subject_digest
from pywhatsweb_fleet.persistence.queries import Asker
from pywhatsweb_fleet.storage import audit, law, optouts, people
from pywhatsweb_fleet.storage.law import Job, Receipt


class Work(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far an erasure has come. In phase ``scour`` nothing of it names the person any more."""

    phase: Literal["erase", "scour"] = "erase"
    person: Person | None = None
    cut: int = 0
    """The events stream's last sequence when the work began."""
    counts: dict[str, int] = {}
    residue: list[str] = []
    address: str | None = None
    correlation_id: str | None = None


read_work = msgspec.json.Decoder(Work).decode
to_json = msgspec.json.Encoder(order="sorted").encode


def begin(conn: Connection, who: Asker, args: ld.DataErase, at: str) -> Job:
    person = resolve(conn, who, args.phone_number)
    subject = subject_digest(who, person)
    reason = _nameless(conn, who.id, person, args.reason)
    work = Work(person=person, address=args.address, correlation_id=args.correlation_id)
    now = time.time_ns() // 1_000_000
    wanted = Job(
        who.id, "era_" + secrets.token_hex(12), subject, args.actor, reason, now, to_json(work).decode()
    )
    job = law.begin_erasure(conn, wanted)
    optouts.spread(conn, who.id, person.keys)
    if job.erasure_id == wanted.erasure_id:
        entry = audit.Entry(
            who.id, now, args.actor, "data.erase_requested", subject, reason, args.address, args.correlation_id,
            to_json({"id": job.erasure_id, "at": at}).decode(),
        )  # fmt: skip
        audit.append(conn, entry)
    return job


def _nameless(conn: Connection, tenant: str, person: Person, words: str) -> str:
    """What the asker wrote, without the person's addresses and the names that they are known by."""
    words = person.out_of(words)
    known = [people.get(conn, tenant, pn=pn) for pn in person.pns]
    known += [people.get(conn, tenant, lid=lid) for lid in person.lids]
    for one in known:
        if one is not None and one.name and len(one.name) > 1:
            words = words.replace(one.name, GONE)
    return words


def look(conn: Connection, tenant: str, erasure_id: str) -> tuple[Job | None, Receipt | None]:
    return law.erasure_job(conn, tenant, erasure_id), law.receipt(conn, tenant, erasure_id)


def so_far(job: Job, work: Work) -> ld.ErasureReceipt:
    return ld.ErasureReceipt(
        id=job.erasure_id,
        state="running",
        subject=job.subject,
        requested_at=events.timestamp(job.requested_at),
        actor=job.actor,
        reason=job.reason,
        counts=work.counts,
        residue=work.residue,
    )


def finish(conn: Connection, job: Job, work: Work, key: bytes) -> None:
    """The receipt and its entry in the trail, once."""
    now = time.time_ns() // 1_000_000
    receipt = msgspec.structs.replace(
        so_far(job, work), state="done", erased_at=events.timestamp(now), kept=dict(sweeping.KEPT)
    )
    receipt = msgspec.structs.replace(receipt, signature=sign(receipt, key))
    row = Receipt(
        job.tenant, job.erasure_id, job.subject, job.actor, job.reason, to_json(receipt).decode(), now
    )
    if law.end_erasure(conn, row):
        detail = to_json(
            {"id": job.erasure_id, "counts": work.counts, "signature": receipt.signature}
        ).decode()
        entry = audit.Entry(
            job.tenant, now, job.actor, "data.erase", job.subject, job.reason, work.address, work.correlation_id,
            detail,
        )  # fmt: skip
        audit.append(conn, entry)


def sign(receipt: ld.ErasureReceipt, key: bytes) -> str:
    """HMAC-SHA256 under the tenant's key over the receipt as sorted JSON without its signature."""
    return hmac.digest(key, to_json(msgspec.structs.replace(receipt, signature=None)), "sha256").hex()
