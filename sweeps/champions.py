"""What is told of champions and verdicts: the same documents by the API and by `--json`."""

from dataclasses import asdict
from typing import Any

from sweeps.store.champions import Champion, Verdict


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
    }


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON, with the comparison's numbers where there was one."""
    found = verdict.document
    comparison = None
    if found:
        names = ("metric", "candidate", "champion", "low", "high", "confidence", "images", "candidates")
        comparison = {name: found[name] for name in (*names, "candidate_runs", "champion_runs")}
    return {
        "schedule": verdict.schedule,
        "fire_at": verdict.fire_at,
        "decision": str(verdict.decision),
        "reason": verdict.reason,
        "sweep_id": verdict.sweep_id,
        "number": verdict.number,
        "against": verdict.against,
        "at": verdict.at,
        "comparison": comparison,
    }
