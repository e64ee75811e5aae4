"""Sweeps that a service runs: who submitted them, and how their drivers' processes stand."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.create_table(
        "submissions",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("submitted_by", sa.Text, nullable=False),
        sa.Column("submitted_at", sa.Double, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("weight", sa.Double, nullable=False, server_default="1"),
        sa.Column("launcher", sa.Text),
        sa.Column("held_by", sa.Text),
        sa.Column("share_from", sa.Double),
        sa.Column("note", sa.Text),
        sa.PrimaryKeyConstraint("sweep_id", name="pk_submissions"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.sweep_id"], name="fk_submissions_sweeps"),
    )
    op.create_table(
        "launches",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("handle", sa.Text),
        sa.Column("launched_at", sa.Double),
        sa.Column("confirmed_at", sa.Double),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("retry_at", sa.Double),
        sa.Column("stopped_at", sa.Double),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("sweep_id", name="pk_launches"),
        sa.ForeignKeyConstraint(["sweep_id"], ["submissions.sweep_id"], name="fk_launches_submissions"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
