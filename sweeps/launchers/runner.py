"""The seam between the service and the GPU side.

The service needs neither torch nor Ray nor Detectron2, so what drives a sweep is found by entry point
(`masksweep.runners`) and seen through this protocol alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from search_spaces.issues import SpecIssue
from search_spaces.parameters import Value
from sweeps.core.errors import MissingExtra
from sweeps.core.plan import Probe, Slots
from sweeps.core.progress import Progress
from sweeps.core.spec import SweepSpec
from sweeps.settings import Settings

if TYPE_CHECKING:
    from sweeps.service import SweepService

ENTRY_POINTS = "masksweep.runners"

TRAINING = ("ray", "torch", "torchvision", "detectron2", "hotcoco", "pycocotools", "numpy", "PIL")
"""What workers import: the extra `runners`, and Detectron2."""

DRAWING = ("numpy", "PIL")
"""What the synthetic data set needs."""

SCORING = ("hotcoco", "vernier")
"""What `Runner.evaluate` needs."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """What is known of a spec's data and base before anything is created.

    Attributes:
        issues: Why it cannot run; empty if it can.
        notes: What a person should know, but need not mend.
        fingerprint: SHA-256 of the data set, or of the function that a synthetic base is, in hex.
        base: SHA-256 of the base's config and weights by their contents; empty if there are issues.
    """

    issues: tuple[SpecIssue, ...]
    notes: tuple[str, ...]
    fingerprint: str
    base: str


IouType: TypeAlias = Literal["segm", "bbox", "boundary"]
"""What IoU is taken of: masks, boxes, or masks by their boundary."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a file of predictions is worth.

    Attributes:
        metrics: Name of `sweeps.core.metrics` -> value; what could not be measured is absent.
        categories: All names of the annotations.
        images: In the annotations.
        instances: In the annotations, without crowd regions.
        detections: In the predictions.
    """

    metrics: Mapping[str, float]
    categories: tuple[str, ...]
    images: int
    instances: int
    detections: int


@dataclass(frozen=True, slots=True)
class PredictedImage:
    """What a model found in an image.

    Attributes:
        image: The file.
        overlay: A PNG of the image with masks, boxes and names drawn over it.
        instances: Found.
    """

    image: Path
    overlay: Path
    instances: int


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a model found in some images.

    Attributes:
        images: In the order in which they were given.
        predictions: A COCO file: images, categories, and annotations with a score and a mask as RLE.
        own_ids: Whether its categories have the ids of the champion's data set; otherwise, where the champion
            was kept without them, they are numbered from 1 in the order of its classes.
    """

    images: tuple[PredictedImage, ...]
    predictions: Path
    own_ids: bool


@dataclass(frozen=True, slots=True)
class DriveOrder:
    """One epoch of a sweep, to be driven in this process.

    Attributes:
        ray_address: A running Ray cluster, or None for one of our own on this machine.
        on_progress: Called on every change, from the driver's thread.
        on_note: Called with what a person should know.
        hangs_after_s: Seconds after which a driver in whose loop nothing moves ends, as if it were killed.
    """

    service: "SweepService"
    settings: Settings
    sweep_id: str
    ray_address: str | None
    on_progress: Callable[[Progress], None]
    on_note: Callable[[str], None]
    hangs_after_s: float = 1800.0


class Runner(Protocol):
    """What the GPU side offers."""

    def preflight(self, spec: SweepSpec, roots: Sequence[Path] = ()) -> Preflight:
        """Checks data set and base config; reads files, creates nothing.

        Args:
            spec: The sweep.
            roots: Directories that all its files must lie in, links followed; none of them: anywhere.
        """

    def write_dataset(self, directory: Path, *, train: int, val: int, size: int, seed: int) -> None:
        """Writes the synthetic data set, and a spec to run on it, into `directory`."""

    def check_resources(self, spec: SweepSpec, ray_address: str | None) -> None:
        """Checks that there is something to train on, as far as it can be known before; creates nothing.

        Args:
            spec: Says what a trial takes.
            ray_address: A running Ray cluster, or None for one of our own on this machine.

        Raises:
            UserError: There is no such cluster, or not even one trial fits.
        """

    def slots(self, spec: SweepSpec) -> Slots:
        """How many trials would run at once on this machine, and what each would hold; starts nothing.

        Raises:
            UserError: Not even one trial fits.
        """

    def probe(
        self, spec: SweepSpec, points: Sequence[dict[str, Value]], *, timed: int, seconds: float
    ) -> Probe:
        """Builds and trains points of a space for a few moments each, on a sample of the data.

        Leaves nothing behind.

        Args:
            spec: A spec that passed its preflight.
            points: Parameters.
            timed: The first so many are timed, and memory is measured on them.
            seconds: How long at most, in all.

        Raises:
            KeyboardInterrupt: Somebody wants it to stop.
        """

    def evaluate(
        self, annotations: Path, predictions: Path, iou_type: IouType, *, max_detections: int
    ) -> Evaluation:
        """Scores a file of COCO results against COCO annotations.

        Raises:
            SpecInvalid: With everything that is wrong with the files, under `gt` and `predictions`.
        """

    def predict(self, champion: Path, images: Sequence[Path], out: Path) -> Predicted:
        """Segments images with a champion, as it is to be used.

        Args:
            champion: Its directory.
            images: Files that Pillow reads.
            out: Directory for what comes out; made if absent.

        Raises:
            SpecInvalid: With every image that cannot be read.
            UserError: The champion's files are not whole, or `out` cannot be written.
        """

    def drive(self, order: DriveOrder) -> None:
        """Runs the sweep until it ends or is paused; its state in the store tells which.

        Raises:
            UserError: It cannot be driven as things are (no such cluster, another driver, a full disk).
        """


def load_runner(needs: Sequence[str] = TRAINING) -> Runner:
    """The installed runner.

    Args:
        needs: Modules that have to be there, which workers would miss only after a sweep exists.

    Raises:
        MissingExtra: masksweep is installed without its workers.
    """
    hint = "pip install 'masksweep[runners]', and Detectron2 as the README says"
    missing = [name for name in needs if not _installed(name)]
    if missing:
        raise MissingExtra(f"this needs {', '.join(missing)}: not installed", hint)
    for point in entry_points(group=ENTRY_POINTS):
        try:
            return cast(Runner, point.load()())
        except ImportError as error:
            raise MissingExtra(
                f"training needs {error.name or error}, which is not installed", hint
            ) from error
    raise MissingExtra("no runner is installed", hint)


def _installed(module: str) -> bool:
    """Whether a top-level module is there, without importing it; a mere directory of that name is none."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None
