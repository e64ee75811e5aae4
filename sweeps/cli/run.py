"""`masksweep run` and `masksweep resume`."""

import contextlib
import time
from pathlib import Path

from sweeps.bootstrap import open_service
from sweeps.cli.document import sweep_document
from sweeps.cli.output import data, print_error, print_json, stdout_kept_clean, words
from sweeps.cli.progress_view import progress_view
from sweeps.cli.tables import leaderboard_table, trouble
from sweeps.cli.warm import warm_issues, warm_plan, warm_words
from sweeps.core.errors import DataChanged, SpecInvalid, UserError, WrongState
from sweeps.core.reopening import extension_refusal
from sweeps.core.salvage import salvage
from sweeps.core.spec import SweepSpec, parse_spec
from sweeps.core.states import SweepState
from sweeps.core.stops import Limit
from sweeps.invocation import caller, command, mlflow_place, resume_command
from sweeps.launchers.runner import DriveOrder, Preflight, Runner, load_runner
from sweeps.records import SweepRecord
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.control import SweepControl

EXIT_OK, EXIT_FAILED, EXIT_USER, EXIT_INTERRUPTED = 0, 1, 2, 130


def run_spec(path: Path, settings: Settings, *, as_json: bool, ray_address: str | None) -> int:
    """Validates everything, creates the sweep, drives it to its end, prints the leaderboard.

    Returns:
        The exit code: 0 completed, 1 failed, 2 a mistake in the spec or its data, 130 interrupted.

    Raises:
        UserError: There is nothing to run it on.
    """
    runner = load_runner()
    try:
        spec, checked = checked_spec(runner, path, settings)
    except SpecInvalid as error:
        print_error(error, str(path))
        return EXIT_USER
    runner.check_resources(spec, ray_address)
    for note in checked.notes:
        words.print(f"note: {note}", markup=False)
    service = open_service(settings, create=True)
    warm = warm_plan(service, spec, checked)
    sweep = service.create(
        spec, fingerprint=checked.fingerprint, now=time.time(), base=checked.base, warm=warm, by=caller()
    )
    words.print(f"sweep {sweep.sweep_id}: {spec.budget.trials} trials, home {settings.home}", markup=False)
    if warm is not None:
        for line in warm_words(warm, spec):
            words.print(line, markup=False)
    return _drive(runner, service, settings, sweep.sweep_id, as_json=as_json, ray_address=ray_address)


def resume_sweep(sweep_id: str, settings: Settings, *, as_json: bool, ray_address: str | None) -> int:
    """Goes on with a sweep that was interrupted, paused, given up, or whose driver died.

    Returns:
        The exit code, as for `run_spec`.

    Raises:
        WrongState: It has ended, or its data set has changed since.
        UserError: There is nothing to run it on.
    """
    load_runner()  # what is not installed is said first
    service = open_service(settings)
    sweep_id = service.sweep(sweep_id).sweep_id
    try:
        return drive_on(service, sweep_id, settings, as_json=as_json, ray_address=ray_address, by=caller())
    except SpecInvalid as error:
        print_error(error, sweep_id)
        return EXIT_USER


def drive_on(
    service: SweepService,
    sweep_id: str,
    settings: Settings,
    *,
    as_json: bool,
    ray_address: str | None,
    by: str | None = None,
) -> int:
    """Checks a sweep's data again, and drives it.

    Args:
        service: On the store.
        sweep_id: The sweep.
        settings: Where things are kept.
        as_json: Print one document at the end.
        ray_address: A running Ray cluster, or None for one of our own.
        by: Who takes it up again if it was given up; None: it stays FAILED.

    Returns:
        The exit code, as for `run_spec`.

    Raises:
        SpecInvalid: With every problem of its data and its base.
        DataChanged: The data set has changed since it was created.
        WrongState: It has ended.
        UserError: There is nothing to run it on.
    """
    runner, control = load_runner(), SweepControl(service.engine)
    sweep = service.sweep(sweep_id)
    taken_up = by if by and control.was_given_up(sweep_id) else None
    if sweep.state.terminal and not taken_up:
        refused = extension_refusal(sweep.state, sweep.reason, sweep.stopped_by, frozenset(Limit))
        raise WrongState(
            f"sweep {sweep.sweep_id} is {sweep.state}: there is nothing to go on with",
            command(settings, "show", sweep.sweep_id) if refused else "masksweep extend adds to its budget",
        )
    _check_data(runner, service, sweep, settings.data_roots)
    runner.check_resources(sweep.spec, ray_address)
    if taken_up:
        control.take_up(sweep_id, by=taken_up, now=time.time())
    return _drive(runner, service, settings, sweep_id, as_json=as_json, ray_address=ray_address)


def _check_data(runner: Runner, service: SweepService, sweep: SweepRecord, roots: tuple[Path, ...]) -> None:
    """Reads a sweep's data, and notes what it is if nobody has read it before."""
    checked = runner.preflight(sweep.spec, roots)
    if checked.issues:
        raise SpecInvalid(checked.issues)
    if not sweep.fingerprint:  # who took it in could not read its data
        sweep = service.note_data(
            sweep.sweep_id, fingerprint=checked.fingerprint, base=checked.base, now=time.time()
        )
    if checked.fingerprint != sweep.fingerprint:
        raise DataChanged(
            f"the data set of sweep {sweep.sweep_id} has changed since it was created",
            "its trials could not be compared any more: restore the files, or run a new sweep",
        )


def checked_spec(runner: Runner, path: Path, settings: Settings) -> tuple[SweepSpec, Preflight]:
    """The spec in a file and what was found out about its data.

    Raises:
        SpecInvalid: With every problem of the spec, of its data and of the sweeps that it names.
        UserError: The file cannot be read.
    """
    text, directory = read_spec(path), path.resolve().parent
    try:
        spec = parse_spec(text, directory)
    except SpecInvalid as error:
        salvaged = salvage(text, directory)
        found = runner.preflight(salvaged.spec).issues if salvaged else ()
        more = [issue for issue in found if salvaged and salvaged.shows(issue)]
        more += warm_issues(salvaged.spec, settings) if salvaged else []
        raise SpecInvalid((*error.issues, *more)) from None
    checked = runner.preflight(spec)
    issues = [*checked.issues, *warm_issues(spec, settings)]
    if issues:
        raise SpecInvalid(issues)
    return spec, checked


def read_spec(path: Path) -> str:
    """The text of a spec's file.

    Raises:
        UserError: It cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"the spec {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the spec {path} is not UTF-8 text (byte {error.start})") from error


def _drive(
    runner: Runner,
    service: SweepService,
    settings: Settings,
    sweep_id: str,
    *,
    as_json: bool,
    ray_address: str | None,
) -> int:
    metric = service.sweep(sweep_id).spec.objectives[0].metric
    resume = resume_command(settings, sweep_id, ray_address)
    with (
        contextlib.suppress(KeyboardInterrupt),  # the store knows; the state below tells
        stdout_kept_clean(),
        progress_view(metric) as on_progress,
    ):
        order = DriveOrder(
            service=service,
            settings=settings,
            sweep_id=sweep_id,
            ray_address=ray_address,
            on_progress=on_progress,
            on_note=lambda note: words.print(f"note: {note}", markup=False),
        )
        try:
            runner.drive(order)
        except UserError as error:
            if service.sweep(sweep_id).state.terminal:
                raise
            again = f"the sweep is kept, go on with: {resume}"
            raise UserError(str(error), f"{error.hint}; {again}" if error.hint else again) from error
    if as_json:
        print_json(sweep_document(service, settings, sweep_id))
    else:
        _print_outcome(service, settings, sweep_id)
    match service.sweep(sweep_id).state:
        case SweepState.COMPLETED:
            return EXIT_OK
        case SweepState.FAILED:
            return EXIT_FAILED
        case SweepState.CANCELLED:
            return EXIT_INTERRUPTED
        case _:
            words.print(f"\nhint: {resume}", markup=False)
            return EXIT_INTERRUPTED


def _print_outcome(service: SweepService, settings: Settings, sweep_id: str) -> None:
    sweep, trials = service.sweep(sweep_id), service.trials(sweep_id)
    data.print(leaderboard_table(sweep, trials, data.width))
    failures = trouble(trials)
    if failures:
        words.print(failures)
    if sweep.reason:
        words.print(f"{sweep.state}: {sweep.reason}", markup=False)
    document = sweep_document(service, settings, sweep_id)
    best, mlflow = document["best"], document["mlflow"]
    if best and best["checkpoint"]:
        words.print(f"best model: {best['checkpoint']}", markup=False)
    if mlflow["compare_url"]:
        words.print(f"MLflow: {mlflow_place(mlflow['tracking_uri'])}", markup=False)
        words.print(f"compare: {mlflow['compare_url']}", markup=False)
