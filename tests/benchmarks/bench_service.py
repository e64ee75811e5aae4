"""What the service does with a large store on PostgreSQL, beside MLflow on the same server.

The store has a sweep of 10,000 trials and 1,000,000 measurements. The service is a process of its own, as
`masksweep serve` starts it, and is asked through HTTP. Each time is what one client waits for.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from itertools import cycle
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from sweeps.core.scopes import Scope
from sweeps.core.trial import Suggestion
from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.listing import Listing
from sweeps.store.migrations import upgrade
from sweeps.store.tokens import Tokens
from sweeps.testing import GOES_ON, make_report, make_spec, store_url
from tests.benchmarks.service_fill import METRICS, fill_mlflow, fill_store

ROOT = Path(__file__).parents[2]
PAGE = 50
ROUNDS = 200
LISTENERS = 500
TOKENS = 20  # one may make 50 requests a second
DRIVERS, EACH = 8, 250


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The URL of a large store, and the large sweep's id."""
    url = store_url("postgresql", tmp_path_factory.mktemp("store"), "large")
    engine = open_engine(url)
    upgrade(engine)
    began = time.monotonic()
    sweep_id = fill_store(engine)
    print(f"\n1,000,000 measurements stored in {time.monotonic() - began:.0f} s")
    yield url, sweep_id
    engine.dispose()


@pytest.fixture(scope="module")
def service(store, tmp_path_factory):
    """Where `masksweep serve` answers, and the texts of tokens in turn."""
    url, _ = store
    engine = open_engine(url)
    made = Tokens(engine)
    tokens = [made.create(f"b{n}", Scope.OPERATOR, by="bench", now=time.time())[0] for n in range(TOKENS)]
    engine.dispose()
    command = [sys.executable, "-m", "sweeps.cli", "serve", "--port", "0", "--no-supervise"]
    env = {**os.environ, "MASKSWEEP_STORE_URL": url, "PYTHONPATH": str(ROOT)}
    home = tmp_path_factory.mktemp("home")
    process = subprocess.Popen(
        [*command, "--home", str(home)], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    line = next(line for line in process.stderr if line.startswith("masksweep serves"))
    reader = threading.Thread(target=process.stderr.read)
    reader.start()
    proofs = cycle([{"Authorization": f"Bearer {token}"} for token in tokens])
    yield line.split()[2].rstrip(","), proofs
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    reader.join()


def took(call):
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def rank(times, share):
    """The time that a share of them does not exceed."""
    return sorted(times)[int(share * len(times))]


def told(name, times, limit_s):
    """Prints times, and returns their 95th percentile."""
    p95 = rank(times, 0.95)
    median = 1000 * rank(times, 0.5)
    print(f"\n{name}: p95 {1000 * p95:.1f} ms (under {1000 * limit_s:.0f}), median {median:.1f}")
    return p95


def test_service_lists_and_looks_up_in_time(store, service):
    """The list of trials by any metric under 50 ms, and of one sweep under 20 ms, at the 95th percentile."""
    url, proofs = service
    with httpx2.Client() as client:

        def get(path, **params):
            where = f"{url}/api/v1/sweeps/{store[1]}{path}"
            return client.get(where, params=params, headers=next(proofs)).raise_for_status().json()

        names = cycle(METRICS)
        orders = cycle(["asc", "desc", "desc"])

        def page():
            assert len(get("/trials", sort=next(names), order=next(orders), limit=PAGE)["trials"]) == PAGE

        cursor = get("/trials", sort="segm/AP", limit=500)["next"]
        for call in (page, lambda: get("")):
            for _ in range(20):
                call()
        lists = [took(page) for _ in range(ROUNDS)]

        def further():
            get("/trials", sort="segm/AP", limit=PAGE, cursor=cursor)

        deep = [took(further) for _ in range(ROUNDS)]
        sweep = [took(lambda: get("")) for _ in range(ROUNDS)]
    assert told("trials by a metric", lists, 0.05) < 0.05
    assert told("trials by a metric, behind 500", deep, 0.05) < 0.05
    assert told("one sweep", sweep, 0.02) < 0.02


def test_service_list_beside_mlflow(store, tmp_path):
    """A page of the list costs a twentieth of `search_runs` over the same runs, both in one process."""
    url, sweep_id = store
    other = store_url("postgresql", tmp_path, f"mlflow{uuid.uuid4().hex[:8]}")
    tracking = other.replace("postgresql://", "postgresql+psycopg://")
    mlflow = MlflowClient(tracking)
    experiment = mlflow.create_experiment("large")
    engine = sa.create_engine(tracking)
    fill_mlflow(engine, experiment)
    engine.dispose()
    listing = Listing(open_engine(url))

    def ours():
        assert len(listing.trials(sweep_id, limit=PAGE, metric="segm/AP", descending=True).items) == PAGE

    def theirs():
        found = mlflow.search_runs([experiment], order_by=["metrics.`segm/AP` DESC"], max_results=PAGE)
        assert len(found) == PAGE

    pairs = [(took(ours), took(theirs)) for _ in range(60)][10:]
    mine, peer = rank([a for a, _ in pairs], 0.5), rank([b for _, b in pairs], 0.5)
    print(f"\na page of {PAGE} by a metric: masksweep {1000 * mine:.1f} ms, MLflow {1000 * peer:.0f} ms,")
    print(f"  ratio {peer / mine:.1f} (at least 20)")
    assert peer / mine >= 20


def test_service_store_takes_reports(store):
    """A hundred reports a second, of drivers that write at once, none of which fails."""
    engine = open_engine(store[0])
    core = SweepService(engine)
    errors, done = [], []

    def drive(claim):
        try:
            for iteration in range(1, EACH + 1):
                metrics = {name: float(iteration) for name in METRICS}
                report = make_report(iteration=iteration, metrics=metrics, at=time.time())
                done.append(core.record(claim, report, outcome=GOES_ON, sampler_attrs={}, now=time.time()))
        except Exception as error:
            errors.append(error)

    made = [core.create(make_spec(), fingerprint="", now=1.0).sweep_id for _ in range(DRIVERS)]
    claims = [core.claim(sweep_id, 2.0) for sweep_id in made]
    for claim in claims:
        core.add_trial(claim, Suggestion(0, {}, 1), {}, 3.0)
    threads = [threading.Thread(target=drive, args=(claim,)) for claim in claims]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(done) / (time.perf_counter() - began)
    print(f"\n{DRIVERS} sweeps at once: {rate:.0f} reports/s (at least 100), {len(errors)} errors (0)")
    assert errors == []
    assert done == [True] * (DRIVERS * EACH)
    assert all(len(core.measurements(claim.sweep_id)) == EACH for claim in claims)
    engine.dispose()
    assert rate >= 100


def test_service_feeds_five_hundred_listeners(store, service):
    """Each of 500 who follow one sweep is sent the event that happens then."""
    url, proofs = service
    core = SweepService(open_engine(store[0]))
    sweep_id = core.create(make_spec(), fingerprint="", now=1.0).sweep_id

    async def follow(client, listening, arrived):
        path = f"{url}/api/v1/sweeps/{sweep_id}/events/stream"
        async with client.stream("GET", path, headers=next(proofs)) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line == ": listening":
                    listening.release()
                if line == "event: sweep.claimed":
                    arrived.append(time.perf_counter())
                    return

    async def all_of_them():
        listening, arrived = asyncio.Semaphore(0), []
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx2.AsyncClient(limits=limits, timeout=60) as client:
            tasks = [asyncio.create_task(follow(client, listening, arrived)) for _ in range(LISTENERS)]
            for _ in range(LISTENERS):
                await asyncio.wait_for(listening.acquire(), 60)
            while True:  # a stream says that it listens a moment before it does
                text = (await client.get(f"{url}/metrics", headers=next(proofs))).text
                if re.search(rf"^masksweep_event_listeners {LISTENERS}\.0$", text, re.M):
                    break
            began = time.perf_counter()
            core.claim(sweep_id, 2.0)
            await asyncio.wait_for(asyncio.gather(*tasks), 60)
        return [at - began for at in arrived]

    waited = asyncio.run(all_of_them())
    print(f"\n{len(waited)} of {LISTENERS} listeners heard of an event, the last after {max(waited):.2f} s")
    assert len(waited) == LISTENERS
    core.engine.dispose()
