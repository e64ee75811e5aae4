"""An MLflow server that is not there when a sweep begins, while it runs, or at all."""

import pytest

from sweeps.settings import Settings
from sweeps.tracking.testing import free_port, mlflow_server, new_database
from tests.failure.courses import Courses
from tests.failure.lives import Lives
from tests.failure.shaky_mlflow import PATIENCE_S, Mlflow
from tests.failure.verdict import assert_mirrored
from tests.integration.command import succeeding

pytestmark = pytest.mark.slow  # starts MLflow servers


def test_an_mlflow_that_is_down_costs_no_trial_and_shows_all_in_the_end(source: Lives, tmp_path):
    """Down at the start, killed in the middle, never there: the store goes on, and the mirror catches up."""
    settings = Settings.load(tmp_path, environ={})
    sweeps = Courses(source, settings.store_url, tmp_path)
    new_database(tmp_path / "mlflow.db")
    server = {"directory": str(tmp_path), "port": free_port()}
    behaviour = {
        "before": Mlflow(**server, up=False, turns=(6,)),
        "during": Mlflow(**server, up=True, turns=(5, 9)),
        "throughout": Mlflow(**server),
    }
    ids = {name: sweeps.create() for name in behaviour}
    for name, mlflow in behaviour.items():
        life = sweeps.live(ids[name], name, mlflow=mlflow)
        assert (life.code, life.error) == (0, ""), name
        assert life.notes == (["MLflow lags behind"] if name == "throughout" else [])
        sweeps.assert_nothing_lost(ids[name], name)
    assert life.took_s < 0.8 * PATIENCE_S, "waiting for a server that is not there"
    with mlflow_server(tmp_path, server["port"]) as uri:
        for name in ("before", "during"):
            assert_mirrored(sweeps.service, ids[name], uri)
        succeeding("mirror", ids["throughout"], "--home", tmp_path, MLFLOW_TRACKING_URI=uri)
        assert_mirrored(sweeps.service, ids["throughout"], uri)
