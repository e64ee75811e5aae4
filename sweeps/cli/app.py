"""The `masksweep` command."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli import champion, notify, remote, remote_findings, schedule, team, token
from sweeps.cli.options import HomeOption, JsonOption, RayOption, WaitOption, checked_reason
from sweeps.cli.output import data, print_error, print_json, words
from sweeps.cli.where import choose_server, done_there, service_client
from sweeps.core.errors import StaleEpoch, UserError
from sweeps.core.requests import RequestKind
from sweeps.invocation import command
from sweeps.launchers.runner import IouType
from sweeps.settings import Settings

if TYPE_CHECKING:
    from sweeps.service import SweepService

app = typer.Typer(
    help="Hyperparameter sweeps for Detectron2 instance segmentation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
dataset_app = typer.Typer(help="Data sets.", no_args_is_help=True)
app.add_typer(dataset_app, name="dataset")
app.add_typer(token.app, name="token")
app.add_typer(schedule.app, name="schedule")
app.add_typer(champion.app, name="champion")
app.add_typer(notify.app, name="notify")


def _store(settings: Settings) -> "SweepService":
    from sweeps.bootstrap import open_service  # noqa: PLC0415 - imports SQLAlchemy: what asks a service needs none

    return open_service(settings)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"masksweep {version('masksweep')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(help="URL of a service that has the sweeps; else MASKSWEEP_SERVER, else a home here."),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""
    choose_server(server, context.invoked_subcommand)


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(help="The sweep's spec, a YAML file.", show_default=False)],
    home: HomeOption = None,
    as_json: JsonOption = False,
    ray_address: RayOption = None,
) -> None:
    """Run a sweep on this machine, or on a Ray cluster, to its end."""
    from sweeps.cli.run import run_spec  # noqa: PLC0415 - `ls` and `show` need less

    raise typer.Exit(run_spec(spec, Settings.load(home), as_json=as_json, ray_address=ray_address))


@app.command()
def plan(
    spec: Annotated[Path, typer.Argument(help="The sweep's spec, a YAML file.", show_default=False)],
    *,
    home: HomeOption = None,
    as_json: JsonOption = False,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Whether to train, or to plan by earlier sweeps alone.")
    ] = True,
    probe_seconds: Annotated[float, typer.Option(min=1, help="How long to train, at most.")] = 35.0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trials at once; else what this machine can take.")
    ] = None,
) -> None:
    """Say what a sweep would cost, and what of its space cannot be trained; create nothing."""
    from sweeps.cli.plan import plan_spec  # noqa: PLC0415 - only this plans
    from sweeps.cli.run import read_spec  # noqa: PLC0415 - imports the runner's seam

    client = service_client(home)
    if client is not None:
        text = read_spec(spec)
        raise typer.Exit(remote_findings.plan(client, spec, text, workers=workers, as_json=as_json))
    settings = Settings.load(home)
    seconds = probe_seconds if probe else 0.0
    raise typer.Exit(plan_spec(spec, settings, as_json=as_json, probe_s=seconds, workers=workers))


@app.command()
def resume(
    sweep_id: Annotated[str, typer.Argument(help="The sweep's id, or a unique beginning of it.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    ray_address: RayOption = None,
) -> None:
    """Go on with a stopped sweep from its last checkpoints."""
    if done_there(home, lambda client: remote.ask(client, "resume", sweep_id, as_json=as_json, wait=False)):
        return
    from sweeps.cli.run import resume_sweep  # noqa: PLC0415 - `ls` and `show` need less

    raise typer.Exit(resume_sweep(sweep_id, Settings.load(home), as_json=as_json, ray_address=ray_address))


@app.command(hidden=True)
def drive(
    sweep_id: Annotated[str, typer.Argument(help="The sweep's id.")],
    launch: Annotated[int, typer.Option(min=1, help="The number of the launch.")],
    home: HomeOption = None,
    ray_address: RayOption = None,
    handle: Annotated[str | None, typer.Option(help="How the launcher finds this process.")] = None,
) -> None:
    """Drive a sweep as the process of a supervisor's launch."""
    from sweeps.cli.drive import drive_launch  # noqa: PLC0415 - only supervisors start it

    settings = Settings.load(home)
    raise typer.Exit(drive_launch(sweep_id, launch, settings, ray_address=ray_address, handle=handle))


@app.command()
def pause(
    sweep_id: Annotated[str, typer.Argument(help="The sweep's id, or a unique beginning of it.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    wait: WaitOption = False,
) -> None:
    """Stop a sweep at its next checkpoints; `resume` goes on from there."""
    if done_there(home, lambda client: remote.ask(client, "pause", sweep_id, as_json=as_json, wait=wait)):
        return
    from sweeps.cli.requests import ask  # noqa: PLC0415 - only this and `cancel` ask

    ask(RequestKind.PAUSE, sweep_id, Settings.load(home), as_json=as_json, wait=wait)


@app.command()
def cancel(
    sweep_id: Annotated[str, typer.Argument(help="The sweep's id, or a unique beginning of it.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    wait: WaitOption = False,
    reason: Annotated[
        str | None, typer.Option(help="Why; the sweep and its trials tell it.", show_default=False)
    ] = None,
) -> None:
    """End a sweep for good: what runs stops at its next iteration, and nothing more is tried."""
    reason = checked_reason(reason)
    if done_there(
        home, lambda client: remote.ask(client, "cancel", sweep_id, as_json=as_json, wait=wait, reason=reason)
    ):
        return
    from sweeps.cli.requests import ask  # noqa: PLC0415 - only this and `pause` ask

    ask(RequestKind.CANCEL, sweep_id, Settings.load(home), as_json=as_json, wait=wait, reason=reason)


@app.command()
def extend(
    sweep_id: Annotated[str, typer.Argument(help="The sweep's id, or a unique beginning of it.")],
    *,
    trials: Annotated[int | None, typer.Option(help="So many trials more.", show_default=False)] = None,
    gpu_hours: Annotated[
        float | None, typer.Option(help="So many GPU-hours more.", show_default=False)
    ] = None,
    wall: Annotated[str | None, typer.Option(help="So much time more, as 1h30m.", show_default=False)] = None,
    deadline: Annotated[
        str | None, typer.Option(help='The next such time, as "07:00 Europe/Berlin".', show_default=False)
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="A better value, as segm/AP=45.", show_default=False)
    ] = None,
    no_improvement: Annotated[
        int | None, typer.Option(help="So many more that may end without a better one.", show_default=False)
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Asking again under the same key adds nothing.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with it here, unless a driver does.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    ray_address: RayOption = None,
) -> None:
    """Add to a sweep's budget while it runs, or after a limit of it ended the sweep."""
    from sweeps.cli.extend import extend_sweep, given_extension  # noqa: PLC0415 - imports pydantic
    from sweeps.cli.run import resume_sweep  # noqa: PLC0415 - only with --resume

    given = {
        "trials": trials,
        "gpu_hours": gpu_hours,
        "wall": wall,
        "deadline": deadline,
        "target": target,
        "no_improvement": no_improvement,
    }
    if done_there(
        home,
        lambda client: remote.extend(
            client, sweep_id, given_extension(given), key=key, resume=resume, as_json=as_json
        ),
    ):
        return
    settings = Settings.load(home)
    reply = extend_sweep(sweep_id, given, settings, key=key, as_json=as_json, resume=resume)
    if reply is None:
        raise typer.Exit(2)
    if resume and reply.driver is None:
        full_id = reply.sweep.sweep_id
        raise typer.Exit(resume_sweep(full_id, settings, as_json=as_json, ray_address=ray_address))


@app.command()
def ls(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the sweeps of a home, newest first."""
    if done_there(home, lambda client: remote.list_sweeps(client, as_json=as_json)):
        return
    from sweeps.cli.show import list_sweeps  # noqa: PLC0415 - kept beside `show`

    list_sweeps(_store(Settings.load(home)), as_json=as_json)


@app.command()
def show(
    sweep_id: Annotated[str, typer.Argument(help="The sweep's id, or a unique beginning of it.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a sweep: its leaderboard, its failures, where to compare it in MLflow."""
    if done_there(home, lambda client: remote.show_sweep(client, sweep_id, as_json=as_json)):
        return
    from sweeps.cli.show import show_sweep  # noqa: PLC0415 - kept beside `ls`

    settings = Settings.load(home)
    show_sweep(_store(settings), settings, sweep_id, as_json=as_json)


@app.command()
def importance(
    sweep_id: Annotated[str, typer.Argument(help="The sweep's id, or a unique beginning of it.")],
    home: HomeOption = None,
    iterations: Annotated[
        int | None, typer.Option(help="The rung at which to compare trials; else the last that many came to.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which knobs mattered, for each objective."""
    if done_there(
        home, lambda client: remote_findings.importance(client, sweep_id, iterations, as_json=as_json)
    ):
        return
    from sweeps.cli.importance import show_importance  # noqa: PLC0415 - imports Optuna

    show_importance(_store(Settings.load(home)), sweep_id, iterations, as_json=as_json)


@app.command()
def compare(
    names: Annotated[
        list[str],
        typer.Argument(help="Two or more: SWEEP for its best trial, or SWEEP/TRIAL.", show_default=False),
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show sweeps or trials side by side: metrics, parameters, what differs in their specs."""
    from sweeps.cli.compare import compare_here, compare_there  # noqa: PLC0415 - only this compares

    if done_there(home, lambda client: compare_there(client, names, as_json=as_json)):
        return
    settings = Settings.load(home)
    compare_here(_store(settings), settings, names, as_json=as_json)


@app.command()
def mirror(
    sweep_id: Annotated[str, typer.Argument(help="The sweep's id, or a unique beginning of it.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring MLflow up to the store, from nothing if need be."""
    if done_there(home, lambda client: remote_findings.mirror(client, sweep_id, as_json=as_json)):
        return
    from sweeps.cli.show import mirror_sweep  # noqa: PLC0415 - imports MLflow

    settings = Settings.load(home)
    mirror_sweep(_store(settings), settings, sweep_id, as_json=as_json)


@app.command()
def knobs(as_json: JsonOption = False) -> None:
    """List the knobs that a search space can name."""
    if done_there(None, lambda client: remote_findings.knobs(client, as_json=as_json), if_named=True):
        return
    from sweeps.cli.knobs import knob_rows, knobs_table  # noqa: PLC0415 - only this command prints them

    if as_json:
        print_json({"knobs": knob_rows()})
    else:
        data.print(knobs_table(knob_rows()))


@app.command()
def metrics(as_json: JsonOption = False) -> None:
    """List the metrics that objectives, constraints and MLflow name."""
    if done_there(None, lambda client: remote_findings.metrics(client, as_json=as_json), if_named=True):
        return
    from sweeps.cli.metrics import metric_rows, metrics_table  # noqa: PLC0415 - only this command prints them

    if as_json:
        print_json({"metrics": metric_rows()})
    else:
        data.print(metrics_table(metric_rows()))


@app.command()
def evaluate(
    gt: Annotated[Path, typer.Option("--gt", help="COCO annotations.", show_default=False)],
    predictions: Annotated[Path, typer.Option("--predictions", help="COCO results.", show_default=False)],
    iou_type: Annotated[
        IouType, typer.Option("--iou-type", help="What to compare: masks, boxes or the masks' boundaries.")
    ] = "segm",
    max_detections: Annotated[
        int, typer.Option(min=1, help="An image's best detections of a category that count.")
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Score a file of predictions: AP, AR, small objects, overlaps."""
    from sweeps.cli.evaluate import evaluate_predictions  # noqa: PLC0415 - the runner measures

    code = evaluate_predictions(gt, predictions, iou_type, max_detections=max_detections, as_json=as_json)
    raise typer.Exit(code)


@dataset_app.command()
def synth(
    directory: Annotated[Path, typer.Argument(help="Where to write it; made if need be.")],
    *,
    train: Annotated[int, typer.Option(min=1, help="Training images.")] = 240,
    val: Annotated[int, typer.Option(min=1, help="Validation images.")] = 60,
    size: Annotated[int, typer.Option(min=64, max=2048, help="Side of an image in pixels.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write the synthetic data set, small parts on a noisy line, and a spec for it."""
    from sweeps.launchers.runner import DRAWING, load_runner  # noqa: PLC0415 - the runner draws it

    runner = load_runner(DRAWING)
    try:
        runner.write_dataset(directory, train=train, val=val, size=size, seed=seed)
    except OSError as error:
        raise UserError(f"the data set cannot be written to {directory}: {error.strerror}") from error
    spec = directory / "spec.yaml"
    if as_json:
        print_json({"directory": str(directory), "spec": str(spec), "train": train, "val": val})
    else:
        words.print(f"{train} train and {val} val images in {directory}", markup=False)
        words.print(f"\nhint: {command(Settings.load(), 'run', str(spec))}", markup=False)


team.add_commands(app)


def main() -> None:
    """Entry point: a user's mistake exits with 2 and no traceback."""
    try:
        app()
    except UserError as error:
        print_error(error)
        sys.exit(2)
    except StaleEpoch as error:
        words.print(f"error: {error}", style="bold red", markup=False)
        words.print("\nhint: another driver runs this sweep now; this one has stopped", markup=False)
        sys.exit(1)
