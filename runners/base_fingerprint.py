"""What decides the values of a base besides its name: the contents of its config and of its weights."""

import hashlib

from runners.regular_files import open_regular
from sweeps.core.spec import WEIGHT_WORDS, BaseSpec
from sweeps.core.weight_addresses import is_address


def base_fingerprint(base: BaseSpec) -> str:
    """SHA-256 in hex of a base that is known to build: the same for equal contents, wherever the files lie.

    Weights behind a URL, presets and configs of the zoo go by their names.
    """
    weights = base.weights
    if base.file is None:
        config = f"preset {base.preset}" if base.preset else f"zoo {base.zoo}"
    else:
        from runners.detectron.config import base_config  # noqa: PLC0415 - imports Detectron2

        cfg = base_config(base)  # with what its _BASE_ names
        if weights == "file":
            weights = cfg.MODEL.WEIGHTS
        cfg.MODEL.WEIGHTS = ""
        config = f"file {cfg.dump()}"
    if weights and weights not in WEIGHT_WORDS and not is_address(weights):
        with open_regular(weights) as file:
            weights = f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    return hashlib.sha256(f"{config}\n{weights}".encode()).hexdigest()
