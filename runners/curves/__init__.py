"""An analytic objective in place of Detectron2: thousands of trials in seconds."""
