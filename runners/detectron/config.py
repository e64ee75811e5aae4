"""From a spec and a trial's parameters to a frozen Detectron2 config."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import detectron2.model_zoo
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    PROPOSAL_GENERATOR_REGISTRY,
    ROI_HEADS_REGISTRY,
    ROI_MASK_HEAD_REGISTRY,
)

import runners.detectron.backbone
import runners.detectron.heads  # noqa: F401  # both register what configs name
from runners.base_files import require_regular_files
from runners.detectron import pointrend
from runners.detectron.anchors import fit_anchors
from runners.detectron.data import RegisteredData
from search_spaces.issues import SpecIssue, did_you_mean
from search_spaces.overrides import BASE_KEYS, ConfigValue, config_overrides
from search_spaces.parameters import Value
from search_spaces.presets import load_preset
from sweeps.core.errors import SpecInvalid
from sweeps.core.inference import InferenceSettings, SettingsGrid
from sweeps.core.spec import BaseSpec, SweepSpec
from sweeps.core.weight_addresses import is_address

EXTRA_KEYS: Mapping[str, ConfigValue] = {
    "MODEL.ROI_MASK_HEAD.UPSAMPLE_STRIDE": 2,
    "MODEL.ROI_MASK_HEAD.LOSS_WEIGHT": 1.0,
    "MODEL.ROI_MASK_HEAD.LOSS": "bce",
    "MODEL.ROI_MASK_HEAD.MASK_IOU": False,
    "MODEL.ROI_MASK_HEAD.MASK_IOU_WEIGHT": 1.0,
    "SOLVER.OPTIMIZER": "SGD",
    "INPUT.BRIGHTNESS": 0.0,  # r: a factor drawn from 1-r to 1+r; the same for the three below
    "INPUT.CONTRAST": 0.0,
    "INPUT.SATURATION": 0.0,
    "INPUT.SCALE_JITTER": 0.0,
    "INPUT.LARGE_SCALE_JITTER": False,
    "INPUT.ROTATION": 0.0,  # degrees
    "INPUT.COPY_PASTE": 0.0,  # of the images
    "INPUT.COPY_PASTE_SMALL_BIAS": 0.0,
    "DATALOADER.REPEAT_SMALL": 1.0,
}
"""What Detectron2's config lacks, with the values at which nothing differs from stock."""

META_ARCHITECTURE = "GeneralizedRCNN"
"""The only one whose knobs, losses and outputs are what the rest expects."""

_NORM_KEYS = ("MODEL.RESNETS.NORM", "MODEL.FPN.NORM", "MODEL.ROI_BOX_HEAD.NORM", "MODEL.ROI_MASK_HEAD.NORM")
MASK_THRESHOLD = 0.5
"""Detectron2 has no config key for it: `detector_postprocess` has it as a default."""

_CUDA_LOADERS = 2  # processes that prepare batches while the GPU trains


def masksweep_cfg() -> CfgNode:
    """Detectron2's default config with our extra keys, and PointRend's where Detectron2 has it."""
    cfg = get_cfg()
    pointrend.declare(cfg)
    for key, value in EXTRA_KEYS.items():
        *path, name = key.split(".")
        node = cfg
        for part in path:
            node = node[part]
        if name not in node:
            node[name] = value
    return cfg


@cache
def zoo_names() -> tuple[str, ...]:
    """The model zoo's YAML configs by the names that `zoo:` takes, sorted."""
    root = Path(detectron2.model_zoo.__file__).parent / "configs"
    return tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*.yaml")))


def base_config(base: BaseSpec) -> CfgNode:
    """The config that a spec's `base` names, with `MODEL.WEIGHTS` as it asks for; not frozen.

    A user's file is read as plain data: nothing in it, nor in the files that its `_BASE_` names, is executed.

    Raises:
        SpecInvalid: No such preset or zoo config, or the file is no Detectron2 config.
        OSError: The file, or one that its `_BASE_` names, cannot be read.
    """
    cfg = masksweep_cfg()
    zoo = base.zoo
    if base.preset is not None:
        preset = load_preset(base.preset)
        if preset.zoo is not None:
            _merge_zoo(cfg, preset.zoo)
        for key, value in preset.overrides:
            set_key(cfg, key, value)
        zoo = preset.zoo
    elif base.zoo is not None:
        _merge_zoo(cfg, base.zoo)
    elif base.file is not None:
        _merge_file(cfg, base.file)
    cfg.MODEL.WEIGHTS = _weights(base, zoo, cfg.MODEL.WEIGHTS)
    return cfg


def base_issues(base: BaseSpec) -> tuple[SpecIssue, ...]:
    """What is wrong with a base's config, key by key."""
    try:
        cfg = base_config(base)
    except SpecInvalid as error:
        return error.issues
    except FileNotFoundError as error:
        return (SpecIssue("base.file", f"no such file: {error.filename or base.file}"),)
    except OSError as error:
        problem = f"cannot read {error.filename or base.file}: {error.strerror or error}"
        return (SpecIssue("base.file", problem),)
    where = "base.file" if base.file else "base.zoo" if base.zoo else "base.preset"
    issues = []
    if cfg.MODEL.META_ARCHITECTURE != META_ARCHITECTURE:
        problem = f"MODEL.META_ARCHITECTURE: got {cfg.MODEL.META_ARCHITECTURE}, but needs {META_ARCHITECTURE}"
        issues.append(SpecIssue(where, problem, "take a config of Mask R-CNN"))
    known = {
        "MODEL.BACKBONE.NAME": BACKBONE_REGISTRY,
        "MODEL.PROPOSAL_GENERATOR.NAME": PROPOSAL_GENERATOR_REGISTRY,
        "MODEL.ROI_HEADS.NAME": ROI_HEADS_REGISTRY,
        "MODEL.ROI_MASK_HEAD.NAME": ROI_MASK_HEAD_REGISTRY,
    }
    for key, registry in known.items():
        name = get_key(cfg, key)
        if name not in registry:
            names = [name for name, _ in registry]
            issues.append(
                SpecIssue(where, f"{key}: {name!r} is not in this Detectron2", did_you_mean(name, names))
            )
    if not cfg.MODEL.MASK_ON:
        issues.append(SpecIssue(where, "MODEL.MASK_ON is false: it trains no mask head", "set it to true"))
    if cfg.MODEL.KEYPOINT_ON or cfg.MODEL.LOAD_PROPOSALS:
        issues.append(SpecIssue(where, "keypoints and precomputed proposals are not supported"))
    return tuple(issues)


def build_config(
    spec: SweepSpec,
    params: Mapping[str, Value],
    *,
    seed: int,
    output_dir: str,
    num_classes: int,
    device: str,
    data: RegisteredData | None = None,
) -> CfgNode:
    """The frozen config of one trial: base, then what data, fidelity, inference settings and machine ask for.

    Args:
        spec: The sweep.
        params: The trial's active parameters.
        seed: 0 to 2**31 - 1.
        output_dir: Where stock tools that are given this config would write.
        num_classes: The data set's categories.
        device: `cpu`, `cuda` or `cuda:<n>`.
        data: Names of the registered data, if it is registered; fitted anchors need it.

    Raises:
        SpecInvalid: The base is no config.
        OSError: Its file cannot be read.
        ValueError: A value does not fit its key, or a head does not fit the base or this Detectron2.
    """
    cfg = base_config(spec.base)
    base_values = {key: get_key(cfg, key) for key in BASE_KEYS}
    overrides = dict(config_overrides(params, base_values, spec.fidelity.iterations))
    head, before = overrides.get("MODEL.ROI_MASK_HEAD.NAME"), cfg.MODEL.ROI_MASK_HEAD
    if head == pointrend.STOCK != before.NAME:
        pointrend.switch_to_pointrend(cfg)
    elif head not in (None, pointrend.STOCK) and not before.POOLER_TYPE:
        pointrend.switch_back(cfg)
    for key, value in overrides.items():
        set_key(cfg, key, value)
    for key in _NORM_KEYS:
        if get_key(cfg, key) == "SyncBN":
            set_key(cfg, key, "BN")  # the same on one device, and runs on a CPU
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = num_classes
    cfg.MODEL.RETINANET.NUM_CLASSES = num_classes
    pointrend.complete(cfg)
    if params.get("anchors.preset") == "fitted":
        if data is None:
            raise ValueError("anchors.preset: fitted needs the registered training data")
        fit_anchors(cfg, data)
    if data is not None:
        cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (data.train,), (data.val,)
    _apply_inference(cfg, spec)
    cuda = device.startswith("cuda")
    cfg.MODEL.DEVICE = device
    cfg.SOLVER.AMP.ENABLED = cuda
    cfg.DATALOADER.NUM_WORKERS = _CUDA_LOADERS if cuda else 0
    cfg.TEST.EVAL_PERIOD = 0
    cfg.VIS_PERIOD = 0
    cfg.SEED = seed
    cfg.OUTPUT_DIR = output_dir
    cfg.freeze()
    return cfg


def portable_config(cfg: CfgNode) -> str:
    """The config as YAML that stock Detectron2 reads, as far as the model is one that it has.

    Training-only keys of ours are left out, and a head that equals a stock one becomes that: a strided one of
    stride 2 without a mask-IoU branch, and PointRend's, which is read after `add_pointrend_config`. What
    remains of ours is declared in `masksweep_cfg`.
    """
    portable = cfg.clone()
    portable.defrost()
    head = portable.MODEL.ROI_MASK_HEAD
    if head.NAME == "StridedMaskHead" and head.UPSAMPLE_STRIDE == 2 and not head.MASK_IOU:
        head.NAME = "MaskRCNNConvUpsampleHead"
    stock = get_cfg()
    if head.NAME == pointrend.OURS:
        head.NAME = pointrend.STOCK
        pointrend.declare(stock)
    needed = {"UPSAMPLE_STRIDE", "MASK_IOU"} if head.NAME == "StridedMaskHead" else set()
    _drop_foreign(portable, stock, needed)
    text: str = portable.dump()
    return text


def _drop_foreign(cfg: CfgNode, stock: CfgNode, needed: Collection[str]) -> None:
    """Deletes the keys that `stock` lacks, but for those of a name that is needed."""
    for name in [name for name in cfg if name not in stock and name not in needed]:
        del cfg[name]
    for name, node in stock.items():
        if isinstance(node, CfgNode):
            _drop_foreign(cfg[name], node, needed)


def choose_device(gpus: float, *, cuda: bool) -> str:
    """Where a trial trains: `cuda` or `cpu`.

    Args:
        gpus: Share of a GPU that the trial holds. Ray may count GPUs where torch finds none.
        cuda: Whether torch finds one. A trial that holds none leaves it to others.
    """
    return "cuda" if gpus > 0 and cuda else "cpu"


def get_key(cfg: CfgNode, key: str) -> Any:
    """The value of a dotted key."""
    node = cfg
    for part in key.split("."):
        node = node[part]
    return node


def set_key(cfg: CfgNode, key: str, value: ConfigValue) -> None:
    """Sets a dotted key, brought to the type that it has: lists to tuples, whole numbers to floats.

    Raises:
        KeyError: There is no such key.
        ValueError: The value's type does not fit.
    """
    *path, name = key.split(".")
    node = get_key(cfg, ".".join(path)) if path else cfg
    old = node[name]
    if isinstance(old, tuple | list) and isinstance(value, Sequence) and not isinstance(value, str):
        node[name] = type(old)(value)
    elif isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        node[name] = float(value)
    elif old is None or type(old) is type(value):
        node[name] = value
    else:
        raise ValueError(f"{key}: {value!r} is no {type(old).__name__}")


def _merge_zoo(cfg: CfgNode, name: str) -> None:
    # Only listed names: a path that leads out of the zoo would be read as trusted code.
    if name not in zoo_names():
        raise SpecInvalid(
            [
                SpecIssue(
                    "base.zoo", f"{name!r} is not in Detectron2's model zoo", did_you_mean(name, zoo_names())
                )
            ]
        )
    cfg.merge_from_file(detectron2.model_zoo.get_config_file(name))


def _merge_file(cfg: CfgNode, path: str) -> None:
    require_regular_files(path)  # or Detectron2 asserts that there is one, whatever the file system says
    try:
        cfg.merge_from_file(path, allow_unsafe=False)
    except OSError:
        raise  # the file system's word on a file may be another the next time
    except Exception as error:  # yaml, yacs, asserts and key errors: all mean that it is no config for us
        problem = " ".join(str(error).split()) or type(error).__name__
        raise SpecInvalid([SpecIssue("base.file", f"{path} is no Detectron2 config: {problem}")]) from error


def _weights(base: BaseSpec, zoo: str | None, in_config: str) -> str:
    """`MODEL.WEIGHTS` as `base.weights` asks for it.

    The spec has seen to it that `zoo` names a config with weights, and `file` comes with a file.
    """
    match base.weights:
        case "none":
            return ""
        case "zoo":
            return str(detectron2.model_zoo.get_checkpoint_url(zoo))
        case "file":
            return _beside(base.file or "", in_config)
        case path_or_url:
            return path_or_url


def _beside(file: str, weights: str) -> str:
    """Weights that a config file names; a relative path starts where the file is, on any machine."""
    if not weights or is_address(weights):
        return weights
    return str(Path(file).parent / Path(weights).expanduser())


def _apply_inference(cfg: CfgNode, spec: SweepSpec) -> None:
    """Settings of one value are the model's own from here on; where there are several, the base's stay."""
    inference, heads = spec.inference, cfg.MODEL.ROI_HEADS
    match inference.score_threshold:
        case (only,):
            heads.SCORE_THRESH_TEST = only
    match inference.nms_threshold:
        case (only,):
            heads.NMS_THRESH_TEST = only
    match inference.detections_per_image:
        case (int(count),):
            cfg.TEST.DETECTIONS_PER_IMAGE = count


def settings_grid(cfg: CfgNode, spec: SweepSpec) -> SettingsGrid:
    """The inference settings that a trial chooses among; the default is what the config has."""
    heads = cfg.MODEL.ROI_HEADS
    default = InferenceSettings(
        MASK_THRESHOLD, heads.SCORE_THRESH_TEST, heads.NMS_THRESH_TEST, cfg.TEST.DETECTIONS_PER_IMAGE
    )
    return spec.inference.grid(default)
