"""Which sweeps come back to the pool after a pause: their account stays, and gains nothing by it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """To this step."""
    op.add_column("submissions", sa.Column("rejoins", sa.Integer, nullable=False, server_default="0"))
