"""kill -9 of a driver that judges its night."""

import multiprocessing
import os
import signal

import pytest

from runners.champion import files
from runners.champion.contest import hold
from runners.champion.judging import Bench, judge
from sweeps.core.champion import Decision
from sweeps.core.states import SweepState
from sweeps.records import Claim
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.champions import Champions
from sweeps.store.engine import open_engine
from sweeps.testing import FakeClock
from tests.nights import SCHEDULE, Nights

pytestmark = pytest.mark.slow  # starts processes


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def judge_and_die(home, claim, now, when):
    """The life of a driver that dies before it copies the model, after that, or right after its commit."""
    settings = Settings.load(home, environ={})
    engine = open_engine(settings.store_url)
    bench = Bench(SweepService(engine), Champions(engine), claim, settings, 0.0, FakeClock(now), hold)
    committed = Champions.judge

    def judge_then_die(*arguments, **named):
        committed(*arguments, **named)
        die()

    match when:
        case "before the copy":
            files.keep = die
        case "before the commit":
            Champions.judge = die
        case "after the commit":
            Champions.judge = judge_then_die
    judge(bench, SweepState.COMPLETED)


def test_a_driver_killed_while_it_judges_leaves_one_verdict_and_one_champion(tmp_path):
    """Whenever it dies, the next driver judges what was not judged; nothing is doubled, nothing is left."""
    world = Nights(tmp_path)
    bad, *better = world.rates(4)
    world.judge(world.night(bad))
    spawning = multiprocessing.get_context("spawn")
    for count, when in enumerate(("before the copy", "before the commit", "after the commit"), 1):
        claim = world.night(better[count - 1])
        world.stop(claim)
        arguments = (tmp_path, Claim(claim.sweep_id, claim.epoch), world.clock.tick(), when)
        life = spawning.Process(target=judge_and_die, args=arguments)
        life.start()
        life.join()
        assert life.exitcode == -signal.SIGKILL
        again = world.service.claim(claim.sweep_id, world.clock.tick())
        judge(world.bench(again), SweepState.COMPLETED)
        verdict, *others = world.champions.verdicts(SCHEDULE)
        assert (verdict.sweep_id, len(others)) == (claim.sweep_id, count)
        assert verdict.decision is Decision.PROMOTED
        versions = [each.version for each in world.champions.champions(SCHEDULE)]
        assert versions == list(range(count + 1, 0, -1))
        assert world.kept() == [f"v{version}" for version in reversed(versions)]
