"""Samplers of a sweep's next trial: random, grid, Halton, Sobol, TPE, GP and CMA-ES.

A suggestion is a function of its arguments, with no memory between calls: a process that was killed
and asks again gets the same answer to the bit, and so does any other process. Randomness comes from
(seed, number); models are fitted anew to the finished trials each time.

TPE and GP are Optuna's. CMA-ES is the package `cmaes`, which Optuna's sampler wraps: the wrapper
keeps its state in a trial's attributes, whereas here the generations are told again. All three are
imported when asked for only: they are the extra `sweep`, and GP needs PyTorch.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.errors import UserError, unknown_name
from research.sweep.names import SAMPLERS
from research.sweep.space import Choice, Distribution, Range, Space

START_UP = 10  # finished trials before TPE and GP fit a model; until then they take Halton's points
CMA_SIGMA = 1 / 6  # first deviation as a share of each range; the three sigmas reach its ends


class Finished(NamedTuple):
  """A trial that has its score.

  Attributes:
    number: of the trial, from 0.
    values: of the swept fields.
    score: larger is better; -inf for a diverged trial, which counts as the worst.
    reached: after how many intervals that was; scores of unequal lengths are not compared.
  """

  number: int
  values: dict[str, Any]
  score: float
  reached: int = 0


class Asked(NamedTuple):
  """The arguments of a suggestion; finished trials lie in the space, in order of number."""

  space: Space
  seed: int
  number: int
  finished: list[Finished]
  trials: int
  pending: Sequence[dict[str, Any]]


def suggest(
  sampler: str,
  space: Space,
  seed: int,
  number: int,
  finished: Sequence[Finished],
  trials: int,
  pending: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
  """Suggests the values of trial `number`.

  Args:
    sampler: one of SAMPLERS.
    space: what is searched. Finished trials outside of it, as in an earlier and wider round, are
      not looked at.
    seed: of the whole sweep, at least 0.
    number: of the trial, from 0. Suggestions of one batch differ by it.
    finished: the trials that have a score, in any order.
    trials: how many the sweep will have in all; a grid is laid out for it.
    pending: values of trials without a score; TPE and GP keep away from them. Without it a batch
      of GP's suggestions lies on almost one point.

  No values are suggested twice while there are others, but by the grid, which has none twice.

  Raises:
    UserError: for an unknown sampler, a package that is not installed, a grid that has no such
      point.
  """
  if sampler not in _SUGGEST:
    raise UserError(f"--sampler: {unknown_name(sampler, SAMPLERS, 'sampler')}")
  check_packages(sampler)
  inside = [trial for trial in finished if _contains(space, trial.values)]
  inside.sort(key=lambda trial: trial.number)
  running = [values for values in pending if _contains(space, values)]
  asked = Asked(space, seed, number, _rank(inside), trials, running)
  values = _SUGGEST[sampler](asked)
  had = {tuple(each.values()) for each in [*(trial.values for trial in inside), *running]}
  if len(had) < space.distinct():
    draw = np.random.default_rng((seed, number, 1))
    while tuple(values.values()) in had and sampler != "grid":
      values = space.trial(draw.random(len(space.distributions)).tolist())
  return values


def _contains(space: Space, values: dict[str, Any]) -> bool:
  return all(
    values[name] in each.values
    if isinstance(each, Choice)
    else each.low <= values[name] <= each.high
    for name, each in space.distributions.items()
  )


def _rank(finished: list[Finished]) -> list[Finished]:
  """Makes scores that a model can be fitted to: finite, and comparable between trials.

  Diverged trials get the worst finite score. Where lengths differ, a trial's score is its place in
  the ranking: longer training is better, and of equal lengths the score decides.
  """
  if len({each.reached for each in finished if math.isfinite(each.score)}) > 1:
    key = lambda each: (each.reached if math.isfinite(each.score) else -1, each.score)
    places = {each: place for place, each in enumerate(sorted(set(map(key, finished))))}
    return [each._replace(score=float(places[key(each)])) for each in finished]
  worst = min((each.score for each in finished if math.isfinite(each.score)), default=0.0)
  return [each._replace(score=max(each.score, worst)) for each in finished]


def _generator(asked: Asked) -> np.random.Generator:
  return np.random.default_rng((asked.seed, asked.number))


def _random(asked: Asked) -> dict[str, Any]:
  return asked.space.trial(_generator(asked).random(len(asked.space.distributions)).tolist())


def _halton(asked: Asked) -> dict[str, Any]:
  return _element("Halton", asked)


def _sobol(asked: Asked) -> dict[str, Any]:
  return _element("Sobol", asked)


def _element(sequence: str, asked: Asked) -> dict[str, Any]:
  """Returns element `number` of the sequence, scrambled by the seed."""
  from scipy.stats import qmc  # takes a second, and random search needs none of it

  points = getattr(qmc, sequence)(
    len(asked.space.distributions), rng=np.random.default_rng(asked.seed)
  )
  if asked.number:  # SciPy's Sobol sequence cannot be forwarded by 0
    points.fast_forward(asked.number)
  return asked.space.trial(points.random()[0].tolist())


def _grid(asked: Asked) -> dict[str, Any]:
  axes = _axes(asked.space, asked.trials)
  lengths = [len(axis) for axis in axes]
  size = math.prod(lengths)
  if asked.number >= size:
    raise UserError(
      f"--sampler=grid: the grid for --trials={asked.trials} has {' x '.join(map(str, lengths))} = "
      f"{size} points, and no trial {asked.number}; give --trials={size} or --sampler=halton"
    )
  places = np.unravel_index(asked.number, lengths)
  names = asked.space.distributions
  return {name: axis[int(place)] for name, axis, place in zip(names, axes, places, strict=True)}


def grid_size(space: Space, trials: int) -> int:
  """Returns the number of points of the grid for so many trials: that many or fewer.

  Raises:
    UserError: where the choices alone make more.
  """
  return math.prod(len(axis) for axis in _axes(space, trials))


def _axes(space: Space, trials: int) -> list[Sequence[Any]]:
  """Lists the values along each axis: choices in full; ranges share what is left of the trials.

  Ranges share it evenly; what a short range of whole numbers cannot use goes to the others.
  """
  room = trials // math.prod(
    len(each.values) for each in space.distributions.values() if isinstance(each, Choice)
  )
  if room == 0:
    raise UserError(
      f"--sampler=grid: the choices of {space} alone make more than --trials={trials} points; "
      "raise --trials, or take --sampler=random"
    )
  most = lambda each: each.high - each.low + 1 if each.whole else math.inf
  ranges = {name: each for name, each in space.distributions.items() if isinstance(each, Range)}
  points = {}
  for done, name in enumerate(sorted(ranges, key=lambda name: most(ranges[name]))):
    share = round(room ** (1 / (len(ranges) - done)), 9)  # 125 ** (1 / 3) is just below 5
    points[name] = int(min(share, most(ranges[name])))
    room //= points[name]
  return [each.grid(points.get(name, 1)) for name, each in space.distributions.items()]


def _tpe(asked: Asked) -> dict[str, Any]:
  optuna = importlib.import_module("optuna")
  return _by_optuna(optuna, asked, optuna.samplers.TPESampler)


def _gp(asked: Asked) -> dict[str, Any]:
  optuna = importlib.import_module("optuna")
  return _by_optuna(optuna, asked, optuna.samplers.GPSampler)


def _by_optuna(optuna: Any, asked: Asked, sampler: Callable[..., Any]) -> dict[str, Any]:
  """Asks a fresh study, to which all trials were told."""
  if len(asked.finished) < START_UP:
    return _halton(asked)
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  distributions = asked.space.distributions
  kinds = {name: _kind(optuna, each) for name, each in distributions.items()}

  def told(values: dict[str, Any], **result: Any) -> Any:
    params = {name: _encode(each, values[name]) for name, each in distributions.items()}
    return optuna.trial.create_trial(params=params, distributions=kinds, **result)

  seed = int(_generator(asked).integers(2**32))
  study = optuna.create_study(
    sampler=sampler(seed=seed, n_startup_trials=START_UP), direction="maximize"
  )
  study.add_trials([told(trial.values, value=trial.score) for trial in asked.finished])
  study.add_trials(
    [told(values, state=optuna.trial.TrialState.RUNNING) for values in asked.pending]
  )
  params = study.ask(kinds).params
  return {name: _decode(each, params[name]) for name, each in distributions.items()}


def _kind(optuna: Any, each: Distribution) -> Any:
  """Returns Optuna's distribution: of indices, of whole numbers, or of the unit interval.

  In the unit interval every scale is flat, also that of 1 - value, which Optuna does not have.
  """
  if isinstance(each, Choice):
    return optuna.distributions.CategoricalDistribution(range(len(each.values)))
  if each.whole:
    return optuna.distributions.IntDistribution(
      int(each.low), int(each.high), log=each.scale == "log"
    )
  return optuna.distributions.FloatDistribution(0.0, 1.0)


def _encode(each: Distribution, value: Any) -> Any:
  if isinstance(each, Choice):
    return each.values.index(value)
  return value if each.whole else min(max(each.unit(value), 0.0), 1.0)


def _decode(each: Distribution, param: Any) -> Any:
  if isinstance(each, Choice):
    return each.values[param]
  return param if each.whole else each.value(param)


def _cmaes(asked: Asked) -> dict[str, Any]:
  """Replays the finished trials, in order of number, as generations; choices are random."""
  cmaes = importlib.import_module("cmaes")
  values = _random(asked)
  ranges = {
    name: each for name, each in asked.space.distributions.items() if isinstance(each, Range)
  }
  if not ranges:
    return values
  search = cmaes.CMA(
    mean=np.full(len(ranges), 0.5),
    sigma=CMA_SIGMA,
    bounds=np.array([(0.0, 1.0)] * len(ranges)),
    n_max_resampling=10 * len(ranges),
  )
  size = search.population_size  # as in `start_up`
  for start in range(0, len(asked.finished) - size + 1, size):
    generation = asked.finished[start : start + size]
    units = [
      [each.unit(trial.values[name]) for name, each in ranges.items()] for trial in generation
    ]
    search.tell(
      [(np.clip(unit, 0, 1), -trial.score) for unit, trial in zip(units, generation, strict=True)]
    )
  search.reseed_rng(int(_generator(asked).integers(2**32)))
  place = search.ask().tolist()
  return values | {
    name: each.value(unit) for (name, each), unit in zip(ranges.items(), place, strict=True)
  }


def start_up(sampler: str, space: Space) -> int:
  """Returns how many scored trials the sampler's model needs; 0 for one without a model."""
  if sampler == "cmaes":
    ranges = sum(isinstance(each, Range) for each in space.distributions.values())
    return 4 + math.floor(3 * math.log(ranges)) if ranges else 0
  return START_UP if sampler in ("tpe", "gp") else 0


SWEEP = "-e '.[sweep]'"
PACKAGES = {
  "tpe": {"optuna": SWEEP},
  "gp": {"optuna": SWEEP, "torch": "torch"},
  "cmaes": {"cmaes": SWEEP},
}


def package(name: str, flag: str, wanted: str = SWEEP) -> Any:
  """Imports a package that only some sweeps need.

  Raises:
    UserError: where it is not installed, with what pip has to be told.
  """
  try:
    return importlib.import_module(name)
  except ImportError as error:
    raise UserError(
      f"{flag} needs the package {name} ({error}); install it with: pip install {wanted}"
    ) from error


def check_packages(sampler: str) -> None:
  """Raises a UserError where a package that the sampler needs is missing."""
  for name, wanted in PACKAGES.get(sampler, {}).items():
    package(name, f"--sampler={sampler}", wanted)


_SUGGEST: dict[str, Callable[[Asked], dict[str, Any]]] = {
  "random": _random,
  "grid": _grid,
  "halton": _halton,
  "sobol": _sobol,
  "tpe": _tpe,
  "gp": _gp,
  "cmaes": _cmaes,
}
