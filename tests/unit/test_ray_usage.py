"""What Tune does before the first trial."""

import subprocess
import sys

SCRIPT = """
import sys
from ray.tune import tune
from runners.ray_usage import count_no_callbacks
count_no_callbacks()
tune.air_usage.tag_callbacks([object()])
sys.exit("mlflow" in sys.modules)
"""


def test_tune_imports_no_mlflow_to_count_callbacks():
    """In a process of its own: here others may have imported it."""
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=120)
