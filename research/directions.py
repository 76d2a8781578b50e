"""The direction in which each metric is better, known without any experiment's code."""

from collections.abc import Mapping
from types import MappingProxyType

# Whether a larger value is better; None where that depends on the task.
LARGER_IS_BETTER: Mapping[str, bool | None] = MappingProxyType(
  {
    "accuracy": True,
    "auc": True,
    "boundary_f1": True,
    "distance": False,
    "divergence": False,
    "ece": False,
    "end": False,
    "exact": True,
    "f1": True,
    "fours": True,
    "free_energy": False,
    "length": None,
    "log_likelihood": True,
    "loss": False,
    "mean_iou": True,
    "nats": False,
    "pixel_accuracy": True,
    "recall": True,
    "return": True,
    "weighted_iou": True,
  }
)
