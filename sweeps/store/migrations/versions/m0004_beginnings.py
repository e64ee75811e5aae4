"""What was true when a sweep was created, and what it took over from earlier ones."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.create_table(
        "beginnings",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("base", sa.Text),
        sa.Column("warm_summary", sa.Text),
        sa.Column("warm_trials", sa.Text),
        sa.PrimaryKeyConstraint("sweep_id", name="pk_beginnings"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.sweep_id"], name="fk_beginnings_sweeps"),
    )
