"""What is added to a budget, and which limit ended a sweep."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_REASONS = {
    "wall": "wall time of % used up",
    "gpu_hours": "% GPU-hours used up",
    "deadline": "deadline%passed",
    "target": "target reached: %",
    "no_improvement": "no improvement over %",
}
"""As they were written until now."""


def upgrade() -> None:
    """To this step."""
    op.add_column("sweeps", sa.Column("extension", sa.Text))
    op.add_column("sweeps", sa.Column("deadline_at", sa.Double))
    op.add_column("sweeps", sa.Column("stopped_by", sa.Text))
    op.add_column("requests", sa.Column("extension", sa.Text))
    op.add_column("requests", sa.Column("key", sa.Text))
    op.create_index("ix_requests_sweep_id_key", "requests", ["sweep_id", "key"], unique=True)
    sweeps = sa.table("sweeps", sa.column("state"), sa.column("reason"), sa.column("stopped_by"))
    for limit, reason in _REASONS.items():
        ended = sa.update(sweeps).where(sweeps.c.state == "COMPLETED", sweeps.c.reason.like(reason))
        op.execute(ended.values(stopped_by=limit))
    spent = sa.update(sweeps).where(sweeps.c.state == "COMPLETED", sweeps.c.reason.is_(None))
    op.execute(spent.values(stopped_by="trials"))
