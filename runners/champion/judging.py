"""A driver judges its night: the best of its sweep is held against the schedule's champion.

The verdict is one transaction, which comes last. What is done before it, a copy of the model, is done again
by the next driver if this one dies; what was left behind is deleted then.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from runners.champion import files
from runners.champion.contest import Contest, Refusal
from runners.champion.facts import categories_of, category_ids_of, config_of, settings_of
from runners.champion.files import Entrant, RunFiles
from runners.checkpoints import CheckpointInvalid, check
from runners.evaluation.paired import Difference
from sweeps.core.candidate import Candidate, candidate_of
from sweeps.core.champion import (
    Comparison,
    Decision,
    Portrait,
    comparison_document,
    decide,
    unsupported,
)
from sweeps.core.errors import UnknownSweep
from sweeps.core.finals import Finals
from sweeps.core.spec import spec_document
from sweeps.core.states import SweepState
from sweeps.records import Claim, SweepRecord, TrialRecord
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.champions import Champion, Champions, Night, Verdict, next_version, reigning_of


@dataclass(frozen=True, slots=True)
class Bench:
    """What judging needs of a driver.

    Attributes:
        service: The store,
        champions: and its champions.
        claim: The licence to write.
        settings: Where champions are kept.
        gpus: Share of a GPU that a contest holds.
        clock: Seconds since the Unix epoch.
        hold: Holds a contest, in a process with a device.
    """

    service: SweepService
    champions: Champions
    claim: Claim
    settings: Settings
    gpus: float
    clock: Callable[[], float]
    hold: Callable[[Contest], Difference | Refusal]


@dataclass(frozen=True, slots=True)
class _Case:
    """A night's best, before it is judged; `last`: the schedule's last champion, which may be retired."""

    night: Night
    sweep: SweepRecord
    best: Candidate[TrialRecord]
    entrant: Entrant
    last: Champion | None

    @property
    def reigning(self) -> Champion | None:
        return reigning_of(self.last)


def is_due(bench: Bench, left: SweepState) -> Night | None:
    """The night that is to be judged now, or None.

    Args:
        bench: The driver's.
        left: What its sweep is about to be left in. One that is PAUSED is judged if its window is over;
            one that is CANCELLED is not.
    """
    night = bench.champions.night_of(bench.claim.sweep_id)
    if night is None or left is SweepState.CANCELLED:
        return None
    over = night.closed or (night.ends_at is not None and night.ends_at <= bench.clock())
    return night if left.terminal or over else None


def judge(bench: Bench, left: SweepState, on_note: Callable[[str], None] = lambda _: None) -> Verdict | None:
    """Judges the night of a driver's sweep and writes the verdict; None where there is nothing to judge.

    Args:
        bench: The driver's.
        left: What the sweep is about to be left in.
        on_note: Told the verdict.

    Raises:
        StaleEpoch: Another driver has taken the sweep over.
        KeyboardInterrupt: It was broken off; there is no verdict then.
    """
    while (night := is_due(bench, left)) is not None:
        sweep = bench.service.sweep(bench.claim.sweep_id)
        last = bench.champions.last(night.schedule)
        best = candidate_of(
            Finals(sweep.spec),
            bench.service.trials(sweep.sweep_id),
            iterations=sweep.spec.fidelity.iterations,
            settled=left.terminal,
        )
        if not isinstance(best, str):
            verdict = _judged(bench, _Case(night, sweep, best, _entrant(sweep, best), last))
        elif left.terminal:
            verdict = Verdict(
                night.schedule,
                night.fire_at,
                Decision.NO_CANDIDATE,
                best,
                sweep.sweep_id,
                None,
                None,
                bench.clock(),
                {},
            )
            verdict = verdict if _written(bench, verdict, reigning_of(last)) else None
        else:
            return None  # another night goes on with it
        if verdict is not None:
            on_note(f"schedule {verdict.schedule}: {verdict.decision.lower()}: {verdict.reason}")
            return verdict
    return None


def _judged(bench: Bench, case: _Case) -> Verdict | None:
    """The verdict on a candidate, once it is written; None if things have changed in between."""
    reigning = case.reigning
    found = _held_against(bench, case)
    if isinstance(found, Comparison):
        decision, reason = decide(found)
    else:
        decision, reason = found
    verdict = Verdict(
        case.night.schedule,
        case.night.fire_at,
        decision,
        reason,
        case.sweep.sweep_id,
        case.best.number,
        reigning.version if reigning else None,
        bench.clock(),
        comparison_document(found) if isinstance(found, Comparison) else {},
    )
    if decision.crowns:
        try:
            return verdict if _crowned(bench, case, verdict) else None
        except (OSError, ValueError) as error:  # a full disk, data that is gone
            reason = f"{reason}; but the model cannot be kept: {error}"
            verdict = replace(verdict, decision=Decision.FAILED, reason=reason)
    return verdict if _written(bench, verdict, reigning) else None


def _held_against(bench: Bench, case: _Case) -> Comparison | tuple[Decision, str]:
    """The comparison with the champion, or what is decided without one."""
    sweep, best, reigning = case.sweep, case.best, case.reigning
    metric, goal = Finals(sweep.spec).objectives[0]
    synthetic = sweep.spec.base.synthetic is not None
    if not synthetic and (problem := unsupported(metric)):
        return Decision.FAILED, problem
    if not synthetic and (problem := _unsound(case)):
        return Decision.FAILED, problem
    if reigning is None:
        since = f" since v{case.last.version} was retired" if case.last else ""
        return Decision.FIRST, f"{metric} {best.value:.4g}: there was no champion{since}"
    found: Difference | Refusal
    try:
        check(Path(reigning.directory))
        champion = files.read(Path(reigning.directory))
        known, today = champion.categories or (), categories_of(sweep.spec)
        if known == today:
            found = bench.hold(Contest(case.entrant, champion, case.night.confidence, best.among, bench.gpus))
        else:
            found = Refusal(f"it knows the categories {_list(known)}, and tonight's data has {_list(today)}")
    except (CheckpointInvalid, OSError, ValueError) as error:
        found = Refusal(str(error))
    if isinstance(found, Refusal):
        which = f"trial {best.number} cannot be compared with champion v{reigning.version}"
        return Decision.FAILED, f"{which}: {found.reason}"
    return Comparison(
        metric=metric,
        goal=goal,
        candidate=found.candidate,
        champion=found.champion,
        low=found.low,
        high=found.high,
        confidence=case.night.confidence,
        images=found.images,
        candidates=best.among,
        candidate_runs=len(case.entrant.runs),
        champion_runs=len(champion.runs),
    )


def _unsound(case: _Case) -> str | None:
    """Why the candidate's files are no model that later nights can be held against, or None."""
    try:
        if gone := files.missing(case.entrant):
            return f"trial {case.best.number} has no checkpoint any more: no such file: {gone[0]}"
        for run in case.entrant.runs:
            check(Path(run.directory))  # torch reads changed weights without a word
            config_of(run.file("config.yaml"))
    except (CheckpointInvalid, OSError, ValueError) as error:  # asked again, they would be the same
        return f"trial {case.best.number} is no whole model: {error}"
    return None


def _written(
    bench: Bench, verdict: Verdict, reigning: Champion | None, crowned: Champion | None = None
) -> bool:
    before = reigning.version if reigning else None
    return bench.champions.judge(bench.claim, verdict, crowned, reigning=before)


def _crowned(bench: Bench, case: _Case, verdict: Verdict) -> bool:
    """Copies the model and writes the verdict; False if a champion has come or was retired in between."""
    sweep, best = case.sweep, case.best
    place = bench.settings.champion_directory(verdict.schedule)
    with files.held(place):
        # Only who holds the place makes champions: a directory beyond the newest is a dead driver's.
        if bench.champions.last(verdict.schedule) != case.last:
            return False
        version = next_version(case.last)
        portrait = _portrait(case)
        about = {
            "schedule": verdict.schedule,
            "sweep_id": sweep.sweep_id,
            "number": best.number,
            "category_ids": list(category_ids_of(sweep.spec)),
        }
        known = partial(_is_known, bench.service)
        directory = files.keep(place, version, case.entrant, portrait, about, is_ours=known)
        crowned = Champion(
            verdict.schedule, version, sweep.sweep_id, best.number, verdict.at, str(directory), portrait
        )
        if _written(bench, verdict, case.reigning, crowned):
            return True
        files.drop(directory)
    return False


def _is_known(service: SweepService, sweep_id: str) -> bool:
    try:
        return service.sweep(sweep_id).sweep_id == sweep_id
    except UnknownSweep:
        return False


def _entrant(sweep: SweepRecord, best: Candidate[TrialRecord]) -> Entrant:
    runs = tuple(
        RunFiles(str(run.checkpoint), "", dict(run.params), run.seed, run.iteration) for run in best.runs
    )
    return Entrant(spec_document(sweep.spec), runs)


def _portrait(case: _Case) -> Portrait:
    spec, first = case.sweep.spec, case.best.runs[0]
    (metric, goal), *_ = Finals(spec).objectives
    return Portrait(
        metric=metric,
        goal=goal,
        value=case.best.value,
        runs=len(case.best.runs),
        params=dict(first.params),
        settings=settings_of(spec, first.metrics, case.entrant.runs[0].file("config.yaml")),
        categories=categories_of(spec),
        fingerprint=case.sweep.fingerprint,
        iterations=first.iteration,
    )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
