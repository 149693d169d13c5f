"""What each service may do at the broker: users of the platform's account with the least rights that their work needs.

This table is the source of the one in docs/SECURITY.md (a test holds them together). Two things bound how narrow it can
be. A wildcard stands for a whole token, and a tenant's streams are one token each (``WA_OUT_acme``), so rights on
streams are by *verb* (read, purge, pull from a durable of one name), with the buckets that hold secrets taken out by
name. And a request's reply subject is a publication that the broker makes itself; between services, which are ours,
that is accepted: the border between tenants does not rest on permissions (docs/adr/0008).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pywhatsweb.contracts import streams, subjects

_API: Final = "$JS.API."
_KV: Final = "$KV."
_SECRET_BUCKETS: Final = ("WA_KEYS",)
"""Hashes of API keys and what signs tickets: the gateway's, and of who makes tenants."""

READ: Final = (f"{_API}STREAM.INFO.*", f"{_API}STREAM.MSG.GET.*", f"{_API}DIRECT.GET.*")
PROVISION: Final = (f"{_API}STREAM.CREATE.*", f"{_API}STREAM.UPDATE.*")


class Rights(NamedTuple):
    """Subjects that a user may publish to and subscribe to; ``why`` in a few words, for the table."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    why: str
    secrets: bool = False
    """Whether it may touch the buckets that hold secrets."""

    @property
    def denied(self) -> tuple[str, ...]:
        """What wildcards among `publish` would else allow."""
        if self.secrets:
            return ()
        calls = ("STREAM.MSG.GET", "DIRECT.GET", "STREAM.PURGE", "STREAM.UPDATE", "STREAM.CREATE",
                 "STREAM.DELETE", "STREAM.MSG.DELETE",
                 "CONSUMER.LIST")  # fmt: skip
        return tuple(f"{_API}{call}.KV_{bucket}" for bucket in _SECRET_BUCKETS for call in calls) + tuple(
            f"{_API}CONSUMER.{call}.KV_{bucket}.>"
            for bucket in _SECRET_BUCKETS
            for call in ("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT")
        )


def _bucket(name: str) -> str:
    return f"{_KV}{name}.>"


def _durable(name: str) -> tuple[str, ...]:
    """Making, pulling from and acknowledging the durables of one name, of every tenant."""
    return (
        f"{_API}CONSUMER.INFO.*.{name}",
        f"{_API}CONSUMER.DURABLE.CREATE.*.{name}",
        f"{_API}CONSUMER.MSG.NEXT.*.{name}",
        f"$JS.ACK.*.{name}.>",
    )


_TENANTS, _SESSIONS, _WORKERS = (
    _bucket(name) for name in (streams.TENANTS_BUCKET, streams.SESSIONS_BUCKET, streams.WORKERS_BUCKET)
)
_ANSWERS: Final = ("$SRV.>", f"{subjects.ALL_CONTROL}.>")
"""A micro service: its own questions, and control requests."""

SERVICES: Final[dict[str, Rights]] = {
    "dispatcher": Rights(
        publish=(
            *READ,
            *PROVISION,
            *_durable(streams.DISPATCHER),
            f"{_API}STREAM.PURGE.*",
            f"{_API}CONSUMER.UNPIN.*.{streams.DISPATCHER}",
            # The durables that tenants ask for (consumer.*).
            f"{_API}CONSUMER.INFO.*.*",
            f"{_API}CONSUMER.LIST.*",
            f"{_API}CONSUMER.CREATE.*.*",
            f"{_API}CONSUMER.DELETE.*.*",
            "$SRV.PING.>",
            "wai.evt.>",
            "wa.out.>",
            "wa.sch.>",
            "wa.dlq.>",
            # Which alerts of a tenant stand.
            f"wai.now.*.{subjects.NO_SESSION}",
            # What live sessions are asked.
            "wa.ask.>",
            # Dead letters that are put back (deadletter.redrive).
            "wa.cmd.>",
            _SESSIONS,
        ),
        subscribe=(*_ANSWERS, subjects.ALL_NOW, _TENANTS, _SESSIONS),
        why="takes commands, queues them, answers session.*, message.*, consumer.*, deadletter.*, health.*, live ones",
    ),
    "session_worker": Rights(
        publish=(
            *READ,
            *PROVISION,
            f"{_API}STREAM.PURGE.*",
            "wai.evt.>",
            "wai.own.>",
            "wai.now.>",
            "wa.dlq.>",
            _SESSIONS,
            _WORKERS,
        ),
        subscribe=(
            "wa.wake.>",
            "wa.own.>",
            "wa.ask.>",
            _TENANTS,
            _SESSIONS,
            _WORKERS,
        ),
        why="owns sessions: drains their queues, publishes their events, answers what they are asked",
    ),
    "persistence": Rights(
        publish=(
            *READ,
            *PROVISION,
            *_durable("persistence"),
            f"{_API}STREAM.PURGE.*",
            # Erasure: a message overwritten, how far readers are, and padding that makes blocks be rewritten.
            f"{_API}STREAM.MSG.DELETE.*",
            f"{_API}CONSUMER.INFO.*.*",
            "wa.pad.>",
            "wai.pad.>",
            "wa.dlq.>",
            "wai.evt.>",
            _bucket("WA_AUDIT"),
        ),
        subscribe=(*_ANSWERS, _TENANTS),
        why="writes the record, answers chat.*, contact.*, data.*, audit.*; purges what a person's erasure covers",
    ),
    "kanban": Rights(
        # Commands: what a policy's rules send.
        publish=(*READ, *PROVISION, "wai.evt.>", "wa.dlq.>", "wa.cmd.>"),
        subscribe=(*_ANSWERS, "wa.evt.>", _TENANTS),
        why="keeps the board by reading events, publishes its own, sends by rules; answers chat.*, attendant.*, …",
    ),
    "webhooks": Rights(
        publish=(*READ, *PROVISION, *_durable("webhooks"), "wa.dlq.>", "wai.evt.>"),
        subscribe=(*_ANSWERS, "wa.evt.>", _TENANTS),
        why="pulls events and posts them to the tenants' endpoints",
    ),
    "gateway": Rights(
        publish=(
            *READ,
            *PROVISION,
            *_durable("gateway"),
            "wa.cmd.>",
            f"{subjects.ALL_CONTROL}.>",
            _bucket("WA_KEYS"),
            _bucket("WA_RATES"),
        ),
        subscribe=("wa.evt.>", _TENANTS, _bucket("WA_KEYS"), _bucket("WA_RATES")),
        why="HTTP: publishes commands, asks, follows events; keeps API keys",
        secrets=True,
    ),
    "tenancy": Rights(
        publish=(
            *READ,
            *PROVISION,
            f"{_API}STREAM.DELETE.*",
            f"{_API}STREAM.PURGE.*",
            f"{_API}CONSUMER.INFO.*.*",
            f"{_API}CONSUMER.DURABLE.CREATE.*.*",
            _TENANTS,
            _SESSIONS,
            _bucket("WA_KEYS"),
            _bucket("WA_ERASURES"),
        ),
        subscribe=(
            "$SRV.>",
            subjects.ALL_OPERATIONS,
            f"{subjects.ALL_CONTROL}.usage.>",
            f"{subjects.ALL_CONTROL}.tenant.probe",
            _TENANTS,
            _SESSIONS,
        ),
        why="makes, changes and erases tenants; answers the platform's tenant.* and everybody's usage.get",
        secrets=True,
    ),
}


def answers(service: str) -> tuple[str, ...]:
    """Where a service that is asked may answer: inboxes, whose names are random and which only their owners hear.

    nats-server's ``allow_responses`` would be narrower, but a reload of the configuration makes it forget which answers
    are owed: each tenant that comes or goes would cost somebody an answer.
    """
    if "wa.ask.>" in SERVICES[service].subscribe:
        return (own_inbox("dispatcher"),)
    if "$SRV.>" not in SERVICES[service].subscribe:
        return ()
    # _R_: where an account's request that crossed the border wants its answer.
    return ("_R_.>", "_INBOX.>", *(own_inbox(asker) for asker in SERVICES if asker != service))


def own_inbox(service: str) -> str:
    """What it may listen to for answers: no other service's."""
    return f"{subjects.inbox(service)}.>"
