"""Under which keys pauses, ends and resumptions were asked for."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.create_table(
        "asked_once",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("verb", sa.Text, nullable=False),
        sa.Column("request_id", sa.Integer),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", "key", "verb", name="pk_asked_once"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.sweep_id"], name="fk_asked_once_sweeps"),
        sa.ForeignKeyConstraint(["request_id"], ["requests.request_id"], name="fk_asked_once_requests"),
    )
