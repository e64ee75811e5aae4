"""The verdict on a night whose best no driver judged before it was over."""

from dataclasses import replace

from sweeps.core.candidate import candidate_of
from sweeps.core.champion import Decision
from sweeps.core.finals import Finals
from sweeps.core.states import SweepState
from sweeps.schedules.nights import night_text
from sweeps.service import SweepService
from sweeps.store.champions import Champions, Verdict
from sweeps.store.nights import Night


def unjudged(service: SweepService, night: Night, now: float) -> Verdict | None:
    """On what a driver would have judged, had one been there when the night came to its end; None: nothing.

    It is provisional: a driver that goes on with the sweep by day judges the night all the same. Its best is
    not lost: the next night goes on with the sweep, and its verdict is on the best of it all.

    Args:
        service: On the store.
        night: As it was read, about to be closed.
        now: Seconds since the Unix epoch.
    """
    sweep_id = night.firing.sweep_id or ""
    if night.state in (SweepState.PENDING, SweepState.CANCELLED):
        return None
    champions = Champions(service.engine)
    waits = champions.night_of(sweep_id)
    if waits is None or waits.fire_at != night.firing.fire_at:
        return None
    sweep = service.sweep(sweep_id)
    full, settled = sweep.spec.fidelity.iterations, night.state.terminal
    best = candidate_of(Finals(sweep.spec), service.trials(sweep_id), iterations=full, settled=settled)
    if isinstance(best, str):
        return None
    who = night.held_by_person
    why = f"{who} had paused its sweep" if who else "no driver was there"
    verdict = Verdict(
        schedule=waits.schedule,
        fire_at=waits.fire_at,
        decision=Decision.FAILED,
        reason=f"trial {best.number} was not judged: {why}",
        sweep_id=sweep_id,
        number=best.number,
        against=None,
        at=now,
        document={},
        provisional=True,
    )
    before = champions.judgement(waits.schedule, sweep_id, best.number)
    retired = [each.retired.at for each in champions.champions(waits.schedule) if each.retired is not None]
    if before is None or any(before.at <= at for at in retired):
        return verdict  # held against one that was retired since: that says nothing of who came after it
    # a trial that became champion in an earlier night crowns nobody in this one
    decision = Decision.FAILED if before.decision is Decision.FAILED else Decision.KEPT
    then = f"{before.decision.lower()}: {before.reason}"
    when = night_text(night.firing.timezone or "UTC", before.fire_at)
    reason = f"trial {best.number} was judged in the night of {when}: {then}"
    return replace(
        verdict, decision=decision, reason=reason, against=before.against, document=before.document
    )
