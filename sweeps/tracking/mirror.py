"""Ships what MLflow does not show yet. The store is the truth; a mirror can be thrown away and built again.

A sync can end at any point and the next one makes the picture whole, for three reasons. Runs are looked for
by tag before they are made, wherever one may exist that the marks do not know. What MLflow has already
changes nothing when it is logged again: metrics with the same name, step, time and value, equal params, tags,
artifacts and inputs. A mark moves only after what it stands for has arrived.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from sweeps.core.details import details_document
from sweeps.core.finals import Finals
from sweeps.core.spec import spec_document
from sweeps.core.states import AttemptState
from sweeps.records import AttemptRecord, TrialRecord
from sweeps.service import SweepService
from sweeps.store.champions import Champions
from sweeps.store.marks import (
    SWEEP,
    Mark,
    Marks,
    attempts_without_facts,
    facts_of,
    item_of,
    last_details_of,
    unshown,
)
from sweeps.tracking.client import MAX_METRICS, MAX_PARAMS, Tracker
from sweeps.tracking.errors import MirrorUnavailable, RunGone
from sweeps.tracking.figures import pictures
from sweeps.tracking.finalists import finalist_points, winner_points
from sweeps.tracking.find_links import find_links
from sweeps.tracking.links import MlflowLinks, redacted
from sweeps.tracking.picture import (
    Point,
    RunPicture,
    attempt_picture,
    best_points,
    best_so_far,
    curve_points,
    dataset_pictures,
    measured_points,
    sweep_picture,
)
from sweeps.tracking.registry import Registry

Step = Callable[[str], None]

_CREATED = "created"
"""Stands in a mark, before it is saved, for a run that was made with its tags a moment ago."""


@dataclass(frozen=True, slots=True)
class MirrorState:
    """What a sync came to: MLflow shows all that the store held when it began.

    Attributes:
        tracking_uri: Without user and password.
        experiment_id: MLflow's experiment.
        parent_run_id: The run that stands for the sweep.
        runs: Attempts shown.
        shipped: Metric values sent by this sync.
        settled: The sweep has ended, so that nothing more will come.
    """

    tracking_uri: str
    experiment_id: str
    parent_run_id: str
    runs: int
    shipped: int
    settled: bool


class Mirror:
    """The sweeps of a store in one MLflow.

    Args:
        service: The store.
        tracking_uri: `sqlite:////absolute/path.db`, `http://...` or whatever else MLflow takes.
        artifact_root: Where artifacts of a new experiment go; None for the place that the server chooses.
        clock: Seconds since the Unix epoch, for the marks.
    """

    def __init__(
        self,
        service: SweepService,
        tracking_uri: str,
        *,
        artifact_root: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._uri = tracking_uri
        self._artifact_root = artifact_root
        self._clock = clock
        self._marks = Marks(service.engine, redacted(tracking_uri))
        self._tracker: Tracker | None = None

    def sync(self, sweep_id: str, *, before_step: Step = lambda _: None) -> MirrorState:
        """Ships what is not shipped yet. Takes seconds the first time, because it imports MLflow.

        Args:
            sweep_id: The sweep's id or a unique prefix.
            before_step: Called with a word before each thing that is sent or marked. What it raises ends the
                sync there, and the next one goes on.

        Raises:
            MirrorUnavailable: MLflow does not answer or refuses; all else that could be shipped was.
            UnknownSweep: There is no such sweep.
        """
        sweep_id = self._service.sweep(sweep_id).sweep_id
        if self._tracker is None:
            before_step("connect")
            self._tracker = Tracker(self._uri, self._artifact_root)
        with self._marks.exclusive(sweep_id):
            sync = _Sync(self._service, self._tracker, self._marks, before_step, self._clock)
            try:
                return sync.run(sweep_id)
            except RunGone as gone:
                raise MirrorUnavailable(
                    f"a run was deleted while sweep {sweep_id} was being mirrored: {gone}", "mirror it again"
                ) from None

    def links(self, sweep_id: str, *, since: float | None = None, until: float | None = None) -> MlflowLinks:
        """Where to find the sweep, as far as it was mirrored. Asks the store only, and imports no MLflow.

        Args:
            sweep_id: The sweep.
            since: Only trials are compared that ran after that moment, in seconds since the Unix epoch; None:
                all that had begun by the other one.
            until: Only those that had begun by then; None: whenever.
        """
        return find_links(self._service, self._marks, self._uri, sweep_id, between=(since, until))


class _Sync:
    """One sync of one sweep.

    States are read before rows: rows may be newer than the states that are shown, never older.
    """

    def __init__(
        self, service: SweepService, tracker: Tracker, marks: Marks, step: Step, clock: Callable[[], float]
    ) -> None:
        self._service, self._tracker, self._store = service, tracker, marks
        self._step, self._clock = step, clock
        self._engine = service.engine
        self._shipped = 0
        self._refused: MirrorUnavailable | None = None

    def run(self, sweep_id: str) -> MirrorState:
        self._sweep = sweep = self._service.sweep(sweep_id)
        attempts = attempts_without_facts(self._engine, sweep_id)
        trials = {trial.number: trial for trial in self._service.trials(sweep_id)}
        self._marks = self._store.load(sweep_id)
        self._warm = self._service.warm_summary(sweep_id)
        self._sweep_picture = sweep_picture(sweep, trials.values(), self._warm)
        parent = self._parent()
        self._announce(attempts, parent)
        for attempt in attempts:
            mark = self._marks[item_of(attempt.number, attempt.attempt)]
            if not mark.settled:
                self._show(trials[attempt.number], attempt, mark, parent)
        self._compare(list(trials.values()))
        self._finish(list(trials.values()), parent)
        self._crown(trials)
        if self._refused is not None:
            raise self._refused
        return MirrorState(
            self._store.target,
            parent.experiment_id,
            parent.run_id,
            len(attempts),
            self._shipped,
            sweep.state.terminal,
        )

    # -- runs

    def _parent(self) -> Mark:
        """The parent's mark, once its run is known to exist."""
        sweep_id = self._sweep.sweep_id
        mark = self._marks.get(SWEEP)
        self._step("look for the parent")
        if mark is not None and self._tracker.exists(mark.run_id):
            return mark
        if self._marks:  # of a database that is gone
            self._step("forget")
            self._store.forget(sweep_id)
        self._step("experiment")
        experiment_id = self._tracker.experiment(self._sweep.spec.tracking.experiment)
        self._step("look for runs")
        found = self._tracker.find(experiment_id, sweep_id)
        run_id = found.pop(None, None)
        if run_id is None:
            self._step("create the parent")
            run_id = self._tracker.create(experiment_id, self._sweep_picture)
        self._marks = {
            item_of(*key): Mark(child, experiment_id) for key, child in found.items() if key is not None
        }
        self._marks[SWEEP] = Mark(run_id, experiment_id)
        self._save(self._marks)
        return self._marks[SWEEP]

    def _announce(self, attempts: Sequence[AttemptRecord], parent: Mark) -> None:
        """Marks the runs that are about to be made, so that a crash between the two leaves a trace."""
        items = [item_of(attempt.number, attempt.attempt) for attempt in attempts]
        if any(item in self._marks and not self._marks[item].run_id for item in items):
            self._step("look for runs")
            found = self._tracker.find(parent.experiment_id, self._sweep.sweep_id)
            known = {item_of(*key): run_id for key, run_id in found.items() if key is not None}
            for item in items:
                if item in self._marks and not self._marks[item].run_id and item in known:
                    self._marks[item] = Mark(known[item], parent.experiment_id)
        new = {item: Mark("", parent.experiment_id) for item in items if item not in self._marks}
        if new:
            self._marks.update(new)
            self._save(new)

    def _show(self, trial: TrialRecord, attempt: AttemptRecord, mark: Mark, parent: Mark) -> None:
        rerun_of = self._warm.origin_of(trial.number) if self._warm else None
        picture = attempt_picture(self._sweep, trial, attempt, parent.run_id, rerun_of)
        try:
            self._ship(picture, attempt, mark)
        except RunGone:  # deleted by hand: shown again from the beginning
            mark = Mark("", parent.experiment_id)
            self._save({item_of(attempt.number, attempt.attempt): mark})
            self._ship(picture, attempt, mark)

    def _ship(self, picture: RunPicture, attempt: AttemptRecord, mark: Mark) -> None:
        """Brings a child run up to date and moves its mark."""
        item = item_of(attempt.number, attempt.attempt)
        before = mark
        if not mark.run_id:
            self._step(f"create {item}")
            run_id = self._tracker.create(mark.experiment_id, picture)
            mark = replace(mark, run_id=run_id, described=_CREATED, status="RUNNING")
        # documents before metrics: MLflow reads the whole run to find its place for artifacts
        mark, documented = self._document(attempt, mark)
        over = attempt.state is not AttemptState.RUNNING
        settled = over and documented and self._detail(attempt, mark)
        measured, curved = unshown(self._engine, self._sweep.sweep_id, attempt.number, attempt.attempt, mark)
        points = [point for row in measured for point in measured_points(row)]
        points += [point for row in curved for point in curve_points(row)]
        mark = self._describe(picture, mark, points)
        mark = replace(
            mark,
            measured=measured[-1].iteration if measured else mark.measured,
            curved=curved[-1].iteration if curved else mark.curved,
        )
        mark = replace(mark, settled=settled)
        if mark != before:
            self._save({item: mark})

    def _compare(self, trials: list[TrialRecord]) -> None:
        """Brings means over replicates to the runs of their finalists, which are settled by then."""
        for result in Finals(self._sweep.spec).results(trials).values():
            item = item_of(result.trial.number, result.trial.attempt)
            mark = self._marks[item]
            points = finalist_points(result, mark.replicates)
            if points:
                try:
                    self._log(mark.run_id, points)
                except RunGone:  # the next sync shows it again from the beginning
                    self._save({item: Mark("", mark.experiment_id)})
                    raise
                self._save({item: replace(mark, replicates=len(result.runs))})

    def _finish(self, trials: list[TrialRecord], parent: Mark) -> None:
        """Brings the parent run up to date, after its children."""
        history = [(n, trial) for n, trial in best_so_far(self._sweep.spec, trials) if n > parent.measured]
        points = [point for n, trial in history for point in best_points(n, trial)]
        replicates, won = winner_points(self._sweep, trials)
        points += won if replicates > parent.replicates else []
        mark = self._describe(self._sweep_picture, parent, points)
        mark = replace(mark, measured=history[-1][0] if history else mark.measured)
        mark = replace(mark, replicates=max(replicates, mark.replicates))
        if mark.described != parent.described and not self._told_what_mattered(trials, mark):
            mark = replace(mark, described=parent.described)
        if not mark.documents:
            spec = json.dumps(json.loads(spec_document(self._sweep.spec)), indent=2)
            self._put_datasets(mark.run_id)
            if self._put(mark.run_id, {"spec.json": spec}):
                mark = replace(mark, documents="all")
        if mark != parent:
            self._save({SWEEP: mark})

    def _told_what_mattered(self, trials: list[TrialRecord], parent: Mark) -> bool:
        """Stores what mattered once a sweep has ended, and again if it has ended again."""
        if not self._sweep.state.terminal:
            return True
        from sweeps.tracking.importance_files import importance_files  # noqa: PLC0415 - imports Optuna

        measured = self._service.measurements(self._sweep.sweep_id)
        return self._put(parent.run_id, importance_files(self._sweep.spec, trials, measured))

    def _crown(self, trials: Mapping[int, TrialRecord]) -> None:
        """Registers the champions that came of the sweep."""
        runs = {n: self._marks[item_of(n, trial.attempt)].run_id for n, trial in trials.items()}
        registry = Registry(Champions(self._engine), self._tracker, self._step)
        try:
            for mark in registry.registered(self._sweep.sweep_id, self._marks, runs):
                self._save(mark)
        except MirrorUnavailable as error:
            self._refused = error

    # -- what a run shows

    def _describe(self, picture: RunPicture, mark: Mark, points: Sequence[Point]) -> Mark:
        """Sends tags, params, points, status and end, as far as they are new."""
        digest = picture.digest()
        params = picture.params if mark.described in ("", _CREATED) else {}
        tags = {} if mark.described in (digest, _CREATED) else picture.tags
        self._log(mark.run_id, points, params, tags)
        if mark.described != digest and not picture.status == mark.status == "RUNNING":
            self._step("set the status")
            self._tracker.set_status(mark.run_id, picture)
        return replace(mark, described=digest, status=picture.status)

    def _log(
        self,
        run_id: str,
        points: Sequence[Point],
        params: Mapping[str, str] = MappingProxyType({}),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        for batch in _batches(points, params, tags):
            self._step("log")
            self._tracker.log(run_id, *batch)
            self._shipped += len(batch[0])

    def _document(self, attempt: AttemptRecord, mark: Mark) -> tuple[Mark, bool]:
        """Sends inputs and artifacts; whether all that can be sent was."""
        if mark.documents == "all":
            return mark, True
        if not mark.documents:
            self._put_datasets(mark.run_id)
            mark = replace(mark, documents="inputs")
        facts = facts_of(self._engine, self._sweep.sweep_id, attempt.number, attempt.attempt)
        if facts is None:  # before its first report, or there was none
            return mark, True
        environment = {**facts.environment, "skipped_weights": list(facts.skipped_weights)}
        texts = {"environment.json": json.dumps(environment, indent=2, sort_keys=True)}
        if facts.config:
            texts["config.yaml"] = facts.config
        if not self._put(mark.run_id, texts):
            return mark, False
        return replace(mark, documents="all"), True

    def _detail(self, attempt: AttemptRecord, mark: Mark) -> bool:
        """Sends what the last measured rung of an attempt told beyond its metrics, once the attempt is over.

        Not at every rung: pictures take the driver's process a second.
        """
        details = last_details_of(self._engine, self._sweep.sweep_id, attempt.number, attempt.attempt)
        if details is None:
            return True
        document = json.dumps(json.loads(details_document(details)), indent=2, ensure_ascii=False)
        return self._put(mark.run_id, {"details.json": document, **pictures(details)})

    def _put(self, run_id: str, contents: Mapping[str, str | bytes]) -> bool:
        """Stores artifacts. An artifact store that fails holds up neither metrics nor other runs."""
        try:
            for name, content in contents.items():
                self._step(f"store {name}")
                self._tracker.put(run_id, name, content)
        except MirrorUnavailable as error:
            self._refused = error
            return False
        return True

    def _put_datasets(self, run_id: str) -> None:
        self._step("log the data sets")
        self._tracker.log_datasets(run_id, dataset_pictures(self._sweep))

    def _save(self, marks: Mapping[str, Mark]) -> None:
        self._step("mark")
        self._store.save(self._sweep.sweep_id, marks, self._clock())
        self._marks = {**self._marks, **marks}


def _batches(
    points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
) -> Iterator[tuple[list[Point], dict[str, str], dict[str, str]]]:
    """Params and tags by the hundred, points filling up each batch to a thousand in all."""
    left, named, tagged = list(points), list(params.items()), list(tags.items())
    while left or named or tagged:
        batch = named[:MAX_PARAMS], tagged[:MAX_PARAMS]
        room = MAX_METRICS - len(batch[0]) - len(batch[1])
        yield left[:room], dict(batch[0]), dict(batch[1])
        left, named, tagged = left[room:], named[MAX_PARAMS:], tagged[MAX_PARAMS:]
