"""Which master key seals, agreed on in the database.

Expand only: the version before does not know the table, and seals under the first key of its own settings.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "sealing_keys",
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("master_key", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", name="sealing_keys_pk"),
    )
