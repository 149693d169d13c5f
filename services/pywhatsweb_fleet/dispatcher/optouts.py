"""Whom commands must not reach: those who opted out, looked at in the transaction that claims a command, and again when
a scheduled one has become due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pywhatsweb_fleet.dispatcher.reading import Job
from pywhatsweb_fleet.storage.optouts import Wish

_WRITES: Final = frozenset(("send", "forward"))


def wishes(jobs: Sequence[Job]) -> dict[int, Wish]:
    """Whom the jobs that are not refused would write to, by their places; groups are nobody's to opt out of."""
    return {
        place: Wish(job.recipient, job.session, job.marketing)
        for place, job in enumerate(jobs)
        if job.refusal is None and job.verb in _WRITES and job.recipient.startswith(("pn:", "lid:"))
    }
