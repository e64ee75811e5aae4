"""Commands against a service (`--server`, or MASKSWEEP_SERVER) instead of a home on this machine."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sweeps.cli.columns import Column, fitted_table
from sweeps.cli.output import data, minute, print_json, words
from sweeps.cli.progress_view import measured
from sweeps.cli.standings import best_document, pareto, ranked, trial_document
from sweeps.core.errors import UserError
from sweeps.core.extension import read_extension
from sweeps.core.finals import Finals
from sweeps.core.requests import AIMS
from sweeps.core.spec import spec_from_document
from sweeps.core.states import SweepState, TrialState
from sweeps.records import SweepRecord, TrialRecord

if TYPE_CHECKING:
    from sweeps.client import Client

POLL_S = 0.5


def list_sweeps(client: "Client", *, as_json: bool) -> None:
    """Prints all sweeps, newest first."""
    rows = list(client.pages("/sweeps", "sweeps", best=True, limit=200))
    if as_json:
        print_json({"sweeps": rows})
    elif rows:
        data.print(_sweeps_table(rows))
    else:
        words.print("no sweeps yet")


def _sweeps_table(rows: list[dict[str, Any]]) -> Any:
    def best(row: Mapping[str, Any]) -> str:
        found = row["best"]
        if found is None:
            return "-"
        return f"{measured(found['metrics'], row['objectives'][0]['metric'])} (trial {found['number']})"

    cells = {
        "sweep": [row["sweep_id"] for row in rows],
        "state": [row["state"] for row in rows],
        "trials": [f"{row['trials']['ended']}/{row['budget_trials']}" for row in rows],
        "best": [best(row) for row in rows],
        "created": [minute(row["created_at"]) for row in rows],
        "reason": [row["reason"] or row.get("note") or "-" for row in rows],
    }
    columns = [
        Column(name, tuple(column), rank, name != "trials")
        for rank, (name, column) in zip((0, 0, 0, 0, 1, 2), cells.items(), strict=True)
    ]
    return fitted_table(columns, data.width)


def show_sweep(client: "Client", sweep_id: str, *, as_json: bool) -> None:
    """Prints one sweep with its leaderboard."""
    from sweeps.cli.tables import leaderboard_table, trouble  # noqa: PLC0415 - kept beside `show`

    document = client.get(f"/sweeps/{sweep_id}")
    path = f"/sweeps/{document['sweep_id']}"
    trials = list(client.pages(f"{path}/trials", "trials", limit=500))
    sweep, records = sweep_record(document), [trial_record(trial) for trial in trials]
    compare_url = client.get(f"{path}/nights")["compare_url"]
    if as_json:
        print_json({**document, **_findings(sweep, records), "mlflow": {"compare_url": compare_url}})
        return
    data.print(leaderboard_table(sweep, records, data.width))
    failures = trouble(records)
    if failures:
        data.print(failures)
    if document["warm_start"]:
        data.print(f"warm start: {document['warm_start']}", markup=False)
    if sweep.reason:
        data.print(f"{sweep.state}: {sweep.reason}", markup=False)
    if document.get("note"):
        data.print(f"note: {document['note']}", markup=False)
    if document["extension"]:
        data.print(f"extended: {read_extension(document['extension'])}", markup=False)
    best = _findings(sweep, records)["best"]
    if best and best["checkpoint"]:
        data.print(f"best model: {best['checkpoint']}", markup=False)
    if compare_url:
        data.print(f"compare: {compare_url}", markup=False, soft_wrap=True)


def _findings(sweep: SweepRecord, trials: list[TrialRecord]) -> dict[str, Any]:
    """Trials, the best of them and the front as `show` has them at home; files are where the service is."""

    def checkpoint(trial: TrialRecord) -> str | None:
        return trial.checkpoint

    finals, order = Finals(sweep.spec), ranked(sweep, trials)
    results = finals.results(trials)
    return {
        "trials": [trial_document(trial, results.get(trial.number), checkpoint) for trial in trials],
        "best": best_document(finals, order[0], trials, checkpoint) if order else None,
        "front": pareto(sweep, trials),
    }


def submit(
    client: "Client", text: str, *, key: str | None, priority: int, weight: float, as_json: bool
) -> None:
    """Gives a spec to the service."""
    params = {"priority": priority, "weight": weight}
    answer = client.post("/sweeps", text=text, key=key, params=params)
    sweep_id = answer["sweep"]["sweep_id"]
    for note in answer["notes"]:
        words.print(f"note: {note}", markup=False)
    if as_json:
        print_json(answer["sweep"])
        return
    data.print(sweep_id, markup=False)
    words.print(f"\nhint: masksweep --server {client.url} show {sweep_id}", markup=False)


def ask(
    client: "Client", kind: str, sweep_id: str, *, as_json: bool, wait: bool, reason: str | None = None
) -> None:
    """Asks to pause, cancel or resume a sweep, and with `wait` returns once it is so.

    Raises:
        UserError: The service refuses it, or the sweep came to another end first.
    """
    answer = client.post(f"/sweeps/{sweep_id}/{kind}", {} if reason is None else {"reason": reason})
    aim = {str(known): state for known, state in AIMS.items()}.get(kind, SweepState.RUNNING)
    sweep = answer["sweep"]
    asked = answer["request"]
    while wait and sweep["state"] != aim:
        left = [request["request_id"] for request in sweep["requests"]]
        undone = asked is not None and asked["request_id"] not in left
        if undone or SweepState(sweep["state"]).terminal:
            raise UserError(f"sweep {sweep['sweep_id']} was {sweep['state']} before it could be {aim}")
        time.sleep(POLL_S)
        sweep = client.get(f"/sweeps/{sweep['sweep_id']}")
    if as_json:
        print_json({**answer, "sweep": sweep})
        return
    reason = f": {sweep['reason']}" if sweep["reason"] else ""
    told = "" if answer["answer"] != "asked" or wait else f"; the service will {kind} it"
    words.print(f"sweep {sweep['sweep_id']} is {sweep['state']}{reason}{told}", markup=False)


def extend(
    client: "Client", sweep_id: str, more: Mapping[str, Any], *, key: str | None, resume: bool, as_json: bool
) -> None:
    """Adds to a sweep's budget."""
    params = {"resume": resume}
    answer = client.post(f"/sweeps/{sweep_id}/extend", more, key=key, params=params)
    if as_json:
        print_json(answer)
        return
    sweep = answer["sweep"]
    added = ", ".join(f"{name} {value}" for name, value in more.items())
    told = f"sweep {sweep['sweep_id']}: {added} more, {sweep['budget']['trials']} trials in all"
    if sweep["state"] == SweepState.PAUSED:
        told += "; the service goes on with it" if answer.get("goes_on") else "; it is PAUSED until a resume"
    words.print(told, markup=False)


def events(client: "Client", sweep_id: str | None, *, after: int, follow: bool, as_json: bool) -> None:
    """Prints what happened, and with `follow` what happens, until it is interrupted."""
    path = "/events"
    if sweep_id is not None:
        path = f"/sweeps/{client.get(f'/sweeps/{sweep_id}')['sweep_id']}/events"
    last: int | None = after
    while last is not None:
        page = client.get(path, after=last, limit=1000)
        for event in page["events"]:
            print_event(event, as_json=as_json)
            after = event["event_id"]
        last = page["next"]
    if follow:
        for event in client.follow(f"{path}/stream", after):
            print_event(event, as_json=as_json)


def print_event(event: Mapping[str, Any], *, as_json: bool) -> None:
    """One event on a line."""
    if as_json:
        data.file.write(json.dumps(event, allow_nan=False) + "\n")
        data.file.flush()
        return
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["at"]))
    who = event["by"] or "driver"
    trial = "" if event["number"] is None else f" trial {event['number']}"
    said = json.dumps(event["data"], ensure_ascii=False) if event["data"] else ""
    line = f"{event['event_id']} {at} {event['sweep_id'] or 'service'}{trial} {event['kind']} by {who} {said}"
    data.print(line.rstrip(), markup=False, soft_wrap=True)


def sweep_record(document: Mapping[str, Any]) -> SweepRecord:
    """A sweep from the service's document of it."""
    spec = spec_from_document(json.dumps(document["spec"]))
    return SweepRecord(
        sweep_id=document["sweep_id"],
        name=document["name"],
        state=SweepState(document["state"]),
        reason=document["reason"],
        epoch=document["epoch"],
        spec=spec,
        fingerprint=document["fingerprint"] or "",
        created_at=document["created_at"],
        started_at=document["started_at"],
        ended_at=document["ended_at"],
        worker_s=document["worker_s"],
        active_s=document["active_s"],
        driver=None,
        budget=spec.budget,
    )


def trial_record(document: Mapping[str, Any]) -> TrialRecord:
    """A trial from the service's document of it; what it leaves out is empty."""
    return TrialRecord(
        number=document["number"],
        state=TrialState(document["state"]),
        reason=document["reason"],
        params=document["params"],
        seed=document["seed"],
        attempt=document["attempt"],
        failures=document["failures"],
        iteration=document["iteration"],
        checkpoint=document["checkpoint"],
        checkpoint_iteration=0,
        worker_s=document["worker_s"],
        started_at=document["started_at"],
        ended_at=document["ended_at"],
        sampler_attrs={},
        metrics=document["metrics"],
        measured_iteration=document["measured_iteration"],
        replicate_of=document["replicate_of"],
    )
