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
from jaxtyping import Array, Bool, Float

import research as ln
from research.analysis import cross_validation as cv


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


def best_features(x: cv.Rows, y: Float[Array, " n"], use: Bool[Array, " n"], count: int) -> Array:
  """Indices of those with the largest |covariance| with the targets, on the examples in use."""
  return jax.lax.top_k(jnp.abs((x * use[:, None]).T @ y), count)[1]


def honest(config: Config, key: Array) -> dict[str, Array]:
  """Estimates of one draw, and the true error of the fit on all examples."""
  x_key, w_key, noise_key, fold_key = jax.random.split(key, 4)
  x = jax.random.normal(x_key, (config.examples, config.features))
  truth = jax.random.normal(w_key, (config.features,))
  y = x @ truth + config.noise * jax.random.normal(noise_key, (config.examples,))
  fold = cv.fold_of(config.examples, config.folds, fold_key)
  everything = jnp.ones(config.examples, bool)
  w = cv.least_squares(x, y, everything)
  errors = cv.cross_validation(x, y, fold, config.folds)
  return {
    "training error": cv.squared_errors(w, x, y).mean(),
    "20 % split": errors[0],
    "folds": errors.mean(),
    "true error": jnp.sum((w - truth) ** 2) + config.noise**2,
  }


def leak(config: Config, key: Array) -> dict[str, Array]:
  """Share of random targets' variance that folds promise; features chosen before, or inside."""
  x_key, y_key, fold_key = jax.random.split(key, 3)
  x = jax.random.normal(x_key, (config.examples, config.many))
  y = jax.random.normal(y_key, (config.examples,))
  fold = cv.fold_of(config.examples, config.folds, fold_key)
  everything = jnp.ones(config.examples, bool)
  before = x[:, best_features(x, y, everything, config.chosen)]

  def inside(part: Array) -> Array:
    use = fold != part
    own = x[:, best_features(x, y, use, config.chosen)]
    return jnp.sum(cv.squared_errors(cv.least_squares(own, y, use), own, y) * ~use) / jnp.sum(~use)

  errors = {
    "before the folds": cv.cross_validation(before, y, fold, config.folds).mean(),
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
  folds, split = estimates["folds"], estimates["20 % split"]
  training, truth = estimates["training error"], estimates["true error"]
  # Normal rows: least squares of p features on n examples errs noise^2 (1 + p / (n - p - 1)).
  error = lambda n: 1 + config.features / (n - config.features - 1)
  fewer = config.examples * (config.folds - 1) // config.folds
  expected = round(error(fewer) / error(config.examples), 3)
  theory, mean = f"{expected:.3f} (theory)", "mean estimate over the true error"
  ratio = lambda estimate: estimate.mean() / truth.mean()
  leaked, none = (promises[name].mean() for name in ("before the folds", "inside every fold"))
  promised = "random targets, features chosen {}: variance explained"
  wider = "spread of the split's estimates over that of the folds'"
  claim, share = ln.claims("R06"), ln.claims("R06", unit="%")
  return ln.Report(
    [
      claim(f"K folds: {mean}", theory, ratio(folds), ln.within(expected, 0.05)),
      claim(f"20 % split: {mean}", theory, ratio(split), ln.within(expected, 0.06)),
      claim(wider, "above 1", split.std() / folds.std(), ln.at_least(1.5)),
      claim("training error over the true error", "too good", ratio(training), ln.at_most(0.8)),
      share(promised.format("before the folds"), "a leak", leaked, ln.at_least(0.2)),
      share(promised.format("inside every fold"), "none", none, ln.at_most(0.0)),
    ],
    [
      ln.compare_histograms(
        {
          "estimate / true error": {"folds": folds / truth, "20 % split": split / truth},
          "share of the variance that is promised": promises,
        },
        title="Estimates of the error on new data",
        y="share of the draws",
        caption=f"{config.draws} draws. Left: single estimates about the true error. Right: what "
        "folds promise of random targets, from which nothing can be learned.",
        file="estimates",
      ),
    ],
  )


experiment = ln.Experiment(Config, run)
