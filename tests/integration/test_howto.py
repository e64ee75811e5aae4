"""`docs/howto/team-service.md`, as a new user follows it on one machine: block by block, in terminals."""

import json
import re
import tempfile
from collections.abc import Iterator

import pytest
import yaml

from sweeps.client import Client
from sweeps.tracking.testing import free_port
from tests.integration.terminals import ROOT, Terminals
from tests.waiting import until

pytest.importorskip("aiohttp_cors", reason="ray[default] has the dashboard")
pytestmark = pytest.mark.slow  # PostgreSQL, MLflow, a Ray head, the service, and two short trainings

PATIENCE_S = 240.0
PAGE = (ROOT / "docs" / "howto" / "team-service.md").read_text()
SECTION = PAGE.partition("## On one machine, without Docker\n")[2].partition("\n## ")[0]
PORTS = ("5000", "6379", "8265", "8757")


def on_this_machine(ports: dict[str, str], temporary: str) -> str:
    """The page with free ports, and a small Ray head in the foreground, beside the others of the machine."""
    section = SECTION.replace("masksweep serve\n", f"masksweep serve --port {ports['8757']}\n")
    for port, free in ports.items():
        section = re.sub(rf"\b{port}\b", free, section)
    more = f"--block --num-cpus=2 --num-gpus=0 --temp-dir={temporary}"
    more += f" --ray-client-server-port={free_port()} --dashboard-agent-listen-port={free_port()}"
    return section.replace("ray start --head", f"ray start --head {more}")


@pytest.fixture
def ports() -> dict[str, str]:
    return {port: str(free_port()) for port in PORTS}


@pytest.fixture
def terminals(tmp_path, ports) -> Iterator[Terminals]:
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as short:  # for paths of sockets
        opened = Terminals(tmp_path, on_this_machine(ports, short), patience_s=PATIENCE_S)
        try:
            yield opened
        finally:
            opened.close()


def test_the_page_leads_to_a_sweep_that_the_service_runs(terminals, ports, tmp_path):
    """From nothing to a leaderboard; store and MLflow are in PostgreSQL, the driver is a job of Ray's."""
    postgres, mlflow, ray, serve, submit = terminals.blocks
    terminals.start(postgres.removeprefix("make setup\n"), says="mlflow is at")
    terminals.start(mlflow, says="Application startup complete")
    terminals.start(ray, says="Ray runtime started")
    synth, serve = serve.split("\n", 1)
    terminals.run(f"{synth} --train 8 --val 4")
    spec = tmp_path / "team" / "data" / "spec.yaml"
    short = {"budget": {"trials": 2}, "fidelity": {"iterations": 4, "rungs": [2, 4]}}
    spec.write_text(yaml.safe_dump(yaml.safe_load(spec.read_text()) | short))
    terminals.start(serve, says="masksweep serves")
    create, client, *commands = submit.splitlines()
    token = terminals.run(create).strip()
    client = client.replace("what-was-shown", token)
    sweep_id = terminals.run(f"{client}\n{commands[0]}").strip()
    service = Client(f"http://127.0.0.1:{ports['8757']}", token)

    def ended() -> bool:
        return service.get(f"/sweeps/{sweep_id}")["state"] not in ("PENDING", "RUNNING")

    until(ended, PATIENCE_S, 0.3)  # a head that has just started refuses jobs for some seconds
    shown = json.loads(terminals.run(f"{client}\nmasksweep show {sweep_id} --json"))
    assert shown["state"] == "COMPLETED", shown
    assert sweep_id in terminals.run(f"{client}\n{commands[1]}")
    assert "segm/AP" in terminals.run(f"{client}\n{commands[2].replace('ID', sweep_id)}")
    runs = """python -c 'import mlflow; print(len(mlflow.search_runs(search_all_experiments=True)))'"""
    assert int(terminals.run(runs).split()[-1]) >= 2
