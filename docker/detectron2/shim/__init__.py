"""A PEP 517 backend that turns the PyPI sdist of Detectron2 0.6 into a patched pure-Python wheel."""


class BuildError(Exception):
    """The wheel can't be made; the message says what failed and what to do."""
