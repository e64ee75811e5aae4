"""The REST API over SQLite and over a real PostgreSQL."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from runners.synthetic import write_dataset
from sweeps.core.states import SweepState
from sweeps.core.trial import Suggestion
from sweeps.records import Claim
from sweeps.store import sql
from sweeps.store.engine import open_engine, writing
from sweeps.store.listing import Listing
from sweeps.store.tables import answers
from sweeps.store.totals import totals
from sweeps.testing import COMPLETED, make_report, make_spec
from tests.service_client import CURVES, Service, problem, served

_made = iter(range(10_000))


@pytest.fixture
def api(service) -> Iterator[Service]:
    with served(service, prefix=f"t{next(_made)}") as api:
        yield api


@pytest.fixture
def measured(service) -> str:
    """A sweep with seven completed trials: AP and latency 0, 10, ... 50, and one that measured nothing."""
    objectives = [{"metric": "segm/AP"}, {"metric": "latency/ms_per_image", "goal": "minimize"}]
    claim = service.claim(
        service.create(make_spec(objectives=objectives), fingerprint="", now=1.0).sweep_id, 2.0
    )
    for number in range(7):
        service.add_trial(claim, Suggestion(number, {"mask_head.num_conv": 4}, 5), {}, 3.0)
        ap = {"segm/AP": number * 10.0, "latency/ms_per_image": number * 10.0} if number < 6 else {}
        ap |= {'somebody\'s "metric" $.a': 1.0} if number == 6 else {}
        report = make_report(number=number, iteration=300, metrics=ap)
        service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=4.0)
    service.finish(claim, SweepState.COMPLETED, None, 5.0)
    return claim.sweep_id


def pages(api, path: str, name: str, **params) -> list[dict]:
    """All items of a list, two a page."""
    items, cursor = [], None
    while True:
        document = api(
            "GET", path, params={"limit": 2, **params, **({"cursor": cursor} if cursor else {})}
        ).json()
        assert len(document[name]) <= 2
        items += document[name]
        cursor = document["next"]
        if cursor is None:
            return items


@pytest.mark.parametrize("kind", ["application/json", "application/yaml"])
def test_a_spec_is_yaml_or_json(api, kind):
    """Either gives the same sweep, PENDING, made by who submitted it."""
    text = json.dumps(CURVES) if kind == "application/json" else yaml.safe_dump(CURVES)
    answer = api("POST", "/sweeps", content=text, headers={"Content-Type": kind})
    sweep = answer.json()["sweep"]
    assert (answer.status_code, sweep["state"], sweep["name"]) == (201, "PENDING", "curves")
    assert answer.headers["Location"] == f"/api/v1/sweeps/{sweep['sweep_id']}"
    assert sweep["created_by"].endswith("-operator")
    assert api("GET", f"/sweeps/{sweep['sweep_id']}").json() == sweep
    assert api.core.sweep(sweep["sweep_id"]).spec.base.synthetic == "curves"


def test_every_problem_of_a_spec_is_told_with_its_path(api):
    """Unknown knobs and missing fields come in one answer, each with its path and hint."""
    answer = api(
        "POST", "/sweeps", json={**CURVES, "space": {"CONV_HEAD_DIM": {"choices": [1]}}, "colour": "red"}
    )
    issues = {issue["path"]: issue for issue in problem(answer, 422, "spec-invalid")["issues"]}
    assert issues["space.CONV_HEAD_DIM"]["hint"] == "the knob is mask_head.conv_dim"
    assert set(issues) == {"space.CONV_HEAD_DIM", "colour"}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"\xff", "application/yaml", 422),
        (b'{"a": 1, "a": 2}', "application/json", 422),
        (b"NaN", "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b"!!python/object/apply:os.system [true]", "application/yaml", 422),
        (b"", "application/yaml", 422),
        (b"[1, 2]", "application/json", 422),
        (b'{"version": ' + b"9" * 5000 + b"}", "application/json", 422),
        (b'{"space": ' + b'{"a": ' * 200 + b"1" + b"}" * 201, "application/json", 422),
        (b'{"a": [' + b"1," * 30_000 + b"1]}", "application/json", 422),
    ],
)
def test_what_is_no_spec_is_refused(api, body, kind, status):
    """Nothing in a body is executed, and nothing of it fails the service."""
    answer = api("POST", "/sweeps", content=body, headers={"Content-Type": kind})
    problem(answer, status, "spec-invalid")


SPEC_TYPE = "-H 'Content-Type: application/yaml' --data-binary @spec.yaml"
OBJECT_TYPE = "-H 'Content-Type: application/json' --data-binary @body.json"


@pytest.mark.parametrize(
    ("path", "allowed", "curl"),
    [
        ("/sweeps", "application/yaml or application/json", SPEC_TYPE),
        ("/plan", "application/yaml or application/json", SPEC_TYPE),
        ("/sweeps/{sweep_id}/pause", "application/json", OBJECT_TYPE),
        ("/sweeps/{sweep_id}/extend", "application/json", OBJECT_TYPE),
        ("/schedules", "application/json", OBJECT_TYPE),
        ("/tokens", "application/json", OBJECT_TYPE),
    ],
)
def test_a_body_of_another_type_is_refused_and_told_how_to_send_it(api, path, allowed, curl):
    """Also one without a type, and what curl sends of itself; nothing is guessed from the content."""
    where = path.format(sweep_id=api.submit())
    for kind in ("application/x-www-form-urlencoded", "text/plain; charset=utf-8", "yaml", None):
        headers = {} if kind is None else {"Content-Type": kind}
        answer = api("POST", where, scope="admin", content=b"{}", headers=headers)
        told = problem(answer, 415, "unsupported-media-type")
        assert told["detail"] == f"got {kind or 'no Content-Type'}, but needs {allowed}"
        assert told["hint"] == f"with curl: {curl}"


def test_types_of_bodies_are_read_as_http_has_them(api):
    """In any letters and with parameters; an empty body, where there may be one, has no type to be wrong."""
    kind = {"Content-Type": 'Application/JSON; charset="utf-8"'}
    assert api("POST", "/plan", content=json.dumps(CURVES), headers=kind).status_code == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert api("POST", f"/sweeps/{api.submit()}/cancel", content=b"", headers=form).status_code == 200


def test_json_is_read_as_json(api):
    """U+0085, U+2028 and U+2029 are ordinary characters in its texts; YAML takes them for ends of lines."""
    for mark in "\x85\u2028\u2029\x7f":
        name = f"segm/AP-a{mark}b"
        spec = {**CURVES, "objectives": [{"metric": name, "goal": "maximize"}]}
        content = json.dumps(spec, ensure_ascii=False).encode()
        answer = api("POST", "/sweeps", content=content, headers={"Content-Type": "application/json"})
        sweep = answer.json()["sweep"]
        assert sweep["spec"]["objectives"][0]["metric"] == name
        assert api.core.sweep(sweep["sweep_id"]).spec.objectives[0].metric == name


def test_paths_stay_within_the_allowed_directories(service, tmp_path: Path):
    """Neither dots nor links lead out, and nobody looks whether what is forbidden exists."""
    root, secret = tmp_path / "data", tmp_path / "secret"
    root.mkdir()
    secret.mkdir()
    (root / "link").symlink_to(secret)
    split = {"annotations": "../secret/a.json", "images": "link/images"}
    spec = {
        "version": 1,
        "name": "escape",
        "dataset": {"train": split, "val": {"annotations": "/etc/passwd", "images": "images"}},
        "base": {"preset": "mask_rcnn_tiny", "weights": "http://169.254.169.254/latest"},
    }
    with served(service, roots=(root,), prefix=f"t{next(_made)}") as api:
        issues = problem(api("POST", "/sweeps", json=spec), 422, "spec-invalid")["issues"]
    assert [issue["path"] for issue in issues] == [
        "dataset.train.annotations",
        "dataset.train.images",
        "dataset.val.annotations",
        "base.weights",
    ]


def test_nothing_that_a_spec_leads_to_lies_elsewhere(service, tmp_path: Path):
    """Links to images, configs that a config builds on, weights that it names: all is looked for at once."""
    root, secret = tmp_path / "data", tmp_path / "secret"
    write_dataset(root, train=2, val=1, size=64, seed=0)
    (root / "images").rename(secret)
    (root / "images").mkdir()
    for image in secret.iterdir():
        (root / "images" / image.name).symlink_to(image)
    (secret / "parent.yaml").write_text("VERSION: 2\n")
    (root / "weights.yaml").write_text(f"MODEL: {{WEIGHTS: {secret}/model.pth}}\n")
    (root / "fetched.yaml").write_text("MODEL: {WEIGHTS: ftp://169.254.169.254/latest}\n")
    (root / "hub.yaml").write_text("MODEL: {WEIGHTS: detectron2://../../secret/model.pkl}\n")
    (root / "bases.yaml").write_text("_BASE_: [http://169.254.169.254/a.yaml, between.yaml]\n")
    (root / "between.yaml").write_text("_BASE_: ../secret/parent.yaml\n")
    (root / "executed.yaml").write_text(f"A: !!python/object/apply:os.mkdir [{tmp_path / 'executed'}]\n")
    split = {"annotations": "train.json", "images": "images"}
    data = {"train": split, "val": {**split, "annotations": "val.json"}}
    spec = {"version": 1, "name": "escape", "dataset": data}
    found: dict[str, list[str]] = {}
    with served(service, roots=(root,), prefix=f"t{next(_made)}") as api:
        for name in ("weights", "fetched", "hub", "bases", "executed"):
            answer = api("POST", "/sweeps", json={**spec, "base": {"file": f"{name}.yaml"}})
            issues = problem(answer, 422, "spec-invalid")["issues"]
            assert [issue["path"] for issue in issues[:2]] == ["dataset.train.images", "dataset.val.images"]
            assert "links lead out of the directories" in issues[0]["problem"], issues
            found[name] = [f"{issue['path']}: {issue['problem']}" for issue in issues[2:]]
    allowed = f"but needs a path under {root}"
    assert found == {
        "weights": [f"base.weights: MODEL.WEIGHTS of {root}/weights.yaml: got {secret}/model.pth, {allowed}"],
        "fetched": [
            f"base.weights: MODEL.WEIGHTS of {root}/fetched.yaml: got ftp://169.254.169.254/latest, "
            "but the service fetches no weights by URL"
        ],
        "hub": [
            f"base.weights: MODEL.WEIGHTS of {root}/hub.yaml: got detectron2://../../secret/model.pkl, "
            "but the service fetches no weights by URL"
        ],
        "bases": [
            f"base.file: _BASE_ of {root}/bases.yaml: got http://169.254.169.254/a.yaml, "
            "but the service fetches no configs by URL",
            f"base.file: _BASE_ of {root}/between.yaml: got ../secret/parent.yaml, {allowed}",
        ],
        "executed": found["executed"],
    }
    assert len(found["executed"]) == 1
    assert "is no Detectron2 config" in found["executed"][0]
    assert not (tmp_path / "executed").exists()


def test_halves_of_characters_are_told_and_fail_nothing(service, tmp_path: Path):
    """As a key that is there twice, in a spec and in a body, and as a file's name in a data set."""
    twice = b'{"\\ud800": 1, "\\ud800": 2}'
    root = tmp_path / "data"
    write_dataset(root, train=2, val=1, size=64, seed=0)
    document = json.loads((root / "val.json").read_text())
    document["images"][0]["file_name"] = "\ud800.png"
    (root / "val.json").write_text(json.dumps(document))
    split = {"annotations": "train.json", "images": "images"}
    data = {"train": split, "val": {**split, "annotations": "val.json"}}
    spec = {"version": 1, "name": "halves", "dataset": data, "base": {"preset": "mask_rcnn_tiny"}}
    with served(service, roots=(root,), prefix=f"t{next(_made)}") as api:
        sweep_id = api.submit()
        headers = {"Content-Type": "application/json"}
        for path in ("/plan", f"/sweeps/{sweep_id}/extend"):
            answer = api("POST", path, content=twice, headers=headers)
            assert answer.status_code == 422
            assert "\\ud800" in answer.json()["issues"][0]["path"]
        answer = api("POST", "/plan", json=spec)
        assert "\\ud800.png" in str(problem(answer, 422, "spec-invalid")["issues"])


def test_no_method_makes_numbers_of_its_own(api):
    """Else whoever makes up methods would fill the memory."""
    assert api("MADEUP", "/healthz", scope=None).status_code == 405
    proof = {"Authorization": f"Bearer {api.tokens['viewer']}"}
    told = api.client.get("/metrics", headers=proof).text
    assert "MADEUP" not in told
    assert 'method="other"' in told


def test_lists_go_on_where_they_were(api):
    """Pages hold each sweep once, newest first, also when others are made between two pages."""
    ids = []
    for number in range(5):
        api.clock.tick()
        ids.append(api.submit(name=f"paged {number}"))
    first = api("GET", "/sweeps", params={"name": "PAGED", "limit": 2}).json()
    api.clock.tick()
    api.submit(name="paged 9")
    rest = api("GET", "/sweeps", params={"name": "paged", "limit": 9, "cursor": first["next"]}).json()
    assert [row["sweep_id"] for row in first["sweeps"] + rest["sweeps"]] == ids[::-1]
    assert rest["next"] is None
    assert api("GET", "/sweeps", params={"state": "RUNNING", "name": "paged"}).json()["sweeps"] == []
    mine = api("GET", "/sweeps", params={"by": api.core.events(ids[0])[0].by, "limit": 500}).json()
    assert len(mine["sweeps"]) == 6


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6]),
        ({"order": "desc"}, [6, 5, 4, 3, 2, 1, 0]),
        ({"sort": "segm/AP"}, [5, 4, 3, 2, 1, 0, 6]),
        ({"sort": "segm/AP", "order": "asc"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"sort": "latency/ms_per_image"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"sort": "segm/AP-of nothing"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"sort": 'somebody\'s "metric" $.a'}, [6, 0, 1, 2, 3, 4, 5]),
        ({"state": "RUNNING"}, []),
    ],
)
def test_trials_sort_by_any_metric(api, measured, params, numbers):
    """The better end first unless told otherwise, trials without a value last, whatever the page's size."""
    found = pages(api, f"/sweeps/{measured}/trials", "trials", **params)
    assert [trial["number"] for trial in found] == numbers


@pytest.mark.parametrize(
    ("sort", "hint"),
    [
        ("segm/AP5O", "did you mean segm/AP75 or segm/AP50 or segm/AP?"),
        ("AP75", "did you mean segm/AP75"),
        ("numbr", "did you mean number?"),
        ("segm/AP_tniy", "did you mean tiny?"),
        ('nobody\'s "metric" $.a', "GET /api/v1/metrics lists all"),
        ("\u2028", "GET /api/v1/metrics lists all"),
    ],
)
def test_what_is_no_metric_sorts_nothing(api, measured, sort, hint):
    """It is refused with what is near: by number it would look as if it had been sorted by what was asked."""
    answer = api("GET", f"/sweeps/{measured}/trials", params={"sort": sort})
    (issue,) = problem(answer, 422, "invalid")["issues"]
    assert issue["path"] == "query.sort"
    assert issue["problem"].endswith(": needs `number` or a metric")
    assert issue["hint"].startswith(hint)


def test_measurements_and_the_pareto_set(api, measured):
    """Every rung is listed once; who is fast or good is on the front, who measured nothing is not."""
    found = pages(api, f"/sweeps/{measured}/measurements", "measurements")
    assert [(each["number"], each["iteration"]) for each in found] == [(n, 300) for n in range(7)]
    assert pages(api, f"/sweeps/{measured}/measurements", "measurements", number=3) == [found[3]]
    front = api("GET", f"/sweeps/{measured}/pareto").json()["standings"]
    assert sorted(each["number"] for each in front) == [0, 1, 2, 3, 4, 5]
    board = api("GET", f"/sweeps/{measured}/leaderboard", params={"limit": 1}).json()
    assert (len(board["standings"]), sorted(board["front"])) == (1, [0, 1, 2, 3, 4, 5])
    assert api("GET", f"/sweeps/{measured}/trials/5").json()["metrics"]["segm/AP"] == 50.0
    problem(api("GET", f"/sweeps/{measured}/trials/99"), 404, "not-found")


def test_what_mattered_is_told_of_a_rung(api, measured):
    """For each objective, or why not; another number of iterations than a rung's is refused."""
    found = api("GET", f"/sweeps/{measured}/importance").json()
    assert [each["metric"] for each in found["objectives"]] == ["segm/AP", "latency/ms_per_image"]
    assert "6 measured trials" in found["objectives"][0]["problem"]
    problem(api("GET", f"/sweeps/{measured}/importance", params={"iterations": 7}), 422, "invalid")


def test_a_sweep_is_mirrored_by_who_may(service, measured, tmp_path):
    """From nothing, and again to no effect; a service without MLflow says so, and MLflow that is away too."""
    with served(service, prefix=f"t{next(_made)}", tracking_uri=f"sqlite:///{tmp_path}/ml.db") as api:
        first = api("POST", f"/sweeps/{measured}/mirror").json()
        assert first == api("POST", f"/sweeps/{measured}/mirror").json()
        assert first["compare_url"].startswith("http")
    with served(service, prefix=f"t{next(_made)}") as api:
        assert (
            "to no MLflow" in problem(api("POST", f"/sweeps/{measured}/mirror"), 409, "wrong-state")["detail"]
        )


@pytest.mark.parametrize("cursor", ["", "x", "bm8", "WyJzd2VlcHMiLDEsMl0", "é", "W10"])
def test_a_cursor_of_another_list_is_refused(api, measured, cursor):
    """It is not guessed what was meant."""
    problem(api("GET", f"/sweeps/{measured}/trials", params={"cursor": cursor}), 422, "invalid")


def test_a_sweep_is_cancelled_once_and_told_who_did_it(api):
    """The request leaves who, what, when and why; asking again is no mistake."""
    sweep_id = api.submit()
    answer = api("POST", f"/sweeps/{sweep_id}/cancel", json={"reason": "too slow"}).json()
    assert (answer["answer"], answer["sweep"]["state"], answer["sweep"]["reason"]) == (
        "done",
        "CANCELLED",
        "too slow",
    )
    assert api("POST", f"/sweeps/{sweep_id}/cancel").json()["answer"] == "already"
    events = api("GET", f"/sweeps/{sweep_id}/events").json()["events"]
    told = [(event["kind"], event["by"].partition("-")[2], event["at"]) for event in events]
    assert told == [
        (kind, "operator", api.clock.now)
        for kind in ("sweep.created", "sweep.submitted", "sweep.cancel_asked", "sweep.cancelled")
    ]
    problem(api("POST", f"/sweeps/{sweep_id}/pause"), 409, "wrong-state")


def test_a_budget_is_extended_once_under_a_key(api):
    """The same request under the same key is answered as before; another one is refused."""
    sweep_id, headers = api.submit(), {"Idempotency-Key": "k1"}
    path = f"/sweeps/{sweep_id}/extend"
    first = api("POST", path, json={"trials": 5}, headers=headers)
    again = api("POST", path, json={"trials": 5}, headers=headers)
    assert (first.json()["sweep"]["budget"]["trials"], again.json()) == (25, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"]
    problem(api("POST", path, json={"trials": 6}, headers=headers), 422, "key-reused")
    other = api("POST", path, json={"trials": 5}, headers={"Idempotency-Key": "k2"})
    assert other.json()["sweep"]["budget"]["trials"] == 30
    assert (
        problem(api("POST", path, json={}), 422, "invalid-body")["issues"][0]["problem"]
        == "says nothing to add"
    )
    issues = problem(api("POST", path, json={"wall": "1h"}), 422, "invalid-body")["issues"]
    assert issues == [{"path": "wall", "problem": "the budget has no such limit to extend", "hint": None}]


def test_a_sweep_is_submitted_once_under_a_key(api):
    """Also where the answer was lost before it was stored; a refused request frees its key."""
    headers = {"Idempotency-Key": "again"}
    problem(api("POST", "/sweeps", json={"version": 1}, headers=headers), 422, "spec-invalid")
    first = api("POST", "/sweeps", json=CURVES, headers=headers).json()
    lose_answers(api)
    again = api("POST", "/sweeps", json=CURVES, headers=headers).json()
    assert again == first
    kinds = [event.kind for event in api.core.events(first["sweep"]["sweep_id"])]
    assert kinds.count("sweep.created") == 1


def test_another_sweep_under_a_key_is_refused_however_old_the_key_is(api):
    """Answers are forgotten after seven days; what the sweep was submitted with is not."""
    headers = {"Idempotency-Key": "old"}
    first = api("POST", "/sweeps", json=CURVES, headers=headers).json()
    api.clock.tick(8 * 24 * 3600)
    other = {**CURVES, "budget": {"trials": 77}}
    assert (
        first["sweep"]["sweep_id"]
        in problem(api("POST", "/sweeps", json=other, headers=headers), 422, "key-reused")["detail"]
    )
    moved = api("POST", "/sweeps", json=CURVES, headers=headers, params={"priority": 5})
    problem(moved, 422, "key-reused")
    again = api("POST", "/sweeps", json=CURVES, headers=headers)
    assert (again.status_code, again.json()["sweep"]["sweep_id"]) == (201, first["sweep"]["sweep_id"])


def test_who_has_seen_another_state_is_told_so(api):
    """A request under the ETag of an older state changes nothing."""
    sweep_id = api.submit()
    seen = api("GET", f"/sweeps/{sweep_id}").headers["ETag"]
    path = f"/sweeps/{sweep_id}/extend"
    assert api("POST", path, json={"trials": 1}, headers={"If-Match": seen}).status_code == 200
    late = api("POST", path, json={"trials": 1}, headers={"If-Match": seen})
    problem(late, 412, "precondition-failed")
    now = api("GET", f"/sweeps/{sweep_id}").headers["ETag"]
    assert now.startswith(late.headers["ETag"][:-1])
    assert not seen.startswith(late.headers["ETag"][:-1])
    assert api.core.sweep(sweep_id).budget.trials == 21
    problem(api("POST", f"/sweeps/{sweep_id}/cancel", headers={"If-Match": seen}), 412, "precondition-failed")


@pytest.mark.parametrize("names_none", ["", " , "])
def test_an_if_match_that_names_nothing_lets_nothing_pass(api, names_none):
    """As of a script whose variable is empty; `*` is any state."""
    sweep_id = api.submit()
    path, headers = f"/sweeps/{sweep_id}/cancel", {"If-Match": names_none}
    told = problem(api("POST", path, headers=headers), 412, "precondition-failed")
    assert "If-Match is empty" in told["detail"]
    assert "`ETag`" in told["hint"]
    assert api.core.sweep(sweep_id).state is SweepState.PENDING
    assert api("POST", path, headers={"If-Match": "*"}).status_code == 200


def test_a_paused_sweep_goes_on_once(api, service):
    """It waits for a driver again, with who asked and for the next epoch; asking again changes nothing."""
    sweep_id = api.submit()
    claim = service.claim(sweep_id, api.clock.now)
    seen = api("GET", f"/sweeps/{sweep_id}").headers["ETag"]
    service.finish(claim, SweepState.PAUSED, "paused by ann", api.clock.now)
    path = f"/sweeps/{sweep_id}/resume"
    problem(api("POST", path, scope="viewer"), 403, "forbidden")
    problem(api("POST", path, headers={"If-Match": seen}), 412, "precondition-failed")
    headers = {"Idempotency-Key": "go-on"}
    first = api("POST", path, headers=headers)
    assert first.status_code == 200, first.text
    again = api("POST", path, headers=headers)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    events = [(event.kind, event.by) for event in api.core.events(sweep_id) if event.by]
    assert [kind for kind, _ in events] == ["sweep.created", "sweep.submitted", "sweep.resume_asked"]
    assert service.claim(sweep_id, api.clock.now).epoch == claim.epoch + 1
    api("POST", f"/sweeps/{sweep_id}/cancel")


def lose_answers(api) -> None:
    """As if the service had died between what it did and the answer that it would have kept."""
    with api.client.app.state.core.answers._engine.begin() as connection:
        connection.execute(answers.update().values(status=None, body=None))


@pytest.mark.parametrize("verb", ["pause", "cancel", "resume"])
def test_a_lost_answer_is_made_again_whatever_the_etag(api, service, verb):
    """Under its key and its `If-Match`: what it changed itself makes no 412, and is not done twice."""
    sweep_id = api.submit()
    claim = service.claim(sweep_id, api.clock.now)
    if verb != "pause":
        service.finish(claim, SweepState.PAUSED, "paused by ann", api.clock.now)
    else:
        api.clock.now += 3600.0  # its driver is long gone
    path, tag = f"/sweeps/{sweep_id}/{verb}", api("GET", f"/sweeps/{sweep_id}").headers["ETag"]
    headers = {"Idempotency-Key": f"lost-{verb}", "If-Match": tag}
    first = api("POST", path, headers=headers)
    assert first.status_code == 200, first.text
    told = [event.kind for event in api.core.events(sweep_id)]
    if verb == "resume":  # somebody else pauses it, before the first one asks again
        service.claim(sweep_id, api.clock.now)
        api.clock.now += 3600.0
        api("POST", f"/sweeps/{sweep_id}/pause")
        told = [event.kind for event in api.core.events(sweep_id)]
    lose_answers(api)
    again = api("POST", path, headers=headers)
    assert (again.status_code, again.json()["answer"]) == (200, "already"), again.text
    assert [event.kind for event in api.core.events(sweep_id)] == told
    assert again.json()["sweep"]["state"] == ("CANCELLED" if verb == "cancel" else "PAUSED")
    api("POST", f"/sweeps/{sweep_id}/cancel")


def test_an_extension_asked_again_does_not_undo_a_later_pause(api, service):
    """It went on with the sweep once, though a driver did so already."""
    sweep_id = api.submit()
    service.claim(sweep_id, api.clock.now)
    path, headers = f"/sweeps/{sweep_id}/extend?resume=true", {"Idempotency-Key": "more"}
    assert api("POST", path, json={"trials": 5}, headers=headers).status_code == 200
    api.clock.now += 3600.0
    api("POST", f"/sweeps/{sweep_id}/pause")
    lose_answers(api)
    again = api("POST", path, json={"trials": 5}, headers=headers).json()
    assert (again["sweep"]["state"], again["sweep"]["budget"]["trials"]) == ("PAUSED", 25)
    assert "sweep.resume_asked" not in [event.kind for event in api.core.events(sweep_id)]
    api("POST", f"/sweeps/{sweep_id}/cancel")


def test_what_was_seen_is_not_sent_again(api):
    """304 with the ETag while all of it is the same; the sweep once a trial or its budget is added."""
    sweep_id = api.submit()
    path, tag = f"/sweeps/{sweep_id}", api("GET", f"/sweeps/{sweep_id}").headers["ETag"]
    same = api("GET", path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    api("POST", f"{path}/extend", json={"trials": 1})
    changed = api("GET", path, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["ETag"] != tag) == (200, True)
    claim, tag = api.core.claim(sweep_id, 2.0), api("GET", path).headers["ETag"]
    api.core.add_trial(claim, Suggestion(0, {"solver.base_lr": 0.001}, 5), {}, 3.0)
    assert api("GET", path, headers={"If-None-Match": tag}).json()["trials"] != {}


def test_a_page_of_events_passes_nothing_that_is_not_committed_yet(api, service):
    """Whoever goes on behind the page sees it once it is there; of one sweep as of all."""
    if service.engine.dialect.name == "sqlite":
        pytest.skip("one writes at a time: ids come in order")
    late, early = api.submit(), api.submit()
    last = Listing(service.engine).last_event()

    def kinds(path: str) -> list[str]:
        page = api("GET", path, params={"after": last}).json()
        assert page["next"] is None
        return [event["kind"] for event in page["events"]]

    with writing(service.engine) as slow:
        sql.add_sweep_event(slow, Claim(late, 0), "sweep.late", api.clock.now)
        with writing(service.engine) as quick:
            sql.add_sweep_event(quick, Claim(early, 0), "sweep.early", api.clock.now)
        assert kinds("/events") == kinds(f"/sweeps/{early}/events") == []
    assert kinds("/events") == ["sweep.late", "sweep.early"]
    assert kinds(f"/sweeps/{early}/events") == ["sweep.early"]


def test_an_unknown_sweep_is_named(api):
    """With the ids that are near."""
    sweep_id = api.submit()
    hint = problem(api("GET", f"/sweeps/{sweep_id}x"), 404, "unknown-sweep")["hint"]
    assert sweep_id in hint
    problem(api("GET", "/sweeps/%00"), 422, "invalid")


OPEN = {"/healthz", "/readyz"}


def test_nothing_but_health_is_open(api):
    """Every operation of the document wants a token, and so does everything that is not in it."""
    paths = api("GET", "/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method in operations:
            answer = api(method.upper(), path.replace("{sweep_id}", "x").replace("{number}", "1"), scope=None)
            assert (answer.status_code == 200) if path in OPEN else (answer.status_code == 401), path
    for path in ("/api/v1/openapi.json", "/docs", "/nothing"):
        assert api.client.get(path).status_code == 401
    wrong = api.client.get(
        "/api/v1/sweeps", headers={"Authorization": "Bearer " + api.tokens["admin"][:-1] + "!"}
    )
    problem(wrong, 401, "unauthorized")
    assert wrong.headers["WWW-Authenticate"] == "Bearer"


def test_a_viewer_changes_nothing(api):
    """Every operation that changes something wants more; tokens want an admin."""
    sweep_id = api.submit()
    for path, operations in api("GET", "/openapi.json").json()["paths"].items():
        if "post" in operations and not path.endswith("/plan"):
            where = path.replace("{sweep_id}", sweep_id).replace("{name}", "x")
            problem(api("POST", where, scope="viewer"), 403, "forbidden")
            if "tokens" in path:
                problem(api("POST", where, scope="operator"), 403, "forbidden")
    assert api("POST", "/plan", scope="viewer", json=CURVES).status_code == 200


def test_tokens_are_shown_once_and_end(api):
    """A token works until it expires or is revoked; only its digest is stored."""
    issued = api("POST", "/tokens", scope="admin", json={"name": f"ann {next(_made)}", "days": 1}).json()
    text, name = issued["token"], issued["about"]["name"]
    headers = {"Authorization": f"Bearer {text}"}
    assert api.client.get("/api/v1/knobs", headers=headers).status_code == 200
    listed = api("GET", "/tokens", scope="admin")
    assert text.split("_", 2)[2] not in listed.text
    assert issued["about"] in listed.json()["tokens"]
    problem(api("POST", "/tokens", scope="admin", json={"name": name}), 409, "name-taken")
    api.clock.tick(24 * 3600 + 1)
    assert api.client.get("/api/v1/knobs", headers=headers).status_code == 401
    revoked = api("POST", f"/tokens/{name}/revoke", scope="admin").json()
    assert revoked["revoked_by"].endswith("-admin")
    problem(api("POST", "/tokens/nobody/revoke", scope="admin"), 404, "not-found")


def test_a_token_is_made_once_under_a_key(api):
    """Asking again is told that it was shown; its text is in no table of answers."""
    from sweeps.store.tables import answers

    body, headers = {"name": f"key {next(_made)}"}, {"Idempotency-Key": "token"}
    text = api("POST", "/tokens", scope="admin", json=body, headers=headers).json()["token"]
    again = api("POST", "/tokens", scope="admin", json=body, headers=headers)
    assert "shown once" in problem(again, 409, "shown-once")["detail"]
    with api.core.engine.connect() as connection:
        rows = connection.execute(answers.select()).all()
    assert text.split("_", 2)[2] not in str(rows)  # a secret may have a _ of its own
    other = {"name": "other"}
    problem(api("POST", "/tokens", scope="admin", json=other, headers=headers), 422, "key-reused")


def test_a_token_whose_answer_was_lost_is_refused_as_one_whose_name_is_taken(api):
    """409 with what to do, under its key as without one, and again."""
    body, headers = {"name": f"lost {next(_made)}"}, {"Idempotency-Key": "lost-token"}
    assert api("POST", "/tokens", scope="admin", json=body, headers=headers).status_code == 201
    lose_answers(api)
    for more in (headers, headers, {}):
        told = problem(api("POST", "/tokens", scope="admin", json=body, headers=more), 409, "name-taken")
        assert body["name"] in told["detail"]
        assert "revoke it and make another under a new key" in told["hint"]


def test_a_plan_says_what_it_does_not_know(api):
    """Without earlier sweeps the trials of each rung are told, and no times."""
    plan = api("POST", "/plan", json=CURVES, params={"workers": 4}).json()
    assert (plan["trials"]["likely"], plan["per_rung"]["900"]["low"] <= 20, plan["wall_s"]) == (
        20,
        True,
        None,
    )
    assert any("times are not known" in note for note in plan["notes"])


def test_what_can_be_named_is_listed(api):
    """Knobs, metrics and data sets."""
    assert "mask_head.conv_dim" in {knob["name"] for knob in api("GET", "/knobs").json()["knobs"]}
    assert "segm/AP" in {metric["name"] for metric in api("GET", "/metrics").json()["metrics"]}
    api.core.create(make_spec(), fingerprint="sha", now=1.0)
    (data,) = api("GET", "/datasets").json()["datasets"]
    assert (data["fingerprint"], data["train"], data["sweeps"]) == ("sha", "/nowhere/train.json", 1)


def test_prometheus_reads_the_numbers(api, measured):
    """States of all sweeps, and the best value of those of today."""
    api.submit()
    headers = {"Authorization": f"Bearer {api.tokens['viewer']}"}
    lines = api.client.get("/metrics", headers=headers).text.splitlines()
    pending = next(line for line in lines if line.startswith('masksweep_sweeps{state="PENDING"}'))
    assert float(pending.split()[1]) >= 1
    assert any(line.startswith("masksweep_sweep_gpu_seconds{") for line in lines)
    assert {"masksweep_notifications_waiting 0.0", "masksweep_notifications_failed 0.0"} < set(lines)
    assert any('route="/api/v1/sweeps",status="201"' in line for line in lines)


def test_the_best_value_for_prometheus_is_the_leaders(api, service):
    """A better value that breaks the constraints leads nowhere."""
    spec = make_spec(
        objectives=[{"metric": "segm/AP"}], constraints=[{"metric": "latency/ms_per_image", "max": 40}]
    )
    claim = service.claim(service.create(spec, fingerprint="", now=api.clock.now).sweep_id, api.clock.now)
    for number, (ap, latency) in enumerate([(42.4, 59.7), (42.1, 30.0), (41.0, 20.0)]):
        service.add_trial(claim, Suggestion(number, {"mask_head.num_conv": 4}, 5), {}, 3.0)
        metrics = {"segm/AP": ap, "latency/ms_per_image": latency}
        report = make_report(number=number, iteration=300, metrics=metrics)
        service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=4.0)
    (shown,) = [each for each in totals(service.engine, 5.0).shown if each.sweep.sweep_id == claim.sweep_id]
    board = api("GET", f"/sweeps/{claim.sweep_id}/leaderboard").json()["standings"]
    assert shown.best == board[0]["metrics"]["segm/AP"] == 42.1


def test_a_store_that_is_away_is_said_to_be(tmp_path):
    """503, to be tried again later; health stays, readiness does not."""
    from sweeps.service import SweepService
    from sweeps.store.migrations import upgrade

    engine = open_engine(f"sqlite:///{tmp_path}/away.db")
    upgrade(engine)
    with served(SweepService(engine)) as api:
        (tmp_path / "away.db").rename(tmp_path / "elsewhere.db")
        answer = api("GET", "/sweeps")
        assert problem(answer, 503, "store-unavailable")["detail"] == "the store does not answer now"
        assert answer.headers["Retry-After"] == "5"
        assert api("GET", "/healthz", scope=None).status_code == 200
        assert api("GET", "/readyz", scope=None).status_code == 503
        (tmp_path / "elsewhere.db").rename(tmp_path / "away.db")
        assert api("GET", "/readyz", scope=None).json()["status"] == "ok"
