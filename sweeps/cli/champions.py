"""What the commands of `masksweep champion` do."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sweeps.bootstrap import open_service
from sweeps.champion_files import RESTORING, copy_used, damage_of, is_here, require_whole
from sweeps.champions import (
    champion_document,
    chosen_champion,
    reigning_document,
    told_champions,
    verdict_documents,
)
from sweeps.cli.columns import Column, fitted_table
from sweeps.cli.output import data, minute, print_error, print_json, stdout_kept_clean, words
from sweeps.cli.where import named_server
from sweeps.core.errors import SpecInvalid, UserError
from sweeps.invocation import caller
from sweeps.settings import Settings
from sweeps.store.champions import Champion, Champions
from sweeps.store.firings import Firings
from sweeps.store.retiring import retire_champion

if TYPE_CHECKING:
    from sweeps.client import Client

_SHOWN = 20
"""Verdicts that are shown; `--json` has all of a home, and as many of a service."""


def list_champions(home: Path | None, client: "Client | None", *, as_json: bool) -> None:
    """Prints each schedule's champion."""
    if client is not None:
        rows = client.get("/champions")["champions"]
    else:
        rows = [champion_document(each) for each in _champions(home).reigning()]
    if as_json:
        print_json({"champions": rows})
    elif rows:
        columns = [
            Column("schedule", tuple(row["schedule"] for row in rows), left=True),
            Column("version", tuple(f"v{row['version']}" for row in rows)),
            Column("value", tuple(_value(row) for row in rows), left=True),
            Column("since", tuple(minute(row["promoted_at"]) for row in rows), left=True),
            Column("sweep", tuple(row["sweep_id"] for row in rows), 1, left=True),
            Column("trial", tuple(str(row["number"]) for row in rows)),
        ]
        data.print(fitted_table(columns, data.width))
    else:
        words.print("no champions")


def show_champion(
    name: str, version: int | None, home: Path | None, client: "Client | None", *, as_json: bool
) -> None:
    """Prints a champion, the reigning one where no version is named, with the verdicts of its schedule.

    Raises:
        UnknownSchedule: There is no such schedule.
        UnknownChampion: It has had no champion of that version.
    """
    answer: Mapping[str, Any]
    damage: list[str] | None = None  # not known: the files are elsewhere, or gone
    if client is not None:
        answer = client.get(f"/schedules/{quote(name, safe='')}/champion", version=version)
        verdicts = client.get(f"/schedules/{quote(name, safe='')}/verdicts", limit=_SHOWN)["verdicts"]
    else:
        engine = open_service(Settings.load(home)).engine
        kept = Champions(engine)
        found, gone = told_champions(kept, name, version)
        answer = reigning_document(found, gone)
        if found is not None and is_here(found):
            damage = list(damage_of(found))
        verdicts = verdict_documents(Firings(engine), name, kept.verdicts(name))
    champion, retired = answer["champion"], answer.get("retired")
    if as_json:
        print_json({"champion": champion, "retired": retired, "verdicts": verdicts, "damage": damage})
        return
    if champion is None and retired is not None:
        data.print(f"schedule {name} has no champion: {_retired(retired)}", markup=False, soft_wrap=True)
    elif champion is None:
        words.print(f"schedule {name} has no champion yet", markup=False)
    else:
        elsewhere = client is None and damage is None
        _print_champion(champion, " (not here any more)" if elsewhere else "")
        if damage:
            data.print(f"{'damaged':<11} {', '.join(damage)}", markup=False, soft_wrap=True)
            words.print(f"hint: {RESTORING}", markup=False)
    _print_verdicts(verdicts[:_SHOWN])


def retire(
    name: str,
    version: int | None,
    reason: str | None,
    home: Path | None,
    client: "Client | None",
    *,
    as_json: bool,
) -> None:
    """Retires a schedule's champion and prints that it is.

    Raises:
        UnknownSchedule: There is no such schedule.
        UnknownChampion: It has had no champion of that version.
        WrongState: It has had no champion yet, or another version reigns.
    """
    if client is not None:
        asked = {"version": version, "reason": reason}
        body = {key: value for key, value in asked.items() if value is not None}
        retired: Mapping[str, Any] = client.post(f"/schedules/{quote(name, safe='')}/champion/retire", body)
    else:
        engine = open_service(Settings.load(home)).engine
        found = retire_champion(engine, name, version=version, reason=reason, by=caller(), now=time.time())
        retired = champion_document(found)
    if as_json:
        print_json(retired)
        return
    data.print(f"champion {_retired(retired)}", markup=False, soft_wrap=True)
    words.print(f"MLflow's alias goes with: masksweep mirror {retired['sweep_id']}", markup=False)


def _retired(champion: Mapping[str, Any]) -> str:
    told = champion["retired"]
    why = f": {told['reason']}" if told["reason"] else ""
    of = f"v{champion['version']} of {champion['schedule']}"
    return f"{of} was retired by {told['by']} at {minute(told['at'])}{why}"


def _print_champion(champion: Mapping[str, Any], whereabouts: str) -> None:
    runs = f", the mean of {champion['runs']} runs" if champion["runs"] > 1 else ""
    lines = {
        "champion": f"v{champion['version']} of {champion['schedule']}, since"
        f" {minute(champion['promoted_at'])}",
        "value": f"{_value(champion)} when it was promoted{runs}",
        "from": f"trial {champion['number']} of {champion['sweep_id']}",
        "params": _pairs(champion["params"]) or "none",
        "settings": _pairs(champion["settings"] or {}) or "none: it has no model",
        "categories": ", ".join(champion["categories"]) or "none",
        "files": f"{champion['directory']}{whereabouts}",
    }
    if champion.get("retired"):  # an older service has no such field
        lines["retired"] = _retired(champion)
    for name, value in lines.items():
        data.print(f"{name:<11} {value}", markup=False, soft_wrap=True)


def _print_verdicts(verdicts: Sequence[Mapping[str, Any]]) -> None:
    if not verdicts:
        words.print("no night was judged yet")
        return
    columns = [
        Column("night", tuple(row["local"] for row in verdicts), left=True),
        Column("verdict", tuple(row["decision"] for row in verdicts), left=True),
        Column("reason", tuple(row["reason"] for row in verdicts), left=True, folds=True),
    ]
    data.print(fitted_table(columns, data.width))


def export_champion(
    name: str, version: int | None, directory: Path, home: Path | None, *, as_json: bool
) -> None:
    """Copies a champion's files; what only comparisons need stays.

    Raises:
        UserError: There is no such champion, it is damaged, the directory is there, or it cannot be written.
    """
    champion = _here(name, version, home, "export")
    if directory.exists():
        raise UserError(f"{directory} is there already", "name a directory that is not")
    try:
        copy_used(champion, directory)
    except OSError as error:  # shutil's own errors are such
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"champion v{champion.version} cannot be copied to {directory}: {reason}") from error
    files = sorted(path.name for path in directory.iterdir())
    if as_json:
        print_json({"directory": str(directory), "files": files, "champion": champion_document(champion)})
    else:
        data.print(f"{directory}: {', '.join(files)}", markup=False, soft_wrap=True)


def predict_images(
    name: str, version: int | None, images: Sequence[Path], out: Path, home: Path | None, *, as_json: bool
) -> int:
    """Segments images and prints what was found; returns the exit code.

    Raises:
        UserError: There is no such champion, it is damaged, or it is of a synthetic base.
    """
    from sweeps.launchers.runner import load_runner  # noqa: PLC0415 - only this needs the runner

    champion = _here(name, version, home, "predict")
    if champion.portrait.settings is None:
        raise UserError(
            f"champion v{champion.version} of {name} is of a synthetic base: it is no model of images"
        )
    require_whole(champion)
    try:
        with stdout_kept_clean():
            found = load_runner().predict(Path(champion.directory), images, out)
    except SpecInvalid as error:
        print_error(error, "images")
        return 2
    rows = [
        {"image": str(each.image), "overlay": str(each.overlay), "instances": each.instances}
        for each in found.images
    ]
    if as_json:
        print_json(
            {
                "version": champion.version,
                "predictions": str(found.predictions),
                "own_category_ids": found.own_ids,
                "images": rows,
            }
        )
        return 0
    for row in rows:
        data.print(
            f"{row['image']}: {row['instances']} found, {row['overlay']}", markup=False, soft_wrap=True
        )
    words.print(f"COCO annotations in {found.predictions}", markup=False)
    if not found.own_ids:
        words.print(
            f"their category ids count from 1: champion v{champion.version} was kept without its data set's"
        )
    return 0


def _champions(home: Path | None) -> Champions:
    return Champions(open_service(Settings.load(home)).engine)


def _here(name: str, version: int | None, home: Path | None, command: str) -> Champion:
    """The champion that is meant, whose files are on this machine."""
    if named_server():
        raise UserError(
            f"--server: champion {command} works on this machine, where the champion's files are",
            "leave --server out, and name the home with --home",
        )
    kept = _champions(home)
    champion = chosen_champion(kept, name, version)
    if champion is None and (last := kept.last(name)) is not None:
        raise UserError(
            f"schedule {name} has no champion: {_retired(champion_document(last))}",
            f"--version {last.version} takes what is left of it",
        )
    if champion is None:
        raise UserError(f"schedule {name} has no champion yet", f"masksweep champion show {name} tells why")
    if not is_here(champion):
        raise UserError(
            f"champion v{champion.version} of {name} is not here: no such directory: {champion.directory}",
            f"its files are where its sweep ran; {_told_here(kept.champions(name))}",
        )
    return champion


def _told_here(champions: Sequence[Champion]) -> str:
    there = [f"v{each.version}" for each in reversed(champions) if is_here(each)]
    return f"here are the files of {', '.join(there)}" if there else "no other's are here"


def _value(row: Mapping[str, Any]) -> str:
    return f"{row['metric']} {row['value']:.4g}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
