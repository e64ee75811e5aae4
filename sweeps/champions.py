"""Which champion is meant, and what is told of it and of verdicts: the same by the API and by `--json`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sweeps.core.errors import UnknownChampion
from sweeps.store.champions import Champion, Champions, Verdict, reigning_of
from sweeps.store.firings import Firings


def chosen_champion(kept: Champions, schedule: str, version: int | None) -> Champion | None:
    """The champion of a schedule that is meant.

    Args:
        kept: Of the store.
        schedule: Its name.
        version: From 1; None: the reigning one, which there may not be: not yet, or since it was retired.

    Raises:
        UnknownSchedule: There never was such a schedule.
        UnknownChampion: It has had no champion of that version.
    """
    if version is None:
        return kept.champion(schedule)
    there = kept.champions(schedule)
    for each in there:
        if each.version == version:
            return each
    raise UnknownChampion(schedule, version, there[0].version if there else None)


def champion_document(champion: Champion) -> dict[str, Any]:
    """A champion as JSON; its directory is one of the machine that keeps it."""
    portrait = champion.portrait
    return {
        "schedule": champion.schedule,
        "version": champion.version,
        "sweep_id": champion.sweep_id,
        "number": champion.number,
        "promoted_at": champion.promoted_at,
        "directory": champion.directory,
        "metric": portrait.metric,
        "goal": str(portrait.goal),
        "value": portrait.value,
        "runs": portrait.runs,
        "iterations": portrait.iterations,
        "params": dict(portrait.params),
        "settings": None if portrait.settings is None else asdict(portrait.settings),
        "categories": list(portrait.categories),
        "fingerprint": portrait.fingerprint,
        "retired": None if champion.retired is None else asdict(champion.retired),
    }


def told_champions(
    kept: Champions, schedule: str, version: int | None
) -> tuple[Champion | None, Champion | None]:
    """The champion that is meant, as of `chosen_champion`, and the last one if that was retired."""
    last = kept.last(schedule)
    found = reigning_of(last) if version is None else chosen_champion(kept, schedule, version)
    return found, None if last is None or last.retired is None else last


def reigning_document(found: Champion | None, gone: Champion | None) -> dict[str, Any]:
    """What is told of a schedule's champion, given `told_champions`: `champion`, and `retired`."""
    return {
        "champion": None if found is None else champion_document(found),
        "retired": None if gone is None else champion_document(gone),
    }


def verdict_documents(firings: Firings, schedule: str, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Verdicts on nights of a schedule as JSON, each with what its night is called.

    Args:
        firings: Of the store.
        schedule: The schedule's name.
        verdicts: To be told.
    """
    called = firings.called(schedule, [each.fire_at for each in verdicts])
    return [_verdict_document(each, called[each.fire_at]) for each in verdicts]


def _verdict_document(verdict: Verdict, local: str) -> dict[str, Any]:
    """With the comparison's numbers where there was one."""
    found = verdict.document
    comparison = None
    if found:
        names = ("metric", "candidate", "champion", "low", "high", "confidence", "images", "candidates")
        comparison = {name: found[name] for name in (*names, "candidate_runs", "champion_runs")}
    return {
        "schedule": verdict.schedule,
        "fire_at": verdict.fire_at,
        "local": local,
        "decision": str(verdict.decision),
        "reason": verdict.reason,
        "sweep_id": verdict.sweep_id,
        "number": verdict.number,
        "against": verdict.against,
        "at": verdict.at,
        "comparison": comparison,
    }
