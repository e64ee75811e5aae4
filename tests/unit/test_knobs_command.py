"""`masksweep knobs`."""

from search_spaces.knobs import knob_names
from sweeps.cli.knobs import knob_rows


def test_every_knob_is_listed_with_what_it_needs() -> None:
    """A knob of one mask head, or of another knob, says so in words; the others need nothing."""
    needs = {row["name"]: row["needs"] for row in knob_rows()}
    assert tuple(needs) == knob_names()
    assert needs["mask_head.loss"] == "mask_head.name is stock or strided"
    assert needs["augment.copy_paste_small_bias"] == "augment.copy_paste is searched"
    assert needs["solver.base_lr"] is None
