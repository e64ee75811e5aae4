"""The mirror beside a driver: an MLflow that is down, slow or comes back is never the driver's trouble."""

import logging
import socket
import subprocess
import sys
import threading
import time

import pytest

from sweeps.tracking import Mirror, MirrorThread
from sweeps.tracking.testing import Story, free_port, mlflow_server, new_database, shown


@pytest.fixture
def story(tmp_path):
    return Story(tmp_path)


class Watched(Mirror):
    """A mirror that says when a sync has ended, and how often that was."""

    def __init__(self, *args, **more) -> None:
        super().__init__(*args, **more)
        self.ended, self.syncs = threading.Event(), 0

    def sync(self, *args, **more):
        try:
            return super().sync(*args, **more)
        finally:
            self.syncs += 1
            self.ended.set()


def test_what_was_announced_is_shipped_and_the_rest_at_the_end(story, tmp_path):
    """After `notify` the news are shown; `stop` ships what came since, and says that all is there."""
    uri = new_database(tmp_path / "mlflow.db")
    mirror = Watched(story.service, uri, artifact_root=str(tmp_path / "artifacts"))
    thread = MirrorThread(lambda: mirror, story.sweep_id, interval_s=60)
    thread.start()
    story.trial(0)
    thread.notify()
    assert mirror.ended.wait(60)
    assert set(shown(uri, story.sweep_id, tmp_path)) == {None, (0, 1)}
    story.trial(1)
    thread.notify()
    assert thread.stop(60)
    assert set(shown(uri, story.sweep_id, tmp_path)) == {None, (0, 1), (1, 1)}
    assert mirror.syncs == 2


def test_a_server_that_comes_up_late_gets_everything(story, tmp_path, caplog):
    """Being down and coming back are logged once each, however often it was tried."""
    caplog.set_level(logging.WARNING, logger="sweeps.tracking")
    port = free_port()
    mirror = Watched(story.service, f"http://ann:s3cret@127.0.0.1:{port}")
    thread = MirrorThread(lambda: mirror, story.sweep_id, interval_s=0.05)
    thread.start()
    story.trial(0)
    thread.notify()
    for _ in range(2):  # that which was not shipped is tried again without news
        assert mirror.ended.wait(60)
        mirror.ended.clear()
    assert thread.problem is not None
    with mlflow_server(tmp_path, port) as uri:
        assert thread.stop(60)
        assert set(shown(uri, story.sweep_id, tmp_path)) == {None, (0, 1)}
    assert thread.problem is None
    said = [record.getMessage() for record in caplog.records if record.name.startswith("sweeps.tracking")]
    assert len(said) == 2
    assert said[0] == (
        f"the mirror waits: MLflow at http://127.0.0.1:{port}: Connection refused; the sweep goes on"
    )
    assert said[1] == "the mirror is back"
    assert "s3cret" not in "".join(said)


def test_stop_gives_up_on_a_server_that_never_answers(story):
    """A server that takes the connection and says nothing holds up the end no longer than asked."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        uri = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        thread = MirrorThread(lambda: Mirror(story.service, uri), story.sweep_id, interval_s=1)
        thread.start()
        thread.notify()
        began = time.monotonic()
        assert thread.stop(0.5) is False
        assert time.monotonic() - began < 3


def test_a_mirror_that_breaks_harms_nobody(story, caplog):
    """Whatever is raised in the thread stays there, and `stop` says that not everything was shipped."""

    def broken() -> Mirror:
        raise RuntimeError("no disk")

    thread = MirrorThread(broken, story.sweep_id, interval_s=1)
    thread.start()
    thread.notify()
    assert thread.stop(30) is False
    assert thread.problem == "RuntimeError: no disk"


def test_mlflow_is_imported_by_the_first_sync_and_not_before(tmp_path):
    """A driver pays nothing for a mirror until there is something to show."""
    script = (
        "import sys; import sweeps.tracking as t\n"
        "m = t.MirrorThread(lambda: None, 's'); m.start(); print('mlflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
