"""The store's schema comes from its migrations alone, on SQLite and on a real PostgreSQL."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from sweeps.core.details import EvaluationDetails
from sweeps.core.errors import UserError
from sweeps.core.scopes import Scope
from sweeps.core.states import SweepState
from sweeps.core.stops import Limit
from sweeps.core.trial import Suggestion
from sweeps.records import Claim
from sweeps.service import SweepService
from sweeps.store import tables_night  # noqa: F401  (its tables are in `metadata`, too)
from sweeps.store.engine import open_engine
from sweeps.store.listing import Listing
from sweeps.store.migrations import HEAD, upgrade
from sweeps.store.tables import metadata, trial_values
from sweeps.store.tokens import Tokens
from sweeps.testing import COMPLETED, GOES_ON, make_report, make_spec, store_url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """An empty database."""
    name = re.sub(r"\W", "_", request.node.name)[:50].lower()
    return store_url(request.param, tmp_path, name)


@pytest.fixture
def run(tmp_path) -> Callable[[str, str], subprocess.Popen[str]]:
    """Starts Python on a text, with the store's URL as its argument."""

    def start(code: str, url: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(code), url]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


def test_the_migrations_end_where_the_tables_are(url):
    """Alembic finds no difference between an upgraded store and `tables.py`."""
    engine = open_engine(url)
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_named_in_the_code():
    """The quick look at a store's version compares it with the newest step there is."""
    assert ScriptDirectory.from_config(script()).get_current_head() == HEAD


def test_an_upgrade_of_a_current_store_changes_nothing_and_loads_no_alembic(url, run):
    """The second upgrade leaves the rows alone, and costs no import of Alembic."""
    engine = open_engine(url)
    upgrade(engine)
    made = SweepService(engine).create(make_spec(), fingerprint="sha", now=1.0)
    process = run(
        """
        import sys
        from sweeps.store.engine import open_engine
        from sweeps.store.migrations import upgrade
        upgrade(open_engine(sys.argv[1]))
        print("alembic" in sys.modules)
        """,
        url,
    )
    assert process.communicate()[0] == "False\n"
    assert SweepService(engine).sweep(made.sweep_id) == made
    engine.dispose()


def script() -> Config:
    """Where Alembic finds the steps."""
    config = Config()
    config.set_main_option("script_location", "sweeps.store:migrations")
    return config


def measure(service: SweepService, claim: Claim, iteration: int, outcome=GOES_ON, **more) -> None:
    """A rung of trial 0."""
    report = make_report(iteration=iteration, metrics={"segm/AP": iteration / 10}, **more)
    service.record(claim, report, outcome=outcome, sampler_attrs=None, now=10.0 + iteration)


def as_of(version: str, url: str, engine: sa.Engine, tmp_path: Path, claim_of: Callable) -> Claim:
    """Fills a store of an older schema with the rows of a new one, as far as it has their columns."""
    config = script()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    new = open_engine(store_url("sqlite", tmp_path, "new"))
    upgrade(new)
    claim = claim_of(SweepService(new))
    old = sa.MetaData()
    old.reflect(engine)
    with new.connect() as source, engine.begin() as target:
        for table in metadata.sorted_tables:
            there = old.tables.get(table.name)
            if there is None:
                continue
            columns = sa.text(f"SELECT * FROM {table.name}")
            rows = [
                {name: value for name, value in row.items() if name in there.c and name != "event_id"}
                for row in source.execute(columns).mappings()
            ]
            if rows:
                target.execute(sa.insert(there), rows)
    new.dispose()
    return claim


def test_a_store_of_the_first_schema_goes_on(url, tmp_path):
    """A sweep in the middle of a trial keeps every row, and takes details and replicates from then on."""
    engine = open_engine(url)

    def begun(service: SweepService) -> Claim:
        claim = service.claim(service.create(make_spec(), fingerprint="sha", now=1.0).sweep_id, 2.0)
        service.add_trial(claim, Suggestion(0, {"mask_head.num_conv": 4}, 5), {"mark": 1}, 3.0)
        measure(service, claim, 75)
        return claim

    claim = as_of("0001", url, engine, tmp_path, begun)
    service = SweepService(engine)
    upgrade(engine)
    (trial,) = service.trials(claim.sweep_id)
    assert (trial.params, trial.sampler_attrs) == ({"mask_head.num_conv": 4}, {"mark": 1})
    assert (trial.iteration, trial.metrics, trial.second_try) == (75, {"segm/AP": 7.5}, None)
    assert trial.replicate_of is None
    assert [m.iteration for m in service.measurements(claim.sweep_id)] == [75]
    assert [(a.attempt, a.gpus) for a in service.attempts(claim.sweep_id)] == [(1, None)]
    assert service.gpu_s(claim.sweep_id, unnoted=0.5) == 0.5
    assert service.sweep(claim.sweep_id).epoch == 1
    assert service.details(claim.sweep_id, 0) == {}
    service.add_trial(claim, Suggestion(100_000, {}, 6), {}, 9.0, replicate_of=0)
    assert service.trials(claim.sweep_id)[1].replicate_of == 0
    measure(service, claim, 300, COMPLETED, details=EvaluationDetails())
    assert service.details(claim.sweep_id, 0) == {300: EvaluationDetails()}
    engine.dispose()


def test_events_are_kept_where_their_table_is_made_anew(url, tmp_path):
    """For the service's own, which are of no sweep: ids, order and what refers to sweeps stay."""
    engine, made = open_engine(url), make_spec()

    def begun(service: SweepService) -> Claim:
        return service.claim(service.create(made, fingerprint="sha", now=1.0).sweep_id, 2.0)

    claim = as_of("0016", url, engine, tmp_path, begun)
    service = SweepService(engine)
    upgrade(engine)
    assert [each.kind for each in service.events(claim.sweep_id)] == ["sweep.created", "sweep.claimed"]
    service.beat(claim, 3.0)
    Tokens(engine).create("ann", Scope.ADMIN, by="bob", now=4.0)
    *_, last = Listing(engine).events(limit=9).items
    assert (last.kind, last.sweep_id, last.event_id) == ("token.created", None, 3)
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(sa.text("UPDATE events SET sweep_id = 'nobody'"))
    engine.dispose()


ENDS = {
    None: Limit.TRIALS,
    "wall time of 60 s used up": Limit.WALL,
    "8 GPU-hours used up": Limit.GPU_HOURS,
    "deadline passed": Limit.DEADLINE,
    "target reached: segm/AP 41": Limit.TARGET,
    "no improvement over 2 trials: the best is still trial 0": Limit.NO_IMPROVEMENT,
    "the space has no further combination": None,
}
"""Reasons of sweeps that ended before it was stored which limit did it, and that limit."""


def test_sweeps_that_ended_long_ago_can_be_extended(url, tmp_path):
    """Which limit ended each is read from its reason."""
    engine = open_engine(url)

    def ended(service: SweepService) -> Claim:
        for reason in ENDS:
            claim = service.claim(service.create(make_spec(), fingerprint="sha", now=1.0).sweep_id, 2.0)
            service.finish(claim, SweepState.COMPLETED, reason, 3.0)
        return claim

    as_of("0003", url, engine, tmp_path, ended)
    upgrade(engine)
    sweeps = SweepService(engine).sweeps()
    assert {sweep.reason: sweep.stopped_by for sweep in sweeps} == ENDS
    assert all((sweep.extension, sweep.budget) == (None, sweep.spec.budget) for sweep in sweeps)
    engine.dispose()


def test_values_of_an_older_store_are_found_by_name(url, tmp_path):
    """The newest values of each trial are copied to where lists look for them."""
    engine = open_engine(url)

    def measured(service: SweepService) -> Claim:
        claim = service.claim(service.create(make_spec(), fingerprint="sha", now=1.0).sweep_id, 2.0)
        for number in range(3):
            service.add_trial(claim, Suggestion(number, {}, 5), {}, 3.0)
        measure(service, claim, 75)
        measure(service, claim, 150)
        measure(service, claim, 75, number=2)
        return claim

    claim = as_of("0009", url, engine, tmp_path, measured)
    upgrade(engine)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(trial_values).order_by(trial_values.c.number)).all()
    sweep_id = claim.sweep_id
    assert rows == [(sweep_id, 0, "segm/AP", 15.0), (sweep_id, 2, "segm/AP", 7.5)]
    assert [trial.measured_iteration for trial in SweepService(engine).trials(sweep_id)] == [150, 0, 75]
    engine.dispose()


def test_processes_that_upgrade_at_once_wait_for_each_other(url, run):
    """Three processes open an empty store at the same moment; all of them can use it."""
    code = """
        import sys
        from sweeps.service import SweepService
        from sweeps.store.engine import open_engine
        from sweeps.store.migrations import upgrade
        engine = open_engine(sys.argv[1])
        upgrade(engine)
        print(SweepService(engine).sweeps())
        """
    processes = [run(code, url) for _ in range(3)]
    assert [process.communicate()[0] for process in processes] == ["[]\n"] * 3


def test_a_store_of_a_newer_program_is_refused(url):
    """A version that this program does not know is named, and nothing is changed."""
    engine = open_engine(url)
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match="at version 9999, and this program knows") as refused:
        upgrade(engine)
    assert refused.value.hint == "upgrade masksweep, or use another home"
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    """A store's path that holds something else is an error for people, not a traceback."""
    (tmp_path / "store.db").write_text("not a database, but long enough to look at" * 100)
    with pytest.raises(UserError, match="cannot be opened: file is not a database"):
        upgrade(open_engine(f"sqlite:///{tmp_path}/store.db"))


def test_a_failed_upgrade_leaves_an_empty_store(tmp_path: Path):
    """A step runs in one transaction: what it made before it failed is gone again."""
    engine = open_engine(f"sqlite:///{tmp_path}/store.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE curves (x INTEGER)"))  # in the way of the first step
    with pytest.raises(UserError, match="table curves already exists"):
        upgrade(engine)
    assert sa.inspect(engine).get_table_names() == ["curves"]
