"""Each trial's newest values by name, which lists are ordered by, on SQLite and on a real PostgreSQL."""

import re

import pytest
import sqlalchemy as sa

from sweeps.core.trial import Suggestion
from sweeps.store.listing import Listing
from sweeps.store.tables import trial_values, trials
from sweeps.store.totals import totals
from sweeps.testing import GOES_ON, make_report, make_spec

INDEX = "ix_trial_values_sweep_id_name_value_number"
NAMES = ("segm/AP", "bbox/AP", "latency/ms_per_image")
MANY = 2000


@pytest.fixture
def claim(service):
    """A sweep that runs trial 0."""
    claim = service.claim(service.create(make_spec(), fingerprint="", now=1.0).sweep_id, 2.0)
    service.add_trial(claim, Suggestion(0, {}, 5), {}, 3.0)
    return claim


def stored(engine, sweep_id) -> dict[str, float]:
    query = sa.select(trial_values.c.name, trial_values.c.value)
    with engine.connect() as connection:
        found = connection.execute(query.where(trial_values.c.sweep_id == sweep_id))
        return dict(found.all())


def test_values_are_those_of_the_last_measurement(engine, service, claim):
    """A new rung replaces all of them, a rung that comes again none; what is not finite is no value."""

    def record(iteration, metrics):
        report = make_report(iteration=iteration, metrics=metrics)
        service.record(claim, report, outcome=GOES_ON, sampler_attrs=None, now=4.0)
        assert stored(engine, claim.sweep_id) == service.trials(claim.sweep_id)[0].metrics

    record(75, {"segm/AP": 0.1 + 0.2, "bbox/AP": float("nan")})
    assert stored(engine, claim.sweep_id) == {"segm/AP": 0.1 + 0.2}
    record(75, {"segm/AP": 9.0})
    record(150, {"bbox/AP": 2.0, "segm/AP50": 1e-300})
    record(300, {})


@pytest.fixture
def plans(engine, claim):
    """The plans of the queries that a call makes, in a store whose sweep has many trials."""
    with engine.begin() as connection:
        trial = dict(connection.execute(sa.select(trials).where(*_of(trials, claim))).mappings().one())
        rows = [{**trial, "number": number} for number in range(1, MANY)]
        connection.execute(sa.insert(trials), rows)
        values = [
            {"sweep_id": claim.sweep_id, "number": number, "name": name, "value": number * 7.0 % 1000}
            for number in range(MANY)
            for name in NAMES
        ]
        connection.execute(sa.insert(trial_values), values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")

    def plans(call) -> list[str]:
        made = []

        def note(_connection, _cursor, statement, parameters, *_):
            if "FROM trial" in statement:
                made.append((statement, parameters))

        sa.event.listen(engine, "before_cursor_execute", note)
        call()
        sa.event.remove(engine, "before_cursor_execute", note)
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        with engine.connect() as connection:
            return [
                "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {text}", parameters))
                for text, parameters in made
            ]

    return plans


def _of(table, claim):
    return table.c.sweep_id == claim.sweep_id, table.c.number == 0


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("after", [None, (500.0, 100)])
def test_a_list_by_a_metric_reads_the_index(engine, claim, plans, descending, after):
    """One query, which begins at its place in the index and reads no trial that is not of the page."""
    listing = Listing(engine)

    def page():
        found = listing.trials(claim.sweep_id, limit=20, metric="segm/AP", descending=descending, after=after)
        values = [trial.number * 7.0 % 1000 for trial in found.items]
        assert len(values) == 20
        assert values == sorted(values, reverse=descending)

    (plan,) = plans(page)
    assert INDEX in plan
    if after is not None:
        assert re.search(r"value\s*[<>]", plan), plan
    assert not re.search(r"Seq Scan on trial|SCAN trial", plan), plan


def test_the_best_of_a_sweep_is_read_from_the_index(engine, claim, plans):
    """What Prometheus is told of a sweep needs none of its trials' documents."""
    found = plans(lambda: totals(engine, 10.0))
    best = [plan for plan in found if INDEX in plan]
    assert best
    (shown,) = [each for each in totals(engine, 10.0).shown if each.sweep.sweep_id == claim.sweep_id]
    assert shown.best == 999.0
