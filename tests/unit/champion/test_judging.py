"""A night's best is held against the champion: what is written, once, and what stays when a driver dies."""

import json
import os
from pathlib import Path

import pytest

from runners.champion import files
from runners.champion.contest import hold
from runners.champion.judging import judge
from runners.checkpoints import write_checkpoint
from sweeps.core.champion import Decision
from sweeps.core.replicates import replicate_number
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.core.stops import Limit
from sweeps.core.trial import Suggestion
from sweeps.store.champions import Champions
from sweeps.store.control import SweepControl
from sweeps.store.engine import open_engine
from sweeps.store.retiring import retire_champion
from sweeps.store.submissions import SCHEDULER
from sweeps.supervisor.scheduler import Scheduler
from sweeps.testing import COMPLETED, PRUNED, make_report, make_spec
from tests.nights import CURVES, SCHEDULE, SPACE, Nights, add_night


@pytest.fixture
def world(tmp_path):
    return Nights(tmp_path)


def test_the_first_nights_best_is_champion(world):
    """It has a directory of its own, a row, a verdict with its reason, and events of schedule and sweep."""
    bad, good = world.rates()
    verdict = world.judge(world.night(bad, good))
    assert (verdict.decision, verdict.number, verdict.against) == (Decision.FIRST, 1, None)
    champion = world.champions.champion(SCHEDULE)
    assert (champion.version, champion.number, champion.portrait.params) == (1, 1, {"solver.base_lr": good})
    told = json.loads((Path(champion.directory) / "champion.json").read_text())
    assert (told["schedule"], told["version"], told["runs"][0]["seed"]) == (SCHEDULE, 1, 1001)
    assert world.champions.verdicts(SCHEDULE) == [verdict]
    assert world.service.events(champion.sweep_id)[-1].kind == "sweep.judged"
    assert world.champions.reigning() == [champion]


def test_what_is_better_is_promoted_and_what_is_not_is_not(world):
    """Three nights: a champion, one that is no better, one that is."""
    bad, good = world.rates()
    world.judge(world.night(bad))
    kept = world.judge(world.night(bad * 1.01, bad))
    assert (kept.decision, kept.against) == (Decision.KEPT, 1)
    promoted = world.judge(world.night(good, bad))
    assert (promoted.decision, promoted.number, promoted.against) == (Decision.PROMOTED, 0, 1)
    assert "at 95% confidence over 40 images, 2 candidates" in promoted.reason
    assert promoted.document["low"] > 0
    assert [each.version for each in world.champions.champions(SCHEDULE)] == [2, 1]
    assert world.kept() == ["v1", "v2"]


def test_the_confidence_is_the_schedules_own(tmp_path):
    """A rule's `confidence` is what the reason names."""
    world = Nights(tmp_path, confidence=0.8)
    bad, good = world.rates()
    world.judge(world.night(bad))
    assert "at 80% confidence" in world.judge(world.night(good)).reason


def test_a_night_is_judged_once(world):
    """Another driver that ends the sweep finds the verdict, and changes nothing."""
    claim = world.night(world.rates()[1])
    assert world.judge(claim) is not None
    again = world.service.claim(claim.sweep_id, world.clock())
    assert judge(world.bench(again), SweepState.COMPLETED) is None
    assert len(world.champions.champions(SCHEDULE)) == 1


def test_a_paused_night_is_judged_when_its_window_is_over(world):
    """A sweep that somebody paused goes on tonight; one whose window closed has a best by then."""
    _, good = world.rates()
    open_one = world.night(good, ends_at=world.clock() + 2 * 86_400)
    assert world.judge(open_one, SweepState.PAUSED) is None
    world.clock.tick(3 * 86_400)
    assert world.judge(open_one, SweepState.PAUSED).decision is Decision.FIRST
    closed = world.night(good, state="CLOSED")
    assert world.judge(closed, SweepState.CANCELLED) is None


def test_of_the_nights_of_one_sweep_the_one_begun_last_is_judged(world):
    """A night that is made up after an outage is begun after a later one."""
    claim = world.night(world.rates()[1], started_at=20.0)
    add_night(world.engine, claim.sweep_id, world.clock() + 3600.0, started_at=10.0)
    assert world.judge(claim).fire_at < world.clock()


def test_a_night_that_its_scheduler_ends_early_is_judged(world):
    """As for its GPU-hours: the window is open, and the request says that the night is over."""
    claim = world.night(world.rates()[1], ends_at=world.clock() + 2 * 86_400)
    control = SweepControl(world.engine, is_dead=lambda _: False)
    control.ask(claim.sweep_id, RequestKind.PAUSE, by="ann", now=world.clock.tick())
    assert world.judge(claim, SweepState.PAUSED) is None
    other = world.night(world.rates()[1], ends_at=world.clock() + 2 * 86_400)
    asker = f"{SCHEDULER}/{SCHEDULE}"
    control.ask(other.sweep_id, RequestKind.PAUSE, by=asker, now=world.clock.tick(), reason="GPU-hours")
    assert world.judge(other, SweepState.PAUSED).decision is Decision.FIRST


def test_a_paused_night_without_a_full_trial_waits_for_the_next(world):
    """Nothing is said of it: the sweep goes on in another night. At a sweep's end it has no candidate."""
    claim = world.night(ends_at=0.0)
    world.trial(claim, 0, 0.01, 5, PRUNED)
    assert world.judge(claim, SweepState.PAUSED) is None
    verdict = world.judge(claim, SweepState.COMPLETED)
    assert (verdict.decision, verdict.reason) == (Decision.NO_CANDIDATE, "no trial was trained in full")


def test_a_candidate_breaks_no_constraint(world):
    """The best that keeps them is judged, or nobody is."""
    spec = make_spec(base=CURVES, space=SPACE, dataset=None, constraints=["segm/AP >= 99.9"])
    verdict = world.judge(world.night(*world.rates(), spec=spec))
    assert verdict.decision is Decision.NO_CANDIDATE
    assert verdict.reason == "of 2 trained in full none keeps the constraints"


def test_a_sweep_of_no_schedule_is_not_judged(world):
    """Nothing happens."""
    sweep_id = world.service.create(world.spec, fingerprint="f", now=world.clock()).sweep_id
    claim = world.service.claim(sweep_id, world.clock())
    assert world.judge(claim, SweepState.COMPLETED) is None


def test_a_driver_that_dies_in_between_leaves_nothing_double(world, monkeypatch):
    """Before the copy, after it, and before and after the commit: the next driver ends with one champion."""

    class Died(BaseException):
        pass

    def dies(*_, **__):
        raise Died

    written = Champions.judge

    def dies_after(*arguments, **named):
        written(*arguments, **named)
        raise Died

    places = [(files, "keep", dies), (Champions, "judge", dies), (Champions, "judge", dies_after)]
    for count, (where, name, fault) in enumerate(places):
        bad, good = world.rates()
        claim = world.night(good if count else bad, bad)
        with monkeypatch.context() as patched:
            patched.setattr(where, name, fault)
            with pytest.raises(Died):
                world.judge(claim)
        again = world.service.claim(claim.sweep_id, world.clock.tick())
        judge(world.bench(again), SweepState.COMPLETED)
        assert len(world.champions.verdicts(SCHEDULE)) == count + 1
        versions = sorted(each.version for each in world.champions.champions(SCHEDULE))
        assert world.kept() == [f"v{version}" for version in versions]


def test_a_driver_that_lost_its_sweep_writes_nothing(world):
    """Fenced: the verdict is the new driver's to write, and no directory stays."""
    from sweeps.core.errors import StaleEpoch

    claim = world.night(world.rates()[1])
    world.service.claim(claim.sweep_id, world.clock())
    with pytest.raises(StaleEpoch):
        judge(world.bench(claim), SweepState.COMPLETED)
    assert world.champions.verdicts(SCHEDULE) == []


def test_who_comes_second_is_held_against_the_new_champion(world):
    """Two nights judged at once: the second one's verdict is against what the first one made."""
    bad, good = world.rates()
    world.judge(world.night(bad))
    first, second = world.night(good), world.night(good)

    def hold_late(contest):
        if world.champions.champion(SCHEDULE).version == 1:
            world.judge(first)
        return hold(contest)

    world.service.finish(second, SweepState.STOPPING, "done", world.clock.tick(), limit=Limit.TRIALS)
    verdict = judge(world.bench(second, hold=hold_late), SweepState.COMPLETED)
    assert (verdict.decision, verdict.against) == (Decision.KEPT, 2)


def test_what_cannot_be_compared_leaves_the_champion(world):
    """A champion whose files are gone, or another objective: FAILED, with the reason."""
    _, good = world.rates()
    world.judge(world.night(good))
    champion = world.champions.champion(SCHEDULE)
    (Path(champion.directory) / "champion.json").unlink()
    verdict = world.judge(world.night(good))
    assert (verdict.decision, verdict.against) == (Decision.FAILED, 1)
    assert "trial 0 cannot be compared with champion v1: " in verdict.reason
    assert "champion.json" in verdict.reason
    assert world.champions.champion(SCHEDULE) == champion


def test_a_champion_whose_files_were_changed_is_not_compared(world):
    """It would be held against what it is not, and lose its place to the very same model."""
    bad, good = world.rates()
    world.judge(world.night(good))
    champion = world.champions.champion(SCHEDULE)
    path = Path(champion.directory) / "champion.json"
    document = json.loads(path.read_text())
    document["runs"][0]["params"]["solver.base_lr"] = bad
    path.write_text(json.dumps(document))
    verdict = world.judge(world.night(good))
    assert verdict.decision is Decision.FAILED
    assert verdict.reason.endswith("champion.json is damaged")
    assert world.champions.champion(SCHEDULE) == champion


def judged(world, spec, metric, checkpoint):
    """The verdict on a night whose one trial has that checkpoint, and 50 of the metric."""
    claim = world.night(spec=spec)
    world.service.add_trial(claim, Suggestion(0, {}, 1), {}, world.clock.tick())
    report = make_report(0, 1, 300, metrics={metric: 50.0}, checkpoint=str(checkpoint))
    world.service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=world.clock.tick())
    return world.judge(claim)


@pytest.mark.parametrize("damaged", ["model.pth", "config.yaml"])
def test_a_damaged_model_becomes_no_champion(world, tmp_path, damaged):
    """Not the first one either: no later night could be held against it."""

    def write(directory):
        for name in files.MODEL:
            (directory / name).write_bytes(b"as it was written")

    checkpoint = write_checkpoint(tmp_path / "trial", "e1a1i0000300", write)
    (checkpoint / damaged).write_bytes(b"as it is not there")
    verdict = judged(world, make_spec(), "segm/AP", checkpoint)
    assert verdict.decision is Decision.FAILED
    assert f"trial 0 is no whole model: {checkpoint}: {damaged} is damaged" in verdict.reason
    assert world.champions.champion(SCHEDULE) is None


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("config", ["MODEL: [", "- a list", "a: \\ud800\0", "{" * 5000, None])
def test_a_candidate_whose_config_cannot_be_read_is_told(world, tmp_path, config, first):
    """The night FAILED with the file, once: its driver ends, and no other one tries again."""

    def write(directory):
        (directory / "model.pth").write_bytes(b"weights")
        if config is None:
            os.mkfifo(directory / "config.yaml")
        else:
            (directory / "config.yaml").write_text(config)

    if not first:
        world.judge(world.night(world.rates()[0]))
    if config is None:
        (tmp_path / "trial").mkdir()
        write(tmp_path / "trial")
        checkpoint = tmp_path / "trial"
    else:
        checkpoint = write_checkpoint(tmp_path / "trial", "e1a1i0000300", write)
    verdict = judged(world, make_spec(), "segm/AP", checkpoint)
    assert verdict.decision is Decision.FAILED
    assert verdict.reason.startswith("trial 0 ")
    assert f"{checkpoint}/config.yaml" in verdict.reason
    assert world.champions.verdicts(SCHEDULE)[0] == verdict
    assert (world.champions.champion(SCHEDULE) is None) is first


def test_a_real_model_is_judged_by_what_can_be_drawn_again(world):
    """Recall, latency and the like are refused in words; AP in all its kinds is not."""
    from sweeps.core.champion import unsupported

    for metric in ("segm/AP", "segm/AP50", "segm/AP_tiny", "segm/AP-gear", "bbox/APs", "boundary/AP"):
        assert unsupported(metric) is None
    for metric in ("segm/AR100", "latency/ms_per_image", "segm/AP_tiny_low", "overlap/AP_crowded"):
        assert unsupported(metric).startswith(f"{metric} cannot be measured again")
    spec = make_spec(objectives=[{"metric": "segm/AR100"}])
    assert judged(world, spec, "segm/AR100", "/gone").decision is Decision.FAILED


def test_replicates_of_both_sides_are_compared(world):
    """A champion keeps all its runs, and the reason says how many there were on either side."""
    bad, good = world.rates()
    spec = make_spec(base=CURVES, space=SPACE, dataset=None, replicates={"runs": 2, "finalists": 1})

    def night(rate):
        claim = world.night(rate, spec=spec)
        seed = 1000 * world.nights + 500
        world.trial(claim, replicate_number(0, 1), rate, seed, replicate_of=0)
        return world.judge(claim)

    assert night(bad).decision is Decision.FIRST
    champion = world.champions.champion(SCHEDULE)
    assert champion.portrait.runs == 2
    assert [run.seed for run in files.read(Path(champion.directory)).runs] in ([1000, 1500], [1500, 1000])
    promoted = night(good)
    assert promoted.decision is Decision.PROMOTED
    assert promoted.reason.endswith("1 candidate, 2 against 2 runs")


def test_a_champion_of_another_store_in_the_same_home_is_put_aside(world, tmp_path):
    """After a move to another database versions begin anew; what was proved best before is not deleted."""
    _, good = world.rates()
    world.judge(world.night(good))
    other = Nights(tmp_path, engine=open_engine(f"sqlite:///{tmp_path / 'other.db'}"))
    other.clock.tick(5.0)
    before = (Path(world.champions.champion(SCHEDULE).directory) / "champion.json").read_bytes()
    assert other.judge(other.night(good)).decision is Decision.FIRST
    assert other.kept() == ["v1", "v1-other1"]
    aside = other.settings.champion_directory(SCHEDULE) / "v1-other1" / "champion.json"
    assert aside.read_bytes() == before


def closed_unjudged(world, claim):
    """Its driver was gone when the window ended: the scheduler closed the night, and nobody judged."""
    world.service.finish(claim, SweepState.PAUSED, "its window", world.clock.tick())
    Scheduler(world.service, world.clock, is_dead=lambda _: False).tick()
    (verdict, *_) = world.champions.verdicts(SCHEDULE)
    assert world.firings() == ["CLOSED"] * world.nights
    return verdict


def test_a_night_that_nobody_judged_is_judged_when_its_sweep_goes_on_by_day(tmp_path):
    """Its verdict gives way to the driver's, once: what nobody had judged is champion after all."""
    world = Nights(tmp_path, cron="0 22 * * *")
    bad, good = world.rates()
    claim = world.night(bad, ends_at=world.clock())
    unjudged = closed_unjudged(world, claim)
    assert (unjudged.decision, unjudged.reason) == (
        Decision.FAILED,
        "trial 0 was not judged: no driver was there",
    )
    again = world.service.claim(claim.sweep_id, world.clock.tick())
    world.trial(again, 1, good, seed=77)
    verdict = world.judge(again)
    assert (verdict.decision, verdict.number) == (Decision.FIRST, 1)
    assert world.champions.verdicts(SCHEDULE) == [verdict]
    assert world.champions.champion(SCHEDULE).number == 1
    last = world.service.claim(claim.sweep_id, world.clock.tick())
    assert judge(world.bench(last), SweepState.COMPLETED) is None


@pytest.mark.parametrize("times", [1, 2])
def test_a_night_whose_best_was_judged_before_takes_that_judgement(tmp_path, times):
    """Nobody has to judge it again, how ever many nights have nothing better: its driver may be gone."""
    world = Nights(tmp_path, cron="0 22 * * *")
    claim = world.night(world.rates()[1], state="CLOSED", started_at=1.0)
    first = world.judge(claim, SweepState.PAUSED)
    assert first.decision is Decision.FIRST
    for _ in range(times):
        world.nights += 1
        at = world.clock.tick(86_400)
        add_night(world.engine, claim.sweep_id, at, started_at=at, ends_at=at)
        taken = closed_unjudged(world, claim)
        assert (taken.fire_at, taken.decision, taken.number) == (at, Decision.KEPT, 0)
        assert taken.reason.startswith("trial 0 was judged in the night of 2027-01-16 ")
        assert taken.reason.endswith(f"UTC: first: {first.reason}")
        claim = world.service.claim(claim.sweep_id, world.clock.tick())
    assert world.champions.champion(SCHEDULE).version == 1


@pytest.mark.parametrize("another", [False, True])
def test_a_judgement_of_before_the_champion_was_retired_is_not_taken(tmp_path, another):
    """Nobody judged the trial since, and whoever reigns now is no champion that it was worse than."""
    world = Nights(tmp_path, cron="0 22 * * *")
    worse, bad, good = world.rates(3)
    world.judge(world.night(good, state="CLOSED"))
    claim = world.night(bad, state="CLOSED", started_at=1.0)
    assert world.judge(claim, SweepState.PAUSED).decision is Decision.KEPT
    retire_champion(world.engine, SCHEDULE, by="ann", now=world.clock.tick())
    if another:
        world.judge(world.night(worse, state="CLOSED"))
    at = world.clock.tick(86_400)
    world.nights += 1
    add_night(world.engine, claim.sweep_id, at, started_at=at, ends_at=at)
    verdict = closed_unjudged(world, claim)
    assert (verdict.decision, verdict.against) == (Decision.FAILED, None)
    assert verdict.reason == "trial 0 was not judged: no driver was there"
    again = world.service.claim(claim.sweep_id, world.clock.tick())
    assert world.judge(again).decision is (Decision.PROMOTED if another else Decision.FIRST)
    assert world.champions.champion(SCHEDULE).version == 2 + another
