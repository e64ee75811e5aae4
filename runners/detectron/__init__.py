"""Detectron2 training: configs, mask heads, data, the trainer and the worker that runs trials."""

import warnings

# Detectron2 decorates with it at import; nothing here is scripted.
warnings.filterwarnings("ignore", message=r".*torch\.jit\.script", category=FutureWarning)
