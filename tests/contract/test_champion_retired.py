"""A champion that nothing can restore is retired, on SQLite and on PostgreSQL."""

from dataclasses import replace
from pathlib import Path

import pytest

from runners.champion.contest import hold
from runners.champion.judging import judge
from sweeps.cli import champions as commands
from sweeps.core.champion import Decision
from sweeps.core.errors import UnknownChampion, UnknownSchedule, WrongState
from sweeps.core.states import SweepState
from sweeps.store.champions import Verdict
from sweeps.store.retiring import retire_champion
from sweeps.store.schedules import Schedules
from tests.nights import Nights
from tests.service_client import problem, served

_made = iter(range(1000))


@pytest.fixture
def nights(engine, tmp_path) -> Nights:
    """A schedule of this test's own, whose champion is the better of two rates."""
    world = Nights(tmp_path / "home", engine=engine, name=f"nightly-{next(_made)}")
    world.judge(world.night(world.rates()[1]))
    return world


@pytest.fixture
def api(nights):
    with served(nights.service, prefix=nights.name) as api:
        yield api


def retire(world, **more):
    return retire_champion(world.engine, world.name, by="ann", now=world.clock.tick(), **more)


def damage(world):
    (Path(world.champions.champion(world.name).directory) / "champion.json").unlink()


def decisions(world):
    return [each.decision for each in world.champions.verdicts(world.name)]


def test_a_retired_champion_blocks_its_schedule_no_more(nights):
    """The next night's best is the first again, with the next version; rows, files and verdicts stay."""
    bad, _ = nights.rates()
    damage(nights)
    assert nights.judge(nights.night(bad)).decision is Decision.FAILED
    old = nights.champions.champion(nights.name)
    retired = retire(nights, reason="its files are lost")
    assert (retired.retired.by, retired.retired.reason) == ("ann", "its files are lost")
    assert replace(retired, retired=None) == old
    assert nights.champions.champion(nights.name) is None
    assert nights.name not in [each.schedule for each in nights.champions.reigning()]
    first = nights.judge(nights.night(bad))
    assert (first.decision, first.against) == (Decision.FIRST, None)
    assert first.reason.endswith(": there was no champion since v1 was retired")
    assert nights.champions.champion(nights.name).version == 2
    assert nights.champions.champions(nights.name)[1] == retired
    assert (nights.kept(), decisions(nights)) == (["v1", "v2"], ["FIRST", "FAILED", "FIRST"])


def test_who_retired_it_when_and_why_is_an_event_of_the_schedule(nights):
    """Once, however often it is asked for; the first reason stands."""
    retired = retire(nights, reason="lost")
    assert retire(nights, reason="once more", version=1) == retired
    *_, event = Schedules(nights.engine).events(nights.name)
    kinds = [each.kind for each in Schedules(nights.engine).events(nights.name)]
    assert kinds.count("champion.retired") == 1
    assert (event.kind, event.by, event.at) == ("champion.retired", "ann", retired.retired.at)
    assert event.data == {
        "version": 1,
        "sweep_id": retired.sweep_id,
        "number": retired.number,
        "reason": "lost",
    }


def test_a_night_that_is_held_against_a_champion_that_is_retired_is_judged_anew(nights):
    """Not KEPT for losing to what is no champion any more: its best is one."""
    bad, _ = nights.rates()

    def hold_late(contest):
        found = hold(contest)
        retire(nights)
        return found

    claim = nights.night(bad)
    nights.stop(claim)
    verdict = judge(nights.bench(claim, hold=hold_late), SweepState.COMPLETED)
    assert (verdict.decision, verdict.against) == (Decision.FIRST, None)
    assert nights.champions.champion(nights.name).version == 2


@pytest.mark.parametrize("decision", [Decision.FIRST, Decision.FAILED])
def test_what_was_decided_of_no_champion_is_not_written_over_one_that_came(nights, decision):
    """Nor a version twice, though the one that came in between was retired too, so that nobody reigns."""
    bad, good = nights.rates()
    retire(nights)
    slow = nights.night(bad)
    at = nights.champions.night_of(slow.sweep_id).fire_at
    champion = replace(nights.champions.last(nights.name), version=2, retired=None, sweep_id=slow.sweep_id)
    verdict = Verdict(nights.name, at, decision, "", slow.sweep_id, 0, None, nights.clock.tick(), {})
    crowned = champion if decision.crowns else None
    nights.judge(nights.night(good))
    assert not nights.champions.judge(slow, verdict, crowned, reigning=None)
    retire(nights, version=2)
    assert nights.champions.judge(slow, verdict, crowned, reigning=None) is not decision.crowns
    assert [each.version for each in nights.champions.champions(nights.name)] == [2, 1]


def test_only_the_last_champion_is_retired(nights):
    """Who saw that v1 is damaged does not retire the one that came since."""
    retire(nights)
    nights.judge(nights.night(nights.rates()[0]))
    assert retire(nights, version=1).retired.by == "ann"
    assert nights.champions.champion(nights.name).version == 2
    nights.judge(nights.night(nights.rates()[1]))
    with pytest.raises(WrongState, match=r"champion v2 of .* does not reign: v3 came after it"):
        retire(nights, version=2)
    with pytest.raises(UnknownChampion, match="has had no champion v4") as told:
        retire(nights, version=4)
    assert told.value.hint == "there are v1 to v3"
    with pytest.raises(UnknownSchedule):
        retire_champion(nights.engine, "never", by="ann", now=1.0)


def test_the_champion_of_a_schedule_that_was_removed_is_retired(nights):
    """It would be the champion of one that takes the name again."""
    Schedules(nights.engine).remove(nights.name, by="ann", now=nights.clock.tick())
    assert retire(nights).version == 1
    assert nights.champions.champion(nights.name) is None


def test_the_api_retires_a_champion_and_tells_of_it(nights, api):
    """An operator may; it is gone from the list, and shown with who did it and why."""
    path = f"/schedules/{nights.name}/champion"
    problem(api("POST", f"{path}/retire", scope="viewer"), 403, "forbidden")
    asked = {"version": 1, "reason": "its weights are lost"}
    answer = api("POST", f"{path}/retire", json=asked)
    assert answer.status_code == 200, answer.text
    retired = answer.json()
    by, why = retired["retired"]["by"], retired["retired"]["reason"]
    assert (retired["version"], by, why) == (1, f"{nights.name}-operator", asked["reason"])
    assert api("GET", path).json() == {"champion": None, "retired": retired}
    shown = api("GET", path, params={"version": 1}).json()
    assert shown == {"champion": retired, "retired": retired}
    listed = api("GET", "/champions").json()["champions"]
    assert nights.name not in [each["schedule"] for each in listed]
    nights.judge(nights.night(nights.rates()[0]))
    anew = api("GET", path).json()
    assert (anew["champion"]["version"], anew["champion"]["retired"], anew["retired"]) == (2, None, None)
    problem(api("POST", f"{path}/retire", json={"version": 3}), 404, "unknown-champion")
    problem(api("POST", f"{path}/retire", json={"version": 0}), 422, "invalid-body")
    problem(api("POST", "/schedules/never/champion/retire"), 404, "unknown-schedule")


def test_the_command_retires_and_shows_a_services_champion(nights, api, capsys):
    """As in a home, with the name of the token's owner."""

    class Asks:
        """As `sweeps.client.Client`, without a socket."""

        def get(self, path, **params):
            return api("GET", path, params={k: v for k, v in params.items() if v is not None}).json()

        def post(self, path, body):
            return api("POST", path, json=body).json()

    commands.retire(nights.name, 1, "its disk is lost", None, Asks(), as_json=False)
    told = f"v1 of {nights.name} was retired by {nights.name}-operator at "
    assert capsys.readouterr().out.startswith(f"champion {told}")
    commands.show_champion(nights.name, None, None, Asks(), as_json=False)
    shown, *_ = capsys.readouterr().out.splitlines()
    assert shown.startswith(f"schedule {nights.name} has no champion: {told}")
    assert shown.endswith(": its disk is lost")


def test_a_champion_is_retired_once_under_a_key(nights, api):
    """Also where the answer was lost before it was stored, and another champion has come since."""
    path, key = f"/schedules/{nights.name}/champion/retire", {"Idempotency-Key": "k"}
    first = api("POST", path, headers=key)
    assert api("POST", path, headers=key).headers["Idempotency-Replayed"] == "true"
    nights.judge(nights.night(nights.rates()[0]))
    again = retire(nights, key=f"{nights.name}-operator\nk")
    assert (again.version, first.json()["version"]) == (1, 1)
    assert nights.champions.champion(nights.name).version == 2
    assert api("POST", path).json()["version"] == 2


def test_a_schedule_without_a_champion_has_none_to_retire(engine, tmp_path):
    """It is told so, and changes nothing."""
    world = Nights(tmp_path, engine=engine, name="none-yet")
    with served(world.service, prefix="none-yet") as api:
        told = problem(api("POST", "/schedules/none-yet/champion/retire"), 409, "wrong-state")
    assert told["detail"] == "schedule none-yet has no champion yet"
    assert Schedules(engine).events("none-yet") == []
