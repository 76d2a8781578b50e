"""Whole races on little data: who takes part, what is averaged, and the nets themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.initialization import bn_scales, init_race
from experiments.optimization import optimizer_race
from research.config import replace
from research.data import sets
from research.lab.fit import Options
from research.lab.lab import Lab
from tests.experiments.little_data import TRAIN, replace_sets


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


def parameters(learner, config):
  state = jax.eval_shape(learner.init, config, jax.random.key(0))
  return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def test_the_books_nets():
  assert parameters(init_race.learner, init_race.Config()) == 109_810
  assert parameters(optimizer_race.learner, optimizer_race.Config()) == 109_810
  plain = replace(bn_scales.Config(), {"batch_norm": False})
  assert parameters(bn_scales.learner, plain) == 119_910
  assert parameters(bn_scales.learner, bn_scales.Config()) == 119_910 + 1000


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


def test_scales_race(lab, monkeypatch):
  monkeypatch.setattr(bn_scales, "SCALES", np.array([0.3] * 4 + [1e-4] * 12))
  config = bn_scales.Config(hidden=(6, 5), examples=30, batch_size=15, epochs=3, repeats=2)
  report = bn_scales.run(config, lab)
  (picture,) = report.pictures
  assert sum(axes.get_visible() for axes in picture.figure.axes) == 2  # one for each scale
  assert 0 <= found(report, "book's winner") <= 16
  accuracies = [claim.ours for claim in report.claims if "normalised" in claim.what]
  assert len(accuracies) == 16 and min(accuracies) >= 0
  assert (lab.folder / "checkpoints" / "race.1").is_dir()  # two programs for all members
  assert not (lab.folder / "checkpoints" / "race.2").exists()


def test_initialisers_race(lab):
  config = init_race.Config(hidden=(20,) * 4, batch_size=20, iterations=300, repeats=2)
  report = init_race.run(config, lab)
  assert found(report, "He: mean loss") < 0.8 * found(report, "std 0.01: mean loss")
  assert found(report, "std 0.01: mean loss") == pytest.approx(np.log(10), rel=0.01)
  assert found(report, "std 0.01: test accuracy") == pytest.approx(0.1)
  assert not (lab.folder / "checkpoints" / "race.2").exists()


def test_optimisers_race(lab):
  config = optimizer_race.Config(hidden=(20,), batch_size=20, iterations=60, repeats=2)
  report = optimizer_race.run(config, lab)
  losses = [claim.ours for claim in report.claims if "mean loss" in claim.what]
  assert len(set(losses)) == 6 and max(losses) < 3
  assert found(report, "place of SGD") == 1 + sorted(losses).index(losses[0])


def test_the_loss_afterwards_is_of_the_batch_that_was_learned(lab):
  config = optimizer_race.Config(hidden=(20,))
  state = jax.jit(optimizer_race.learner.init)(config, jax.random.key(0))
  batch = {name: jnp.asarray(array) for name, array in sets.load("mnist").train.items()}
  step = jax.jit(optimizer_race.learner.step)
  state, first = step(config, state, batch)
  _, second = step(config, state, batch)
  assert len(batch["label"]) == TRAIN
  assert first["loss_after"] == pytest.approx(float(second["loss"]), rel=1e-5)
  assert first["loss_after"] < first["loss"]


def test_momentum_of_zero_is_sgd():
  config = optimizer_race.Config()
  of = lambda **changes: optimizer_race.make(
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
