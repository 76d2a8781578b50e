"""The platform that programs are compiled for: this machine's, or that of a machine elsewhere.

`jax.default_backend()` answers for this machine, also while a program is traced for a TPU that is
somewhere else. What chooses a form by platform therefore asks here.
"""

from contextlib import AbstractContextManager

import jax

# Part of the key of jit's caches: what was traced for one platform is not found for another.
_ELSEWHERE = jax.make_user_context(None)


def target_platform() -> str:
  """The name of the platform that is compiled for: "cpu", "gpu" or "tpu"."""
  return _ELSEWHERE.value or jax.default_backend()


def is_elsewhere() -> bool:
  """Tells whether the programs are for a machine other than this one, within `compiling_for`."""
  return _ELSEWHERE.value is not None


def compiling_for(platform: str) -> AbstractContextManager[None]:
  """A context in which programs are traced for a platform that this machine need not have.

  Args:
    platform: "cpu", "gpu" or "tpu".
  """
  return _ELSEWHERE(platform)
