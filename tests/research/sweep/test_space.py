"""The space of a sweep: what it draws, and what it refuses in one line."""

import numpy as np
import pytest
from scipy import stats

from research.config import fields, nested, pytree_config, static, traced
from research.errors import UserError
from research.optimizers import Optimizer
from research.sweep import space
from research.sweep.space import Choice, Range

pytestmark = pytest.mark.fast


@pytree_config
class Config:
  """Fields of every kind."""

  hidden: int = static(50, "units", at_least=1)
  widths: tuple[int, ...] = static((10, 10), "units by layer", at_least=1)
  batch_norm: bool = static(False, "whether to normalise")
  activation: str = static("relu", "after a layer", choices=("relu", "tanh"))
  scale: float = traced(1.0, "any number")
  optimizer: Optimizer = nested(Optimizer())


UNITS = np.random.default_rng(0).random(20_000)


def drawn(text, units=UNITS):
  (distribution,) = space.parse(text, Config()).distributions.values()
  return np.array([distribution.value(unit) for unit in units])


def test_a_text_with_separators_stands_in_brackets():
  text = "optimizer.groups=choice(off,a: frozen,(b: rate=2, decay=0; c: frozen)); scale=log(1,2)"
  made = space.parse(text, Config())
  values = made.distributions["optimizer.groups"].values
  assert values == (None, "a: frozen", "b: rate=2, decay=0; c: frozen")
  assert space.parse(str(made), Config()) == made


def test_learning_rates_are_log_uniform():
  rates = drawn("optimizer.learning_rate=log(0.0001,0.1)")
  assert stats.kstest(np.log10(rates), stats.uniform(-4, 3).cdf).pvalue > 0.01
  assert stats.kstest(rates, stats.uniform(1e-4, 0.1).cdf).pvalue < 1e-6


def test_betas_are_log_uniform_in_one_minus_the_value():
  betas = drawn("optimizer.beta1=oneminus(0.5,0.999)")
  low, high = np.log10(1e-3), np.log10(0.5)
  assert stats.kstest(np.log10(1 - betas), stats.uniform(low, high - low).cdf).pvalue > 0.01


@pytest.mark.parametrize("low, high", [(1, 6), (3, 4), (0, 9)])
def test_integers_at_both_ends_are_as_likely_as_others(low, high):
  draw = Range("linear", low, high, whole=True)
  counts = np.unique([draw.value(unit) for unit in UNITS], return_counts=True)
  assert counts[0].tolist() == list(range(low, high + 1))
  assert stats.chisquare(counts[1]).pvalue > 0.01


def test_whole_numbers_on_a_log_scale_include_both_ends_with_their_share():
  values = drawn("hidden=logint(1,8)")
  counts = np.bincount(values)[1:]
  expected = np.log1p(1 / np.arange(1, 9)) / np.log(9) * len(values)
  assert stats.chisquare(counts, expected).pvalue > 0.01


@pytest.mark.parametrize(
  "text, low, high",
  [
    ("optimizer.learning_rate=log(0.0001,0.1)", 1e-4, 1e-1),
    ("scale=uniform(-2,3)", -2, 3),
    ("optimizer.beta1=oneminus(0,0.999)", 0, 0.999),
    ("hidden=int(1,7)", 1, 7),
    ("hidden=logint(2,900)", 2, 900),
  ],
)
def test_a_range_maps_0_and_1_to_its_ends_and_is_inverted_by_unit(text, low, high):
  (draw,) = space.parse(text, Config()).distributions.values()
  assert draw.value(0.0) == pytest.approx(low) and draw.value(1.0) == pytest.approx(high)
  for unit in (0.1, 0.5, 0.77):
    value = draw.value(unit)
    assert draw.value(draw.unit(value)) == pytest.approx(value)
  assert str(draw) == text.partition("=")[2]
  assert draw.grid(3)[0] == pytest.approx(low) and draw.grid(3)[-1] == pytest.approx(high)


def test_choices_keep_their_type_and_are_equally_likely():
  made = space.parse(
    "optimizer.name=choice(sgd, adam); widths=choice((100,100),(50)); batch_norm=choice(true,false)",
    Config(),
  )
  assert made.distributions["widths"] == Choice(((100, 100), (50,)))
  values = made.trial([0.9, 0.2, 0.6])
  assert values == {"optimizer.name": "adam", "widths": (100, 100), "batch_norm": False}
  assert made.trial(made.units(values)) == values
  trial = made.at(values)
  assert trial.optimizer.name == "adam" and trial.widths == (100, 100)
  assert abs(np.mean(drawn("activation=choice(relu,tanh)") == "relu") - 0.5) < 0.02


def test_seeds_are_parsed_as_repeats():
  for repeats in (2, 5):
    made = space.parse(f"scale=uniform(0,1); seeds({repeats})", Config())
    assert made.repeats == repeats and str(made) == f"scale=uniform(0,1); seeds({repeats})"


def test_a_range_can_be_narrowed_or_moved_beyond_its_end():
  made = space.parse("optimizer.learning_rate=log(0.0001,0.1)", Config())
  (draw,) = made.distributions.values()
  rule = {field.name: field for field in fields(Config())}
  rate = rule["optimizer.learning_rate"]
  assert draw.between(1 / 3, 2 / 3, rate).low == pytest.approx(1e-3)
  assert draw.between(2 / 3, 4 / 3, rate).high == pytest.approx(1.0)
  beta = Range("linear", 0.0, 0.9)
  assert beta.between(0.5, 1.5, rule["optimizer.beta1"]).high == 0.9  # 1 and more is not allowed


@pytest.mark.parametrize(
  "text, complaint",
  [
    ("optimiser.learning_rate=log(1e-4,1)", "did you mean optimizer.learning_rate"),
    ("scale=uniform(3,2)", "the bounds are reversed"),
    ("scale=uniform(2,2)", "the bounds are equal"),
    ("optimizer.learning_rate=log(0,1)", "needs bounds above 0"),
    ("scale=log(-1,1)", "needs bounds above 0"),
    ("optimizer.beta1=oneminus(0.5,1)", "is too large"),
    ("scale=oneminus(0.5,1.5)", "below 1"),
    ("hidden=log(10,100)", "give int(...), logint(...) or choice(...)"),
    ("hidden=int(0,10)", "is too small"),
    ("activation=uniform(0,1)", "is no number; give choice(...)"),
    ("widths=int(1,3)", "is no number; give choice(...)"),
    ("activation=choice(relu,gelu)", "is not among the choices"),
    ("activation=choice(relu,relu)", "stands twice"),
    ("activation=choice()", "at least one value"),
    ("scale=normal(0,1)", "unknown distribution 'normal'"),
    ("scale=uniform(1)", "takes two bounds"),
    ("scale=uniform(a,b)", "is not a number"),
    ("scale=int(0.5,2)", "takes whole bounds"),
    ("scale", "is not of the form"),
    ("scale=uniform(0,1); scale=uniform(0,2)", "swept twice"),
    ("", "names no field"),
    ("seeds(0); scale=uniform(0,1)", "at least 1"),
    ("uniform(0,1)", "names no field"),
    ("scale=uniform(0,nan)", "is not finite"),
    ("scale=log(1e-3,,1e-1)", "an argument is empty"),
    ("scale=log(1e-3,1e-1,)", "an argument is empty"),
    ("activation=choice(relu,,tanh)", "an argument is empty"),
    ("scale=log((1e-4,1e-1)", "brackets that do not fit"),
    ("scale=log(1e-4,1e-1))", "brackets that do not fit"),
    ("scale=log((1e-4),(1e-1))", "is not a number"),
    ("widths=choice((100,100,(50))", "brackets that do not fit"),
    ("widths=choice(3(100,100),(50))", "brackets that do not fit"),
    ("scale=uniform(0,1); seeds(2); seeds(3)", "leave one of them out"),
    ("scale=uniform(0,1); seeds(²)", "at least 1"),
  ],
)
def test_a_bad_space_is_refused_in_one_line(text, complaint):
  with pytest.raises(UserError) as refused:
    space.parse(text, Config())
  assert complaint in str(refused.value) and "\n" not in str(refused.value)
