"""What MLflow shows of finalists that were run again."""

import pytest
from mlflow import MlflowClient

from sweeps.core.states import SweepState, TrialState
from sweeps.core.trial import Decision
from sweeps.records import Outcome
from sweeps.testing import COMPLETED
from sweeps.tracking import Mirror, MirrorUnavailable
from sweeps.tracking.testing import Story, new_database, shown
from tests.contract.test_mirror_crash import Crash, crash_at

BROKEN = Outcome(TrialState.INFEASIBLE, "diverged: nan", Decision.STOP)


class Finale(Story):
    """Trial 1 was lucky once; trial 0 is better, and one replicate of trial 1 diverges."""

    def searched(self):
        for number, ap in ((0, 30.0), (1, 35.0)):
            self.trial(number)
            self.rung(number, 1, 30, ap, COMPLETED)

    def half(self):
        self.replicate(100_000, 0, 31.0)
        self.replicate(100_001, 1, 20.0)

    def rest(self):
        self.replicate(200_000, 0, 32.0)
        self.replicate(200_001, 1, 21.0, BROKEN)
        self.service.finish(self.claim, SweepState.COMPLETED, None, self.tick())


def mirror(story, tmp_path, name="mlflow.db"):
    return Mirror(story.service, new_database(tmp_path / name), artifact_root=str(tmp_path / "artifacts"))


def picture(found, story, tmp_path):
    return shown(found.links(story.sweep_id).tracking_uri, story.sweep_id, tmp_path)


def values(run, name):
    return [(step, value) for step, _, value in run.metrics.get(f"replicates/{name}", ())]


def test_a_finalists_run_has_means_and_the_parent_those_of_the_winner(tmp_path):
    """Each further run adds a value; what failed is not counted, and the parent is told at the end."""
    story = Finale(tmp_path)
    found = mirror(story, tmp_path)
    story.searched()
    found.sync(story.sweep_id)
    story.half()
    found.sync(story.sweep_id)
    between = picture(found, story, tmp_path)
    assert values(between[(0, 1)], "segm/AP_mean") == [(2, 30.5)]
    assert values(between[None], "segm/AP_mean") == []
    assert between[None].tags["masksweep.best_trial"] == "1"
    story.rest()
    found.sync(story.sweep_id)
    seen = picture(found, story, tmp_path)
    assert values(seen[(0, 1)], "segm/AP_mean") == [(2, 30.5), (3, 31.0)]
    assert values(seen[(0, 1)], "segm/AP_std") == [(2, 0.5**0.5), (3, 1.0)]
    assert values(seen[(0, 1)], "segm/AP_n") == [(2, 2), (3, 3)]
    assert values(seen[(1, 1)], "segm/AP_mean") == [(2, 27.5)]
    assert [values(seen[None], f"segm/AP_{what}") for what in ("mean", "std", "n")] == [
        [(4, 31.0)],
        [(4, 1.0)],
        [(4, 3)],
    ]
    parent = seen[None].tags
    assert parent["masksweep.best_trial"] == "0"
    assert parent["masksweep.trials"] == "2 COMPLETED"
    assert parent["masksweep.replicates"] == "3 COMPLETED, 1 INFEASIBLE"
    replicate = seen[(200_000, 1)]
    assert (replicate.name, replicate.tags["masksweep.replicate_of"]) == ("trial-0000-run-3", "0")
    assert "masksweep.replicate_of" not in seen[(0, 1)].tags


def test_links_compare_the_runs_of_finalists_first(tmp_path):
    """The winner's runs, the best of them first, then those of the others."""
    story = Finale(tmp_path)
    found = mirror(story, tmp_path)
    for part in (story.searched, story.half, story.rest):
        part()
    found.sync(story.sweep_id)
    links = found.links(story.sweep_id)
    runs = MlflowClient(links.tracking_uri).search_runs([links.experiment_id])
    places = {int(r.data.tags["masksweep.trial"]): r for r in runs if "masksweep.trial" in r.data.tags}
    order = sorted(places, key=lambda number: links.compare_url.find(places[number].info.run_id))
    assert order == [200_001, 200_000, 100_000, 0, 1, 100_001], "200001 is not compared"


def test_crash_after_crash_ends_in_the_picture_of_one_sync(tmp_path):
    """Means that come to runs which were settled long ago are neither lost nor doubled."""
    story = Finale(tmp_path)
    found, whole = mirror(story, tmp_path), mirror(story, tmp_path, "whole.db")
    for part in (story.searched, story.half, story.rest):
        part()
        for place in range(1000):
            try:
                found.sync(story.sweep_id, before_step=crash_at(place))
            except Crash:
                continue
            break
    whole.sync(story.sweep_id)
    assert picture(found, story, tmp_path) == picture(whole, story, tmp_path)


def test_a_finalists_run_that_was_deleted_is_shown_again_with_its_means(tmp_path):
    """Who deletes a run by hand gets it back, as for any other."""
    story = Finale(tmp_path)
    found = mirror(story, tmp_path)
    story.searched()
    found.sync(story.sweep_id)
    links = found.links(story.sweep_id)
    client = MlflowClient(links.tracking_uri)
    (run,) = client.search_runs([links.experiment_id], "tags.`masksweep.trial` = '0'")
    client.delete_run(run.info.run_id)
    story.half()
    with pytest.raises(MirrorUnavailable):
        found.sync(story.sweep_id)
    found.sync(story.sweep_id)
    assert values(picture(found, story, tmp_path)[(0, 1)], "segm/AP_mean") == [(2, 30.5)]
