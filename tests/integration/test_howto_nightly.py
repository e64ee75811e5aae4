"""`docs/howto/nightly.md`, as a new user follows it: block by block, in terminals."""

import json
from collections.abc import Iterator

import pytest

from sweeps.tracking.testing import free_port
from tests.integration.terminals import ROOT, Terminals
from tests.waiting import until

pytestmark = pytest.mark.slow  # a service with a driver for each night, which come every minute

PATIENCE_S = 420.0
PAGE = (ROOT / "docs" / "howto" / "nightly.md").read_text()


def states(terminals) -> list[str]:
    return [sweep["state"] for sweep in json.loads(terminals.run("masksweep ls --json"))["sweeps"]]


@pytest.fixture
def terminals(tmp_path) -> Iterator[Terminals]:
    page = PAGE.replace("8799", str(free_port())).replace("*/2 * * * *", "* * * * *")
    page = page.replace("masksweep serve\n", f"masksweep serve --port {free_port()}\n")
    opened = Terminals(tmp_path, page, patience_s=PATIENCE_S)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.timeout(1200)
def test_the_page_leads_to_a_champion_that_is_replaced_by_a_better_one(terminals):
    """Three nights keep the first night's champion; a looser bound brings a better one, which is told."""
    hook, serve, add, show, better, last, end = terminals.blocks
    told = terminals.start(hook, says="the webhook listens")
    terminals.start(serve, says="masksweep serves")
    assert "masksweep: a test message" in told.read_text()
    terminals.run(add)
    until(lambda: told.read_text().count("nightly: night done") >= 3, PATIENCE_S, 0.3)
    assert told.read_text().count("nightly: champion v1 |") == 1
    assert "champion v2" not in told.read_text()
    assert terminals.run(show).count("KEPT") >= 2
    terminals.run(better)
    until(lambda: "nightly: champion v2 |" in told.read_text(), PATIENCE_S, 0.3)
    shown = terminals.run(last)
    assert "PROMOTED" in shown
    assert "nightly: champion v2" in shown
    terminals.run(end)
    until(lambda: not {"PENDING", "RUNNING", "STOPPING"} & set(states(terminals)), PATIENCE_S, 0.3)
