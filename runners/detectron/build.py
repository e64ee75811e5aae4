"""Whether parameters make a model at all, without training it."""

from collections.abc import Mapping

from runners.detectron.config import build_config
from runners.detectron.data import register
from runners.detectron.environment import limit_threads
from runners.detectron.failures import Stage, failure_of
from runners.detectron.model import build_model
from runners.detectron.solver import build_optimizer
from search_spaces.parameters import Value
from sweeps.core.spec import SweepSpec
from sweeps.core.trial import Failure


class ModelBuilder:
    """Builds models on the CPU, each but once: parameters that change no model are told apart by nothing."""

    def __init__(self, spec: SweepSpec) -> None:
        limit_threads()
        self._spec, self._data = spec, register(spec)
        self._known: dict[str, Failure | None] = {}

    def failure(self, params: Mapping[str, Value]) -> Failure | None:
        """Why the model and the optimizer of these parameters cannot be built; None if they can."""
        try:
            cfg = build_config(
                self._spec,
                params,
                seed=0,
                output_dir="",
                num_classes=self._data.num_classes,
                device="cpu",
                data=self._data,
            )
        except Exception as error:
            return failure_of(error, Stage.BUILDING)
        key = f"{cfg.SOLVER.OPTIMIZER}\n{cfg.MODEL.dump()}"
        if key not in self._known:
            try:
                build_optimizer(cfg, build_model(cfg))
                self._known[key] = None
            except Exception as error:
                self._known[key] = failure_of(error, Stage.BUILDING)
        return self._known[key]
