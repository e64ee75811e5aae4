"""The Compose file against the command line, the settings, and itself."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
from sqlalchemy.engine import make_url

from sweeps.cli.app import app
from sweeps.notify.places import read_places
from tests.image_files import DOCKERFILES, ROOT, compose, last, project, services

OURS = [name for name, one in services().items() if one["image"].startswith("masksweep-")]


def environment(service):
    return services()[service].get("environment", {})


def words(service):
    """The command of a service: its own, or its image's; of a shell's script the last command."""
    one = services()[service]
    if "entrypoint" in one:
        return shlex.split(one["entrypoint"][-1].partition(" exec ")[2])
    image = one["image"].removeprefix("masksweep-").partition(":")[0]
    return list(one.get("command") or json.loads(last(image, "CMD")))


def parsed(command, arguments):
    """A command line as its own parser takes it: what it does not know is an error."""
    return command.make_context(command.name, list(arguments)).params


def our_command(arguments):
    """The parameters of a `masksweep` command line."""
    group = typer.main.get_command(app)
    name, *rest = arguments
    return parsed(group.commands[name], rest)


@pytest.mark.parametrize("source", ["compose", "image"])
def test_the_service_is_started_as_the_command_line_has_it(source):
    """`masksweep serve` takes these options, and listens at the published port."""
    arguments = words("service") if source == "compose" else json.loads(last("service", "CMD"))
    assert json.loads(last("service", "ENTRYPOINT")) == ["masksweep"]
    given = our_command(arguments)
    assert (given["host"], given["port"]) == ("0.0.0.0", 8757)
    assert services()["service"]["ports"] == ["127.0.0.1:8757:8757"]


def test_every_variable_is_one_of_the_settings():
    """A name that nothing reads would be silently without effect."""
    read = {
        name
        for file in (ROOT / "sweeps").rglob("*.py")
        for name in re.findall(r'"((?:MASKSWEEP|MLFLOW)_[A-Z_]+)"', file.read_text())
    }
    for name in OURS:
        ours = {key for key in environment(name) if key.startswith(("MASKSWEEP_", "MLFLOW_"))}
        assert {key for key in ours if not {key, key.removesuffix("_FILE")} & read} == set()


def test_the_service_alone_knows_where_people_are_told():
    """By a file of secrets, which at first names nobody."""
    (file,) = {environment(name).get("MASKSWEEP_NOTIFY_FILE") for name in OURS} - {None}
    assert (file, environment("service")["MASKSWEEP_NOTIFY_FILE"]) == ("/run/secrets/notify", file)
    assert [name for name, one in services().items() if "notify" in one.get("secrets", [])] == ["service"]


def test_every_secret_is_a_file_and_there_is_no_default_password():
    """What looks like a secret in an environment is the path of one; what is mounted is what is named."""
    for name, one in services().items():
        text = json.dumps(one)
        assert set(one.get("secrets", [])) >= set(re.findall(r"/run/secrets/(\w+)", text)), name
        for key, value in one.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|SECRET|STORE_URL", key):
                assert str(value).startswith("/run/secrets/"), key
        assert "HOST_AUTH_METHOD" not in text
        assert not re.search(r"://[^/\s\"]*:[^/\s\"]*@", text), name
    assert all(set(one) == {"file"} for one in compose()["secrets"].values())


def test_the_script_writes_the_secrets_that_are_mounted_and_keeps_them(tmp_path):
    """Each file that is mounted, readable through a mount, in a directory of the owner's alone."""
    where = tmp_path / "secrets"

    def run():
        subprocess.run(["sh", "docker/secrets.sh", str(where)], check=True, cwd=ROOT, capture_output=True)
        return {file.name: file.read_text().strip() for file in where.iterdir()}

    held = run()
    assert {Path(one["file"]).name for one in compose()["secrets"].values()} == set(held)
    assert where.stat().st_mode & 0o777 == 0o700
    assert read_places({"MASKSWEEP_NOTIFY_FILE": str(where / "notify")}) == ()
    modes = {file.name: file.stat().st_mode & 0o777 for file in where.iterdir()}
    assert modes.pop("notify") == 0o644
    assert set(modes.values()) == {0o444}
    assert len(set(held.values())) == len(held)
    assert min(len(text) for name, text in held.items() if name != "notify") >= 64
    for url, user in (("store_url", "masksweep"), ("mlflow_store_url", "mlflow")):
        found = make_url(held[url])
        assert (found.username, found.database, found.host, found.port) == (user, user, "postgres", 5432)
        assert found.password == held[f"{user}_password"]
    (where / "ray_token").unlink()
    (where / "notify").write_text("json://127.0.0.1:1/hook")
    held["notify"] = "json://127.0.0.1:1/hook"
    again = run()
    assert again.pop("ray_token") != held.pop("ray_token")
    assert again == held


def test_ports_are_published_on_loopback_only():
    """Whoever wants more puts a proxy with TLS before them."""
    for one in services().values():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", []))


def test_services_are_hardened_and_watched():
    """No capabilities but those that PostgreSQL's entry point drops root with; a health check each."""
    for name, one in services().items():
        assert one["cap_drop"] == ["ALL"]
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert ("cap_add" in one) == (name == "postgres")
        assert "user" not in one
        assert not {"privileged", "network_mode", "pid"} & set(one)
    assert all("HEALTHCHECK" in file.read_text() for file in DOCKERFILES.values())
    assert all("healthcheck" in services()[name] for name in ("postgres", "mlflow"))


def test_trials_reach_no_database():
    """Workers run what specs say: they have neither the network nor the secrets of PostgreSQL."""
    assert compose()["networks"]["databases"] == {"internal": True}
    for name in ("gpu-worker", "cpu-worker"):
        assert services()[name]["networks"] == ["cluster"]
        assert services()[name]["secrets"] == ["ray_token"]
    assert "cluster" not in services()["postgres"]["networks"]


def test_ray_is_started_as_its_command_line_has_it():
    """Head and workers meet at one port, and the service calls the dashboard at its own."""
    from ray.scripts.scripts import start

    head = parsed(start, words("ray-head")[2:])
    assert (head["head"], head["port"], head["num_cpus"], head["block"]) == (True, 6379, 0, True)
    for name in ("gpu-worker", "cpu-worker"):
        worker = parsed(start, words(name)[2:])
        assert (worker["address"], worker["block"]) == (f"ray-head:{head['port']}", True)
    assert environment("service")["MASKSWEEP_LAUNCHER"] == f"ray:http://ray-head:{head['dashboard_port']}"
    parsed(start, json.loads(last("worker", "CMD"))[2:])
    tokens = {
        environment(name)["RAY_AUTH_TOKEN_PATH"]
        for name in ("service", "ray-head", "gpu-worker", "cpu-worker")
    }
    assert tokens == {"/run/secrets/ray_token"}


def test_mlflow_is_started_as_its_command_line_has_it():
    """It answers at the name and port that drivers call, and keeps its artifacts in its volume."""
    from mlflow.cli import cli

    given = parsed(cli.commands["server"], words("mlflow")[2:])
    assert {environment(name)["MLFLOW_TRACKING_URI"] for name in ("service", "ray-head")} == {
        f"http://mlflow:{given['port']}"
    }
    assert f"mlflow:{given['port']}" in given["allowed_hosts"].split(",")
    assert services()["mlflow"]["volumes"] == [f"mlflow:{given['artifacts_destination']}"]
    assert given["artifacts_destination"] in DOCKERFILES["service"].read_text()


def test_all_that_share_the_home_and_the_data_see_them_at_the_same_place():
    """A spec's paths and a checkpoint's hold on every node."""
    for name in ("service", "ray-head", "gpu-worker", "cpu-worker"):
        home, data = services()[name]["volumes"]
        image = services()[name]["image"].removeprefix("masksweep-").partition(":")[0]
        assert home == "home:" + re.search(r"MASKSWEEP_HOME=(\S+)", DOCKERFILES[image].read_text())[1]
        assert environment(name).get("MASKSWEEP_HOME", home.partition(":")[2]) == home.partition(":")[2]
        assert data.endswith(f":{environment('service')['MASKSWEEP_DATA_ROOTS']}:ro")


def test_images_carry_the_version_of_masksweep_and_are_built_here():
    """Nothing that is not ours is pulled under our name."""
    version = project()["version"]
    for name in OURS:
        assert services()[name]["image"] in (f"masksweep-service:{version}", f"masksweep-worker:{version}")
        assert services()[name]["pull_policy"] == "never"
    built = {one["build"]["dockerfile"] for one in services().values() if "build" in one}
    assert built == {str(file.relative_to(ROOT)) for file in DOCKERFILES.values()}
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", services()["postgres"]["image"])
