"""Which trial a trial runs again with another seed, and why a search ended early."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.add_column("trials", sa.Column("replicate_of", sa.Integer))
    op.add_column("sweeps", sa.Column("search_ended", sa.Text))
