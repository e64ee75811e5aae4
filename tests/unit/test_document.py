from sweeps.bootstrap import open_service
from sweeps.cli.document import sweep_document
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
