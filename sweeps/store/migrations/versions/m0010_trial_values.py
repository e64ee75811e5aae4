"""Each trial's newest values by name, to find trials in the order of any metric; and their rung."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_FILL = {
    "sqlite": "SELECT t.sweep_id, t.number, e.key, CAST(e.value AS DOUBLE)"
    " FROM trials t, json_each(t.metrics) e WHERE e.value IS NOT NULL",
    "postgresql": "SELECT t.sweep_id, t.number, e.key, CAST(e.value AS DOUBLE PRECISION)"
    " FROM trials t, json_each_text(CAST(t.metrics AS json)) e WHERE e.value IS NOT NULL",
}


def upgrade() -> None:
    """To this step."""
    op.create_table(
        "trial_values",
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", "number", "name", name="pk_trial_values"),
        sa.ForeignKeyConstraint(
            ["sweep_id", "number"], ["trials.sweep_id", "trials.number"], name="fk_trial_values_trials"
        ),
    )
    op.add_column("trials", sa.Column("measured_iteration", sa.Integer, nullable=False, server_default="0"))
    op.execute(
        "UPDATE trials SET measured_iteration = COALESCE((SELECT MAX(m.iteration) FROM measurements m"
        " WHERE m.sweep_id = trials.sweep_id AND m.number = trials.number), 0)"
    )
    fill = _FILL[op.get_bind().dialect.name]
    op.execute(f"INSERT INTO trial_values (sweep_id, number, name, value) {fill}")
    op.create_index(
        "ix_trial_values_sweep_id_name_value_number", "trial_values", ["sweep_id", "name", "value", "number"]
    )
    op.create_index("ix_trials_sweep_id_replicate_of_state", "trials", ["sweep_id", "replicate_of", "state"])
