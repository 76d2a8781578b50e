"""The direction in which each metric is better, known without any experiment's code."""

from collections.abc import Mapping
from types import MappingProxyType

# Whether a larger value is better; None where that depends on the task.
LARGER_IS_BETTER: Mapping[str, bool | None] = MappingProxyType(
  {
    "accuracy": True,
    "distance": False,
    "divergence": False,
    "end": False,
    "exact": True,
    "fours": True,
    "free_energy": False,
    "length": None,
    "log_likelihood": True,
    "loss": False,
    "nats": False,
    "return": True,
  }
)
