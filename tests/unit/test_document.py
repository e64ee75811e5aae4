import io

from rich.console import Console

from sweeps.bootstrap import open_service
from sweeps.cli.document import sweep_document
from sweeps.cli.tables import leaderboard_table
from sweeps.core.trial import Suggestion
from sweeps.settings import Settings
from sweeps.testing import COMPLETED, make_report, make_spec


def test_a_checkpoint_that_was_deleted_is_not_named(tmp_path):
    """Only what is on the disk can be loaded; the others are null."""
    settings = Settings.load(tmp_path, environ={})
    service = open_service(settings, create=True)
    sweep_id = service.create(make_spec(), fingerprint="0" * 64, now=1.0).sweep_id
    claim = service.claim(sweep_id, 2.0)
    for number, ap in enumerate((10.0, 20.0)):
        service.add_trial(claim, Suggestion(number, {}, 1), {}, 3.0)
        report = make_report(
            number, iteration=300, metrics={"segm/AP": ap}, checkpoint=str(tmp_path / f"{number}")
        )
        service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=4.0)
    (tmp_path / "1").mkdir()
    document = sweep_document(service, settings, sweep_id)
    assert [trial["checkpoint"] for trial in document["trials"]] == [None, str(tmp_path / "1")]
    assert document["best"]["checkpoint"] == str(tmp_path / "1")
    assert [trial["measured_iteration"] for trial in document["trials"]] == [300, 300]


def test_the_front_of_two_objectives_is_told_and_starred(tmp_path):
    """Two of three trials are worth choosing between: the third is slower and worse than one of them."""
    settings = Settings.load(tmp_path, environ={})
    service = open_service(settings, create=True)
    spec = make_spec(objectives=[{"metric": "segm/AP"}, {"metric": "latency/ms_per_image"}])
    sweep_id = service.create(spec, fingerprint="0" * 64, now=1.0).sweep_id
    claim = service.claim(sweep_id, 2.0)
    for number, (ap, ms) in enumerate([(10.0, 20.0), (30.0, 50.0), (9.0, 25.0)]):
        service.add_trial(claim, Suggestion(number, {}, 1), {}, 3.0)
        metrics = {"segm/AP": ap, "latency/ms_per_image": ms}
        report = make_report(number, iteration=300, metrics=metrics)
        service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=4.0)
    assert sweep_document(service, settings, sweep_id)["front"] == [1, 0]
    out = io.StringIO()
    Console(file=out, width=200).print(leaderboard_table(service.sweep(sweep_id), service.trials(sweep_id)))
    starred = [line.split()[1] for line in out.getvalue().splitlines() if line.lstrip().startswith("*")]
    assert starred == ["1", "0"]
