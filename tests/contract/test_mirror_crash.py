"""A mirror that is killed, or is not alone, ends with the same picture."""

import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from sweeps.testing import store_url
from sweeps.tracking import Mirror
from sweeps.tracking.testing import Story, new_database, shown


class Crash(Exception):
    pass


def crash_at(place: int):
    """A `before_step` that lets that many steps pass and then raises."""
    steps = iter(range(place))

    def before_step(step: str) -> None:
        if next(steps, None) is None:
            raise Crash(step)

    return before_step


def test_a_crash_between_any_two_steps_loses_and_doubles_nothing(tmp_path):
    """Wherever a sync is killed, the next one ends with the picture of a sync that was not."""
    uri, artifacts = new_database(tmp_path / "mlflow.db"), str(tmp_path / "artifacts")
    story = Story(tmp_path)

    def picture(story: Story) -> dict:
        seen = shown(uri, story.sweep_id, tmp_path)
        for run in seen.values():
            assert run.tags.pop("masksweep.sweep_id") == story.sweep_id
        return seen

    def mirror() -> Mirror:
        return Mirror(story.service, uri, artifact_root=artifacts)

    steps: list[str] = []
    story.short()
    mirror().sync(story.sweep_id, before_step=steps.append)
    expected = picture(story)
    assert len(steps) > 20
    for place in range(len(steps)):
        twin = Story(tmp_path)
        twin.short()
        with pytest.raises(Crash):
            mirror().sync(twin.sweep_id, before_step=crash_at(place))
        mirror().sync(twin.sweep_id)
        assert picture(twin) == expected, steps[place]


def test_crash_after_crash_still_ends_in_the_whole_picture(tmp_path):
    """A mirror killed at its first step, then at its second and so on, gets there, also when news come."""
    story = Story(tmp_path)
    uri, whole = new_database(tmp_path / "mlflow.db"), new_database(tmp_path / "whole.db")
    artifacts = str(tmp_path / "artifacts")
    story.first_half()

    def crash_until_done() -> None:
        for place in range(1000):
            try:
                Mirror(story.service, uri, artifact_root=artifacts).sync(
                    story.sweep_id, before_step=crash_at(place)
                )
            except Crash:
                continue
            return

    crash_until_done()
    story.second_half()
    crash_until_done()
    Mirror(story.service, whole, artifact_root=artifacts).sync(story.sweep_id)
    assert shown(uri, story.sweep_id, tmp_path) == shown(whole, story.sweep_id, tmp_path)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_two_mirrors_at_once_make_each_run_once(backend, tmp_path):
    """A driver's mirror and one started by hand wait for each other, whatever the store is."""
    story = Story(tmp_path, store_url(backend, tmp_path, "two_mirrors"))
    story.first_half()
    uri = new_database(tmp_path / "mlflow.db")
    mirrors = [Mirror(story.service, uri, artifact_root=str(tmp_path / "artifacts")) for _ in range(2)]
    threads = [threading.Thread(target=mirror.sync, args=(story.sweep_id,)) for mirror in mirrors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shown(uri, story.sweep_id, tmp_path)) == 6


MAKER = """
    import sys
    from sweeps.tracking.client import Tracker
    print("begun", flush=True)
    Tracker(sys.argv[1])
"""


def test_a_driver_killed_while_mlflows_database_is_made_leaves_none(tmp_path):
    """Half of MLflow's migrations could never be finished: the file appears when all are through."""
    path = tmp_path / "mlflow.db"
    command = [sys.executable, "-c", textwrap.dedent(MAKER), f"sqlite:///{path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as maker:
        while not (tmp_path / "mlflow.db.new").exists():
            assert maker.poll() is None
        maker.kill()
    assert maker.returncode == -signal.SIGKILL
    assert not path.exists()
    story = Story(tmp_path)
    story.short()
    Mirror(story.service, f"sqlite:///{path}", artifact_root=str(tmp_path / "artifacts")).sync(story.sweep_id)
    assert len(shown(f"sqlite:///{path}", story.sweep_id, tmp_path)) == 3
    assert not (tmp_path / "mlflow.db.new").exists()
