"""Validation split, k folds, and a leak (R06).

Dive into Deep Learning, sections 3.6 and 5.7: a fifth of the training set is put aside, or each of
K = 5 parts in turn, to estimate the error on new data. The estimate is honest only where nothing is
learned from what is put aside: choose the ten features of 1,000 that go best with random targets
before the folds are made, and the folds promise what cannot be (Hastie, Tibshirani and Friedman
2009, section 7.10.2). The regressions are generated: the lesson's house prices (logarithmic error
0.165 in training, 0.170 over five folds) come with no package and were not measured.

    python launch.py --experiment=validation_and_folds

Expected: 1.07 times the true error, for a fold learns from fewer; 200 draws; a few seconds.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from matplotlib.figure import Figure

import research as ln

Rows = Float[Array, "n p"]


@ln.pytree_config
class Config:
  """The generated regressions."""

  examples: int = ln.static(100, "examples to learn from", at_least=10)
  features: int = ln.static(20, "features of the honest regression", at_least=1)
  folds: int = ln.static(5, "K", at_least=2)
  noise: float = ln.traced(1.0, "deviation of the targets' noise", above=0)
  many: int = ln.static(1000, "random features of the leak", at_least=20)
  chosen: int = ln.static(10, "features that are chosen of them", at_least=1)
  draws: int = ln.static(200, "draws that are averaged", at_least=1)


def fold_of(examples: int, folds: int, key: Array) -> Int[Array, " n"]:
  """Which part each example belongs to; the sizes differ by one at most."""
  return jax.random.permutation(key, jnp.arange(examples) % folds)


def fit(x: Rows, y: Float[Array, " n"], use: Bool[Array, " n"]) -> Float[Array, " p"]:
  """Least squares on the examples in use; a touch of ridge keeps it solvable."""
  x = x * use[:, None]
  return jnp.linalg.solve(x.T @ x + 1e-6 * jnp.eye(x.shape[1]), x.T @ y)


def squared_errors(w: Float[Array, " p"], x: Rows, y: Float[Array, " n"]) -> Float[Array, " n"]:
  """Returns the squared error of every example."""
  return jnp.square(x @ w - y)


def cross_validation(
  x: Rows, y: Float[Array, " n"], fold: Int[Array, " n"], folds: int
) -> Float[Array, " folds"]:
  """Mean squared error of every part, by a fit on the others."""

  def one(part: Array) -> Array:
    errors = squared_errors(fit(x, y, fold != part), x, y)
    return jnp.sum(errors * (fold == part)) / jnp.sum(fold == part)

  return jax.vmap(one)(jnp.arange(folds))


def best_features(x: Rows, y: Float[Array, " n"], use: Bool[Array, " n"], count: int) -> Array:
  """Indices of those with the largest |covariance| with the targets, on the examples in use."""
  return jax.lax.top_k(jnp.abs((x * use[:, None]).T @ y), count)[1]


def honest(config: Config, key: Array) -> dict[str, Array]:
  """Estimates of one draw, and the true error of the fit on all examples."""
  x_key, w_key, noise_key, fold_key = jax.random.split(key, 4)
  x = jax.random.normal(x_key, (config.examples, config.features))
  truth = jax.random.normal(w_key, (config.features,))
  y = x @ truth + config.noise * jax.random.normal(noise_key, (config.examples,))
  fold = fold_of(config.examples, config.folds, fold_key)
  everything = jnp.ones(config.examples, bool)
  w = fit(x, y, everything)
  errors = cross_validation(x, y, fold, config.folds)
  return {
    "training error": squared_errors(w, x, y).mean(),
    "20 % split": errors[0],
    "folds": errors.mean(),
    "true error": jnp.sum((w - truth) ** 2) + config.noise**2,
  }


def leak(config: Config, key: Array) -> dict[str, Array]:
  """Share of random targets' variance that folds promise; features chosen before, or inside."""
  x_key, y_key, fold_key = jax.random.split(key, 3)
  x = jax.random.normal(x_key, (config.examples, config.many))
  y = jax.random.normal(y_key, (config.examples,))
  fold = fold_of(config.examples, config.folds, fold_key)
  everything = jnp.ones(config.examples, bool)
  before = x[:, best_features(x, y, everything, config.chosen)]

  def inside(part: Array) -> Array:
    use = fold != part
    own = x[:, best_features(x, y, use, config.chosen)]
    return jnp.sum(squared_errors(fit(own, y, use), own, y) * ~use) / jnp.sum(~use)

  errors = {
    "before the folds": cross_validation(before, y, fold, config.folds).mean(),
    "inside every fold": jax.vmap(inside)(jnp.arange(config.folds)).mean(),
  }
  return {name: 1 - error / y.var() for name, error in errors.items()}


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Many draws of both."""
  over = lambda draw, name: jax.device_get(
    jax.jit(lambda keys: jax.lax.map(functools.partial(draw, config), keys))(
      jax.random.split(lab.key(name), config.draws)
    )
  )
  estimates, promises = over(honest, "honest"), over(leak, "leak")
  true = estimates["true error"].mean()
  # Normal rows: least squares of p features on n examples errs noise^2 (1 + p / (n - p - 1)).
  error = lambda n: 1 + config.features / (n - config.features - 1)
  fewer = config.examples * (config.folds - 1) // config.folds
  expected = round(error(fewer) / error(config.examples), 3)
  row = lambda what, source, ours, bar, unit="": ln.Claim("R06", what, source, ours, bar, unit)
  return ln.Report(
    [
      row(
        "K folds: mean estimate over the true error",
        f"{expected:.3f} (theory)",
        estimates["folds"].mean() / true,
        ln.within(expected, 0.05),
      ),
      row(
        "20 % split: mean estimate over the true error",
        f"{expected:.3f} (theory)",
        estimates["20 % split"].mean() / true,
        ln.within(expected, 0.06),
      ),
      row(
        "spread of the split's estimates over that of the folds'",
        "above 1",
        estimates["20 % split"].std() / estimates["folds"].std(),
        ln.at_least(1.5),
      ),
      row(
        "training error over the true error",
        "too good",
        estimates["training error"].mean() / true,
        ln.at_most(0.8),
      ),
      row(
        "random targets, features chosen before the folds: variance explained",
        "a leak",
        promises["before the folds"].mean(),
        ln.at_least(0.2),
        "%",
      ),
      row(
        "random targets, features chosen inside every fold: variance explained",
        "none",
        promises["inside every fold"].mean(),
        ln.at_most(0.0),
        "%",
      ),
    ],
    [
      ln.Picture(
        "estimates",
        histograms(estimates, promises),
        "Left: single estimates scatter about the true error, the split's more than the "
        "folds'. Right: nothing can be learned from random targets, and only the leak says "
        "otherwise.",
      ),
    ],
  )


def histograms(estimates: dict[str, np.ndarray], promises: dict[str, np.ndarray]) -> Figure:
  """What the draws say."""
  figure, grid = ln.new_figure("Estimates of the error on new data", columns=2)
  scores = {name: estimates[name] / estimates["true error"] for name in ("folds", "20 % split")}
  index = 0
  for axes, values, x in (
    (grid[0, 0], scores, "estimate / true error"),
    (grid[0, 1], promises, "share of the variance that is promised"),
  ):
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), 30)
    for name, numbers in values.items():
      look, shares = ln.stroke(index), np.histogram(numbers, edges)[0] / len(numbers)
      axes.stairs(
        shares, edges, color=look.colour, linestyle=look.dashes, linewidth=1.6, label=name
      )
      index += 1
    ln.label_axes(axes, x, "share of the draws")
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
