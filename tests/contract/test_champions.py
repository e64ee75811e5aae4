"""Champions and verdicts in a store, and what the API tells of them, on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest

from sweeps.core.champion import Decision
from tests.nights import SCHEDULE, Nights
from tests.service_client import served


@pytest.fixture(scope="module")
def nights(engine, tmp_path_factory) -> Nights:
    """Four nights: a champion, one no better, a better one, and one with nothing to judge."""
    world = Nights(tmp_path_factory.mktemp("home"), engine=engine)
    bad, good = world.rates()
    for rates in ((bad,), (bad,), (good, bad), ()):
        world.judge(world.night(*rates))
    return world


def test_each_night_has_its_verdict(nights):
    """The latest first, each with the champion that it was held against."""
    told = [(each.decision, each.number, each.against) for each in nights.champions.verdicts(SCHEDULE)]
    assert told == [
        (Decision.NO_CANDIDATE, None, None),
        (Decision.PROMOTED, 0, 1),
        (Decision.KEPT, 0, 1),
        (Decision.FIRST, 0, None),
    ]


def test_the_api_tells_of_champions_and_verdicts(nights):
    """A list of all, one by its schedule, and verdicts page by page; a schedule that is not there is 404."""
    with served(nights.service) as api:
        (listed,) = api("GET", "/champions", scope="viewer").json()["champions"]
        shown = api("GET", f"/schedules/{SCHEDULE}/champion", scope="viewer").json()["champion"]
        assert shown == listed
        assert (shown["version"], shown["settings"], shown["metric"]) == (2, None, "segm/AP")
        assert Path(shown["directory"]).name == "v2"
        first = api("GET", f"/schedules/{SCHEDULE}/verdicts", params={"limit": 3}).json()
        rest = api(
            "GET", f"/schedules/{SCHEDULE}/verdicts", params={"limit": 3, "cursor": first["next"]}
        ).json()
        decisions = [each["decision"] for each in (*first["verdicts"], *rest["verdicts"])]
        assert decisions == ["NO_CANDIDATE", "PROMOTED", "KEPT", "FIRST"]
        assert rest["next"] is None
        promoted = first["verdicts"][1]
        assert promoted["local"].endswith(" UTC")
        assert promoted["comparison"]["low"] > 0
        assert promoted["comparison"]["candidates"] == 2
        assert rest["verdicts"][0]["comparison"] is None
        one = api("GET", f"/schedules/{SCHEDULE}/champion", params={"version": 1}).json()["champion"]
        assert (one["version"], Path(one["directory"]).name) == (1, "v1")
        answer = api("GET", f"/schedules/{SCHEDULE}/champion", params={"version": 7})
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:masksweep:problem:unknown-champion"
        assert answer.json()["hint"] == "there are v1 to v2"
        for path in ("champion", "verdicts"):
            answer = api("GET", f"/schedules/other/{path}")
            assert answer.status_code == 404
            assert answer.json()["type"] == "urn:masksweep:problem:unknown-schedule"
            assert answer.json()["hint"] == f"there is {SCHEDULE}"
