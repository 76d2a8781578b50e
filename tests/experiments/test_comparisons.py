"""Whole comparisons on little data: who takes part, what is averaged, and the nets themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from experiments.initialization import bn_scales, first_signals, init_race, weight_initializers
from experiments.optimization import batch_sizes, optimizer_race
from experiments.regression import softmax_regression
from experiments.regularization import ensembles, weight_decay
from research.analysis.signals import classifier_signals
from research.config import replace
from research.data import sets
from research.lab.lab import Lab
from research.training import Options
from tests.fixtures.little_data import TRAIN, replace_sets


@pytest.fixture
def lab(tmp_path, monkeypatch):
  replace_sets(monkeypatch)
  first = jax.devices()[:1]
  monkeypatch.setattr(jax, "devices", lambda: first)  # to compile less
  return Lab(tmp_path, seed=0, options=Options())


def found(report, words):
  """The only claim of that name."""
  (claim,) = [claim for claim in report.claims if words in claim.what]
  return claim.ours


def parameters(net):
  variables = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
  return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_the_books_nets():
  assert parameters(init_race.model(init_race.Config())) == 109_810
  assert parameters(optimizer_race.model(optimizer_race.Config())) == 109_810
  plain = replace(bn_scales.Config(), {"batch_norm": False})
  assert parameters(bn_scales.Network(plain)) == 119_910
  assert parameters(bn_scales.Network(bn_scales.Config())) == 119_910 + 1000


def test_what_is_normalised_before_its_activation_forgets_its_scale():
  x = jax.random.uniform(jax.random.key(1), (8, 5, 5, 1))

  def logits(scale, **changes):
    config = replace(bn_scales.Config(hidden=(7, 6)), {"scale": scale, **changes})
    net = bn_scales.Network(config)
    variables = net.init(jax.random.key(0), x)
    return net.apply(variables, x, train=True, mutable="batch_stats")[0]

  np.testing.assert_allclose(logits(2.0), 2 * logits(1.0), rtol=1e-4, atol=1e-5)
  plain = {"batch_norm": False}  # three layers, each of double weights
  np.testing.assert_allclose(logits(2.0, **plain), 8 * logits(1.0, **plain), rtol=1e-4, atol=1e-5)


def test_scales_are_compared(lab, monkeypatch):
  monkeypatch.setattr(bn_scales, "SCALES", np.array([0.3] * 4 + [1e-4] * 12))
  config = bn_scales.Config(hidden=(6, 5), examples=30, batch_size=15, looks=3, repeats=2)
  report = bn_scales.run(config, lab)
  (picture,) = report.pictures
  assert sum(axes.get_visible() for axes in picture.figure.axes) == 2  # one for each scale
  assert 0 <= found(report, "book's winner") <= 16
  accuracies = [claim.ours for claim in report.claims if "normalised" in claim.what]
  assert len(accuracies) == 16 and min(accuracies) >= 0
  assert (lab.folder / "checkpoints" / "race.1").is_dir()  # two programs for all members
  assert not (lab.folder / "checkpoints" / "race.2").exists()


def test_initialisers_are_compared(lab):
  config = init_race.Config(hidden=(20,) * 4, batch_size=20, steps=300, repeats=2)
  report = init_race.run(config, lab)
  assert found(report, "He: mean loss") < 0.8 * found(report, "std 0.01: mean loss")
  assert found(report, "std 0.01: mean loss") == pytest.approx(np.log(10), rel=0.01)
  assert found(report, "std 0.01: test accuracy") == pytest.approx(0.1)
  assert not (lab.folder / "checkpoints" / "race.2").exists()


def test_the_books_numbers_are_claimed_for_the_books_race_only(lab):
  config = init_race.Config(activation="tanh", hidden=(4,) * 4, batch_size=5, steps=4, repeats=1)
  report = init_race.run(config, lab)
  assert [claim.what for claim in report.claims] == ["loss of He / of Xavier", "parameters"]


def test_optimisers_are_compared(lab):
  config = optimizer_race.Config(hidden=(20,), batch_size=20, steps=60, repeats=2)
  report = optimizer_race.run(config, lab)
  losses = [claim.ours for claim in report.claims if "mean loss" in claim.what]
  assert len(set(losses)) == 6 and max(losses) < 3
  assert found(report, "place of SGD") == 1 + sorted(losses).index(losses[0])


def test_the_loss_afterwards_is_of_the_batch_that_was_learned(lab):
  config = optimizer_race.Config(hidden=(20,))
  learner = optimizer_race.training(config, 0).learner
  state = jax.jit(learner.init)(config, jax.random.key(0))
  batch = {name: jnp.asarray(array) for name, array in sets.load("mnist").train.items()}
  step = jax.jit(learner.step)
  state, first = step(config, state, batch)
  _, second = step(config, state, batch)
  assert len(batch["label"]) == TRAIN
  assert first["loss_after"] == pytest.approx(float(second["loss"]), rel=1e-5)
  assert first["loss_after"] < first["loss"]


def test_momentum_of_zero_is_sgd():
  config = optimizer_race.Config()
  of = lambda **changes: ln.make_optimizer(
    replace(config, {f"optimizer.{name}": value for name, value in changes.items()}).optimizer, 5
  )
  params = {"kernel": jnp.ones((2, 2))}
  updates = []
  for rule in (of(**optimizer_race.MEMBERS["SGD"]), of(name="sgd")):
    state = rule.init(params)
    for number in range(3):
      gradient = {"kernel": jnp.full((2, 2), 1.0 + number)}
      update, state = rule.update(gradient, state, params)
    updates.append(update["kernel"])
  np.testing.assert_array_equal(*updates)


def test_all_rules_race_as_one_program(lab, monkeypatch):
  monkeypatch.setattr(weight_initializers, "FOLLOWED", ("He normal",))
  config = weight_initializers.Config(
    hidden=(30, 30), batch_size=20, steps=10, evaluate_every=5, looked_at=20, repeats=2
  )
  report = weight_initializers.run(config, lab)
  assert (lab.folder / "checkpoints" / "race.0").is_dir()
  assert not (lab.folder / "checkpoints" / "race.1").exists()
  assert found(report, "zero: loss") == pytest.approx(np.log(10), rel=0.01)


def test_first_signals_follow_the_weights(lab):
  report = first_signals.run(first_signals.Config(hidden=(30, 30), looked_at=20, repeats=2), lab)
  assert found(report, "He normal: gradient of layer 1") == pytest.approx(1, abs=0.5)
  ratio = found(report, "std 1: gradient") / found(report, "std 0.01: gradient")
  assert ratio == pytest.approx(100, rel=0.2)  # one layer apart; the losses weigh otherwise


def test_a_look_sees_every_examples_gradient(monkeypatch):
  replace_sets(monkeypatch)
  config = weight_initializers.Config(hidden=(7, 6), activation="tanh", rule=8)
  batch = {
    "image": jax.random.uniform(jax.random.key(1), (9, 5, 5, 1)),
    "label": jnp.arange(9) % 3,
  }
  learner = weight_initializers.training(config, 0).learner
  state = jax.jit(learner.init)(config, jax.random.key(0))
  looks = classifier_signals("tanh", state.params, batch)

  def loss(params):
    return learner.evaluate(config, state._replace(params=params), batch)["loss"].total

  slopes = jax.grad(loss)(state.params)
  for layer, gradient in enumerate(looks.gradients):
    assert gradient.shape == looks.activations[layer].shape == (9, (7, 6)[layer])
    np.testing.assert_allclose(gradient.sum(axis=0), slopes[f"Dense_{layer}"]["bias"], atol=1e-5)


def test_noise_is_the_deviation_of_the_batches_within_an_epoch(lab):
  config = batch_sizes.Config(batch_size=15, examples=60, hidden=(8,), epochs=2)
  (fit,) = lab.compare("race", {"15": config}, batch_sizes.training)["15"]
  assert fit.training.steps_per_epoch == 4 and fit.history[-1]["step"] == 8
  last = fit.history[-1]
  assert last["train/loss_squared"] > last["train/loss"] ** 2
  assert 0 < batch_sizes.noise(fit) < 1
  values = np.array([1.0, 3.0])
  row = {"train/loss": values.mean(), "train/loss_squared": np.mean(values**2)}
  assert batch_sizes.noise(fit._replace(history=[row])) == pytest.approx(values.std() / 2)
  assert batch_sizes.seconds_per_epoch(config, 0, jax.random.key(0)) > 0


def test_equal_time_is_other_epochs():
  loss = {"fast": np.array([4.0, 3, 2, 1]), "slow": np.array([4.0, 2, 0, 0])}
  seconds = {"fast": 1.0, "slow": 2.0}  # three fast epochs are one and a half slow ones
  assert batch_sizes.at_time("fast", "slow", loss, seconds) == pytest.approx(1)


def test_regularisation_is_compared_over_paired_seeds(lab):
  tiny = {"hidden": (8, 8), "examples": 20, "batch_size": 10, "epochs": 4, "repeats": 2}
  report = weight_decay.run(weight_decay.Config(**tiny), lab)
  assert found(report, "L2 norm") < 1  # equal first weights, so that decay alone tells them apart
  panels = report.pictures[0].figure.axes
  assert [axes.get_title() for axes in panels] == ["lambda = 0", "lambda = 0.1"]
  assert all(axes.collections for axes in panels)  # bands


def test_softmax_twice_and_once_start_alike(lab):
  config = softmax_regression.Config(hidden=8, batch_size=20, epochs=2, repeats=2)
  report = softmax_regression.run(config, lab)
  assert found(report, "loss at the end") > 1
  first, second = report.pictures[0].figure.axes[0].get_lines()
  assert len(first.get_xdata()) == len(second.get_xdata()) == 3


def test_voters_are_lanes_of_one_program(lab):
  config = ensembles.Config(hidden=8, members=3, thinned=4, batch_size=20, steps=30)
  report = ensembles.run(config, lab)
  assert (lab.folder / "checkpoints" / "race.0").is_dir()
  assert np.isfinite([claim.ours for claim in report.claims]).all()
