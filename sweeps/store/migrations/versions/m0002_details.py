"""What an evaluation tells beyond its metrics."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.create_table(
        "details",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("iteration", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", "number", "iteration", name="pk_details"),
        sa.ForeignKeyConstraint(
            ["sweep_id", "number", "iteration"],
            ["measurements.sweep_id", "measurements.number", "measurements.iteration"],
            name="fk_details_measurements",
        ),
    )
