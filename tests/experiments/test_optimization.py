"""Update rules, averages, decay, clipping and deep nets: their numbers, and the traps."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.optimization import (
  averages,
  clipping,
  data_parallel,
  decay,
  deep_linear,
  downpour_sgd,
  epsilon,
  large_batches,
  mixed_precision,
  paths,
  random_hessians,
  saddles,
  staleness,
  update_rules,
)
from research.analysis.descent import descend, steps_until
from research.analysis.update_rules import Rule
from research.training import Fit
from tests.fixtures.little_data import replace_sets
from tests.fixtures.stand_in_labs import FakeLab, failed


@pytest.mark.parametrize("name", update_rules.PAIRS)
def test_rules_equal_optax_step_by_step(name):
  with jax.enable_x64(True):
    config = update_rules.Config(steps=20, size=7)
    gradients = update_rules.draw(config, 1)
    pair = update_rules.PAIRS[name]
    assert update_rules.worst_difference(*pair, config, gradients) < 1e-13


def test_the_books_first_nesterov_is_another_formula():
  def updated_velocity(c, v, g, t):
    v = c.momentum * v - c.learning_rate * g
    return v, c.momentum**2 * v - (1 + c.momentum) * c.learning_rate * g

  with jax.enable_x64(True):
    config = update_rules.Config(steps=20, size=7)
    _, by_optax = update_rules.PAIRS["Nesterov"]
    wrong = Rule(jnp.zeros_like, updated_velocity)
    gradients = update_rules.draw(config, 1)
    assert update_rules.worst_difference(wrong, by_optax, config, gradients) > 0.1


def test_epsilon_acts_where_the_formulas_say():
  with jax.enable_x64(True):
    for rule, predicted in epsilon.PLACEMENTS.values():
      at_half = epsilon.half_way(rule, epsilon.Config())
      assert at_half == pytest.approx(predicted, rel=0.01)


def test_the_paths_end_where_the_books_do():
  for name, points in paths.paths(paths.Config()).items():
    assert points.shape == (31, 2)
    np.testing.assert_allclose(points[0], [-7, 2])
    np.testing.assert_allclose(points[-1], paths.ENDS[name], atol=1e-5)


def test_averages():
  assert not failed(averages.run(averages.Config(years=5), FakeLab()))
  v = averages.average(jnp.array([10.0, 20.0]), 0.9)
  np.testing.assert_allclose(v, [1, 2.9], rtol=1e-6)
  np.testing.assert_allclose(averages.corrected(v, 0.9), [10, 2.9 / 0.19], rtol=1e-5)


def test_decay():
  report = decay.run(decay.Config(runs=500), FakeLab())
  assert not failed(report)
  assert len(report.claims) == len(decay.GOLDEN) + 1 + 5


def test_clipping_is_by_theta_and_not_by_zero():
  gradient = {"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}
  clipped = clipping.clip(gradient, 1.0)
  np.testing.assert_allclose([clipped["a"][0], clipped["b"][0, 0]], [0.6, 0.8], rtol=1e-6)
  short = clipping.clip(gradient, 5.5)
  assert short["a"][0] == 3 and short["b"][0, 0] == 4
  nothing = clipping.clip(gradient, 0.0)  # a limit of 0: every gradient would be lost
  assert float(clipping.norm(nothing)) == 0


def test_clipping_survives_zero_and_huge_gradients():
  zero = clipping.clip({"a": jnp.zeros(3)}, 1.0)
  np.testing.assert_array_equal(zero["a"], 0)
  huge = clipping.clip({"a": jnp.full(3, 1e30)}, 1.0)
  assert float(clipping.norm(huge)) == pytest.approx(1, rel=1e-6)
  assert float(clipping.norm({"a": jnp.array([3e-30, 4e-30])})) == pytest.approx(5e-30, rel=1e-6)


def test_the_cliff_is_descended_only_with_clipping():
  losses, _ = clipping.descend(clipping.Config(), is_clipped=True)
  assert float(losses[-1]) < 1e-6
  losses, _ = clipping.descend(clipping.Config(), is_clipped=False)
  assert not np.isfinite(losses[:10]).all()


def test_powers_are_exact():
  config = deep_linear.Config(layers=40, width=3)
  with jax.enable_x64(True):
    assert deep_linear.power(0.5, config) == 0.5**40
    assert deep_linear.power(1.5, config) == pytest.approx(1.5**40, rel=1e-14)


def test_gradients_vanish_in_sigmoid_nets_and_are_cured():
  config = deep_linear.Config(layers=30, width=40)
  with jax.enable_x64(True):
    key = jax.random.key(0)
    plain = deep_linear.drawn(jax.nn.sigmoid, "lecun_normal", 1.0, config, key)
    cured = deep_linear.centred_sigmoid(config, key)
    vanishing, kept = (deep_linear.gradient_norms(net, key) for net in (plain, cured))
    assert deep_linear.factor_per_layer(vanishing) < 0.25
    assert vanishing.max() / vanishing.min() > 1e15
    assert kept.max() / kept.min() < 10


def test_momentum_and_adam_leave_the_saddle_sooner():
  start = jnp.array([1.0, 1e-3])
  is_out = lambda p: jnp.abs(p[1]) > 0.9
  steps = {
    name: steps_until(is_out, saddles.saddle, start, saddles.rule(name, 0.1), 1000)
    for name in ("sgd", "momentum", "adam")
  }
  assert steps["adam"] < steps["momentum"] < steps["sgd"] / 2
  on_the_ridge = jnp.array([1.0, 0.0])  # nothing pushes off it
  stays = descend(saddles.saddle, on_the_ridge, saddles.rule("sgd", 0.1), 50)
  assert float(stays[-1, 1]) == 0


def test_the_linear_nets_hessian_at_zero_is_a_saddles():
  eigenvalues = jnp.linalg.eigvalsh(jax.hessian(saddles.linear_net)(jnp.zeros(18)))
  np.testing.assert_allclose(eigenvalues, np.repeat([-3, -2, -1, 1, 2, 3], 3), atol=1e-5)


def test_workers_gradients_average_to_that_of_the_whole_batch(monkeypatch):
  replace_sets(monkeypatch)
  monkeypatch.setattr(data_parallel, "EQUAL", 48)
  monkeypatch.setattr(data_parallel, "UNEQUAL", 30)
  monkeypatch.setattr(data_parallel, "WORKERS", (2, 4))
  errors = data_parallel.gradient_errors(data_parallel.Config(hidden=(8,)), jax.random.key(0))
  # Two workers have 15 examples each, four have 8, 8, 8 and 6.
  assert errors["unequal shares, all alike"][0] < 1e-5
  errors["unequal shares, all alike"][0] = 1.0
  assert min(map(min, errors.values())) < 1e-5 and not failed(data_parallel.report(errors))
  assert min(errors["batch norm of each worker"]) > 1e-2


def test_larger_batches_are_compared_at_both_rates():
  nets = {
    f"{kind}, {count}": [SimpleNamespace(last=lambda _, lost=lost: 0.96 - lost)] * 2
    for count in large_batches.WORKERS
    for kind, lost in ((large_batches.SAME, 0.004 * count), (large_batches.SCALED, 0.0001 * count))
  }
  report = large_batches.report(nets)
  assert [claim.ours for claim in report.claims] == pytest.approx([-0.0032, 0.0312])
  assert not failed(report)


def test_clusters_are_compared_at_equal_gradients_and_equal_accuracy():
  members = downpour_sgd.clusters(downpour_sgd.Config(steps=801))
  synchronous = members[downpour_sgd.SYNCHRONOUS]
  assert (synchronous.batch_size, synchronous.steps) == (800, 101)
  assert members[downpour_sgd.DEAD].cluster.dies_at == 400

  def fit(final, steps=(0, 400, 800)):
    rows = zip(steps, (0.1, final - 0.006, final), strict=True)
    history = [{"step": step, "test/accuracy": accuracy} for step, accuracy in rows]
    state = SimpleNamespace(params={"w": np.ones(2)})
    return Fit("", None, state, history, None, SimpleNamespace(steps_per_epoch=1))

  nets = {name: fit(0.945) for name in members} | {downpour_sgd.FOUR: fit(0.947)}
  times = dict.fromkeys(members, np.arange(1, 802)) | {downpour_sgd.FOUR: np.arange(1, 802) / 4}
  report = downpour_sgd.report(nets, times, 6.8, 0.25)
  assert not failed(report)
  ours = [claim.ours for claim in report.claims]
  assert ours == pytest.approx([0, -0.002, 0, 0, 0, 0.5, 0.125, 6.8, 0.25])
  assert downpour_sgd.done_at(downpour_sgd.FOUR, members[downpour_sgd.FOUR], 0)[-1] < 400


def test_rules_are_compared_in_growing_crowds():
  lost = {"sgd, 8": 0.8, "sgd, 16": 0.8, "adagrad, 8": 0.03}
  nets = {
    name: [SimpleNamespace(last={"test/accuracy": 0.95 - lost.get(name, 0.0)}.get)] * 2
    for name in staleness.crowds(staleness.Config())
  }
  report = staleness.report(nets, [0.0, 3.0, 7.0, 15.0])
  assert [claim.ours for claim in report.claims] == pytest.approx([0, 0.77, 0.03])
  assert not failed(report)


def test_a_scale_moves_a_gradient_out_of_what_float16_calls_zero(monkeypatch):
  replace_sets(monkeypatch, size=28, test=40)
  monkeypatch.setattr(mixed_precision, "EXAMPLES", 10)
  monkeypatch.setattr(mixed_precision, "SCALES", np.array([2.0**-20, 1, 2**16, 2**60]))
  config = mixed_precision.Config()
  training = mixed_precision.training(config, 0)
  state = training.learner.init(config, jax.random.key(0))
  fit = SimpleNamespace(training=training, state=state)
  lost, infinite = mixed_precision.lost_and_infinite(config, fit)
  assert lost[0] > 0.5 and 0.1 > lost[1] > lost[2] and infinite[0] == infinite[1] == 0
  assert infinite[3] > 0.5


def test_random_hessians_are_minima_as_often_as_the_ensembles():
  report = random_hessians.run(random_hessians.Config(matrices=2000), FakeLab())
  assert len(report.claims) == 3 and not failed(report)
