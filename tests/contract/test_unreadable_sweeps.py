"""Sweeps that cannot be read, as a newer version has written them: they are told apart, and hide no other."""

import time

import pytest
import sqlalchemy as sa

from sweeps.core.errors import UnreadableSweep
from sweeps.core.scopes import Scope
from sweeps.core.spec import spec_document
from sweeps.service import SweepService
from sweeps.store.engine import open_engine, reading, writing
from sweeps.store.listing import Listing
from sweeps.store.tables import sweeps
from sweeps.store.tokens import Tokens
from sweeps.testing import make_spec


@pytest.fixture
def three(engine) -> list[str]:
    """Sweeps, the oldest first; the second cannot be read."""
    service = SweepService(engine)
    made = [service.create(make_spec(), fingerprint="", now=now).sweep_id for now in (9e9, 9e9 + 1, 9e9 + 2)]
    second = sa.update(sweeps).where(sweeps.c.sweep_id == made[1])
    with writing(engine) as connection:
        connection.execute(second.values(spec='{"version": 9}'))
    yield made
    with writing(engine) as connection:  # other tests read all there are
        connection.execute(second.values(spec=spec_document(make_spec())))


def test_lists_pass_over_what_cannot_be_read(engine, three, caplog):
    """Pages lead on behind it, and the log has it once; asked for by its id it is told with what to do."""
    first, broken, last = three
    service, listing = SweepService(engine), Listing(engine)
    ids = [sweep.sweep_id for sweep in service.sweeps()]
    assert ids[:2] == [last, first]
    assert broken not in ids
    newest = listing.sweeps(limit=1)
    between = listing.sweeps(limit=1, after=newest.after)
    assert [sweep.sweep_id for sweep in newest.items] == [last]
    assert between.items == []
    assert listing.sweeps(limit=1, after=between.after).items[0].sweep_id == first
    assert len([each for each in caplog.messages if broken in each]) == 1
    with pytest.raises(UnreadableSweep, match=f"sweep {broken} cannot be read: ") as told:
        service.sweep(broken)
    assert "run that version" in told.value.hint


def fail_while_reading(engine) -> None:
    with reading(engine) as connection:
        found = connection.execute(sa.text("select * from tokens"))
        for row in found:
            raise ZeroDivisionError(row)


def test_what_is_cut_short_leaves_no_connection_with_an_old_snapshot(engine):
    """As long as a traceback holds the result that was not read to its end: the next one sees what is."""
    tokens, now = Tokens(engine), time.time()
    name = f"snapshot-{now}"
    text, _ = tokens.create(name, Scope.VIEWER, by="ann", now=now, expires_at=None)
    tokens.create(f"{name}-2", Scope.VIEWER, by="ann", now=now, expires_at=None)
    with pytest.raises(ZeroDivisionError) as kept:
        fail_while_reading(engine)
    other = open_engine(engine.url.render_as_string(hide_password=False))
    Tokens(other).revoke(name, by="ann", now=now)
    other.dispose()
    assert tokens.find(text, now) is None
    tokens.create(f"{name}-3", Scope.VIEWER, by="ann", now=now, expires_at=None)
    assert kept.tb is not None
