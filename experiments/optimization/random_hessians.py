"""The share of minima among points without gradient, by the number of dimensions (O07).

Ng, course 2 week 2: in many dimensions a point without gradient is hardly ever a minimum, for every
direction would have to curve upwards; it is a saddle. Drawn here as random symmetric matrices, the
Gaussian orthogonal ensemble, for whose sizes 1, 2 and 3 the share with positive eigenvalues only is
known.

    python launch.py --experiment=random_hessians

Expected: 1/2 in one dimension, 0.146 in two, 0.025 in three; a few seconds.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import research as ln


@ln.pytree_config
class Config:
  """The number of matrices."""

  matrices: int = ln.static(20_000, "random Hessians of each size", at_least=1)


EXACT_SHARES = {
  1: 1 / 2,
  2: (2 - math.sqrt(2)) / 4,
  3: (math.pi - 2 * math.sqrt(2)) / (4 * math.pi),
}


def share_of_minima(size: int, count: int, key: Array) -> float:
  """Share of random symmetric matrices whose eigenvalues are all positive."""
  a = jax.random.normal(key, (count, size, size))
  return float(jnp.mean(jnp.linalg.eigvalsh(a + a.swapaxes(1, 2)).min(axis=-1) > 0))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Counts the minima among random Hessians of five sizes, in float64."""
  with jax.enable_x64(True):
    shares = {
      size: share_of_minima(size, config.matrices, lab.key(f"{size}")) for size in (1, 2, 3, 4, 6)
    }
  claim = ln.claims("O07")
  tolerance = lambda share: round(4 * math.sqrt(share * (1 - share) / config.matrices), 4)
  return ln.Report(
    [
      claim(
        f"share of random {size}x{size} Hessians that are a minimum's",
        f"{exact:.4f} (exact)",
        shares[size],
        ln.within(round(exact, 6), tolerance(exact)),
      )
      for size, exact in EXACT_SHARES.items()
    ],
    [
      ln.function_curves(
        [
          ln.Panel(
            "share with all eigenvalues > 0",
            {"random Hessians": (np.array([*shares]), [*shares.values()])},
          )
        ],
        title="Minima among flat points",
        x="dimensions",
        caption="The share of random symmetric matrices without a direction that leads down.",
        file="minima",
      )
    ],
  )


experiment = ln.Experiment(Config, run)
