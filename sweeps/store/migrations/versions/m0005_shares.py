"""Which share of a GPU an attempt held, and whether a trial must run alone."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.add_column("attempts", sa.Column("gpus", sa.Double))
    op.add_column("trials", sa.Column("second_try", sa.Text))
