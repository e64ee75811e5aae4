"""The spec of a sweep: reading it, its canonical JSON and its digest."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.core.pruner import Pruner
from sweeps.core.sampler import Sampler
from sweeps.core.spec_model import (
    BaseSpec,
    Budget,
    Constraint,
    Dataset,
    Fidelity,
    Inference,
    Metrics,
    Objective,
    Replicates,
    Resources,
    Split,
    SweepSpec,
    Tracking,
)
from sweeps.core.spec_reader import read_spec
from sweeps.core.warm_start import WarmStart
from sweeps.core.weight_addresses import WEIGHT_WORDS

__all__ = [
    "WEIGHT_WORDS",
    "BaseSpec",
    "Budget",
    "Constraint",
    "Dataset",
    "Fidelity",
    "Inference",
    "Metrics",
    "Objective",
    "Pruner",
    "Replicates",
    "Resources",
    "Sampler",
    "Split",
    "SweepSpec",
    "Tracking",
    "WarmStart",
    "parse_spec",
    "spec_digest",
    "spec_document",
    "spec_from_document",
]


def parse_spec(given: str | Mapping[str, Any], directory: Path) -> SweepSpec:
    """The spec that a YAML text, or what was read from JSON, describes.

    Args:
        given: YAML, or its fields as plain data.
        directory: Where relative paths start: the directory of the spec's file.

    Raises:
        SpecInvalid: With every problem of the text, each under its path.
    """
    return read_spec(given, directory)


def spec_document(spec: SweepSpec) -> str:
    """The spec as canonical JSON: equal specs give equal texts."""
    data = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def spec_from_document(text: str) -> SweepSpec:
    """The inverse of `spec_document`."""
    return SweepSpec.model_validate_json(text)


def spec_digest(spec: SweepSpec) -> str:
    """SHA-256 in hex of the canonical JSON: independent of the order and the spelling of the YAML."""
    return hashlib.sha256(spec_document(spec).encode()).hexdigest()
