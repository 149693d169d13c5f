"""Tables of what the law asks for: how long things are kept, what is being erased or exported, the audit's words."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text

from pywhatsweb_fleet.storage.tables import metadata

__all__ = ["metadata"]

duties = Table(
    "duties",
    metadata,
    Column("duty", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("held_until", BigInteger, nullable=False),
    PrimaryKeyConstraint("duty", name="duties_pk"),
)
"""Work that one replica at a time does, and who has it until when."""

retention = Table(
    "retention",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("days", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text),
    PrimaryKeyConstraint("tenant", "kind", name="retention_pk"),
)
"""Where a tenant departs from the usual periods (`retention.USUAL_DAYS`)."""

erasure_jobs = Table(
    "erasure_jobs",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("erasure_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("work", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "erasure_id", name="erasure_jobs_pk"),
    Index("erasure_jobs_subject", "tenant", "subject", unique=True),
)
"""Erasures under way. `work` is JSON and names the person: the row goes in the transaction that writes the receipt."""

exports = Table(
    "exports",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("export_id", Text, nullable=False),
    Column("subject", Text),
    Column("actor", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("work", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "export_id", name="exports_pk"),
    Index("exports_state", "state", "requested_at"),
)
"""Exports that wait, run, can be fetched or failed; `subject` is a digest, null for all of a tenant. `work` is JSON."""

audit_words = Table(
    "audit_words",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False, autoincrement=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "sequence", name="audit_words_pk"),
)
"""What people wrote as a reason. The trail itself holds a keyed digest of it, so that it can be erased."""

audit_bases = Table(
    "audit_bases",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("seal", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", name="audit_bases_pk"),
)
"""Where a tenant's trail begins since its oldest entries were past their period: the last one removed, sealed."""
