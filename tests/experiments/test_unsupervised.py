"""Learning without labels: small versions of whole experiments, and the traps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from experiments.unsupervised import (
  best_neuron,
  boltzmann_machine,
  contrastive_bias,
  deep_belief_net,
  generative_discriminative,
  rbm_exact,
  rbm_features,
  rbm_samples,
  simulated_annealing,
  wake_sleep,
)
from research.analysis import image_judge
from research.config import replace
from research.energy import rbm
from research.errors import UserError
from research.lab.lab import Lab
from research.training import Options
from tests.fixtures.little_data import replace_digits, replace_sets
from tests.fixtures.stand_in_labs import FakeLab, UntrainedLab, failed


def test_boltzmann_machine_learns_parity_with_hidden_units_only(tmp_path):
  few = {"steps": 400, "repeats": 2, "chains": 32}
  report = boltzmann_machine.run(
    replace(boltzmann_machine.Config(), few), Lab(tmp_path, seed=0, options=Options())
  )
  takes_longer = ("worst divergence", "mean divergence")
  assert not [line for line in failed(report) if not any(part in line for part in takes_longer)]


@pytest.mark.parametrize("phases", ["sampled", "exact"])
def test_both_halves_of_the_gradient_agree_on_a_small_machine(phases):
  config = replace(
    boltzmann_machine.Config(), {"phases": phases, "chains": 20_000, "optimizer.name": "sgd"}
  )
  learner = boltzmann_machine.training(config, 0).learner
  state = learner.init(config, jax.random.key(0))
  batch = {"pattern": jnp.tile(jnp.asarray(boltzmann_machine.EVEN), (2000, 1))}
  step = jax.jit(learner.step)
  for _ in range(20):  # the chains start at random, and the couplings stand still
    after, _ = step(config, state, batch)
    state = state._replace(step=after.step, free=after.free)
  change = jax.tree.map(jnp.subtract, after.couplings, state.couplings)
  likelihood = lambda c: boltzmann_machine.boltzmann.log_likelihood(c, batch["pattern"]).mean()
  ascent = jax.grad(likelihood)(state.couplings)
  rate = config.optimizer.learning_rate
  for found, expected in zip(change, ascent, strict=True):
    np.testing.assert_allclose(found / rate, expected, atol=0.03 if phases == "sampled" else 1e-4)


def test_annealed_machines_find_their_least_energy():
  config = replace(simulated_annealing.Config(), {"units": 8, "machines": 2})
  assert not failed(simulated_annealing.run(config, FakeLab()))


def test_exact_machines_agree_with_enumeration_and_their_bias_falls():
  assert not failed(contrastive_bias.run(contrastive_bias.Config(), FakeLab()))
  config = replace(rbm_exact.Config(), {"machine.hidden": 4, "repeats": 2})
  assert not failed(rbm_exact.run(config, UntrainedLab()))


def test_features_are_learnt_and_judged(monkeypatch, tmp_path):
  replace_sets(monkeypatch)
  settings = {"machine.hidden": 9, "batch_size": 20, "epochs": 2, "classifier.epochs": 1}
  report = rbm_features.run(
    replace(rbm_features.Config(), settings), Lab(tmp_path, seed=0, options=Options())
  )
  assert len(report.claims) == 5
  assert [picture.name for picture in report.pictures] == ["features", "reconstructions", "curves"]


def test_random_features_are_the_learnt_ones_in_another_order():
  machine = rbm.draw(jax.random.key(0), jnp.zeros(50), 4)
  mixed = rbm_features.shuffled(machine, jax.random.key(1))
  for ours, theirs in zip(mixed.weights.T, machine.weights.T, strict=True):
    assert sorted(ours.tolist()) == sorted(theirs.tolist())
    assert ours.tolist() != theirs.tolist()


def small_judge(monkeypatch):
  """Its windows fit into the little images."""
  small = functools.partial(image_judge.SimpleConvNet, filter_size=2)
  monkeypatch.setattr(image_judge, "SimpleConvNet", small)


def test_samples_are_drawn_and_judged(monkeypatch):
  replace_sets(monkeypatch)
  small_judge(monkeypatch)
  settings = {"machine.hidden": 9, "machine.chains": 12, "temperatures": 4, "more": 2}
  report = rbm_samples.run(
    replace(rbm_samples.Config(), settings | {"epochs": 1, "judge.epochs": 1}), UntrainedLab()
  )
  assert [picture.name for picture in report.pictures] == ["samples", "curves"]


def test_bits_are_drawn_once_with_the_grey_values_chances(monkeypatch):
  grey = np.repeat(np.array([0, 51, 255], np.uint8), 2000)
  splits = ln.sets.Splits({"image": grey}, {}, {})
  monkeypatch.setattr(ln.sets, "load", lambda name: splits)
  images = rbm_samples.bits("train")["image"]
  assert set(np.unique(images)) == {0, 255}
  np.testing.assert_allclose(images.reshape(3, -1).mean(axis=1), [0, 51, 255], atol=7)
  np.testing.assert_array_equal(images, rbm_samples.bits("train")["image"])


def little_net():
  settings = {"layers.units": (9, 7), "few": 20, "few_epochs": 2, "batch_size": 10}
  return replace(deep_belief_net.Config(), settings)


def test_a_net_begun_with_machines_computes_their_hidden_chances(monkeypatch):
  replace_sets(monkeypatch)
  config = little_net()
  keys = jax.random.split(jax.random.key(1))
  machines = [rbm.draw(keys[0], jnp.zeros(25), 9), rbm.draw(keys[1], jnp.zeros(9), 7)]
  training = deep_belief_net.tuning(config, "few", machines)
  assert len(training.data["label"]) == 20 and training.steps == 4
  params = training.learner.init(config, jax.random.key(0)).params
  for number, machine in enumerate(machines):
    np.testing.assert_array_equal(params[f"Dense_{number}"]["kernel"], machine.weights)
    np.testing.assert_array_equal(params[f"Dense_{number}"]["bias"], machine.hidden)
  assert params["Dense_2"]["kernel"].shape == (7, 10)


def test_deep_belief_net_reports_both_beginnings(monkeypatch):
  replace_sets(monkeypatch)
  report = deep_belief_net.run(little_net(), UntrainedLab())
  assert [claim.source for claim in report.claims] == ["none"] * 2
  assert [picture.name for picture in report.pictures] == ["errors"]


def test_naive_bayes_by_hand():
  data = {"image": 255 * np.array([[1, 0], [1, 1], [0, 1]], np.uint8), "label": np.array([0, 0, 3])}
  weights, biases = generative_discriminative.naive_bayes(data)
  mean = (2 + 1) / (3 + 2)  # of both pixels: two of three images have them on
  chances = {0: [(2 + mean) / 3, (1 + mean) / 3], 3: [mean / 2, (1 + mean) / 2]}
  for label, (first, second) in chances.items():
    prior = (len(data["label"][data["label"] == label]) + 1) / (3 + 10)
    for pixels in ([0, 0], [0, 1], [1, 0], [1, 1]):
      each = [p if on else 1 - p for p, on in zip((first, second), pixels, strict=True)]
      score = pixels @ weights[:, label] + biases[label]
      assert score == pytest.approx(np.log(prior * np.prod(each)))


def test_both_classifiers_learn_from_the_same_draws(monkeypatch, tmp_path):
  replace_sets(monkeypatch)
  generative_discriminative.bits.cache_clear()
  config = replace(
    generative_discriminative.Config(),
    {"sizes": (60,), "repeats": 2, "steps": 200, "optimizer.learning_rate": 0.1},
  )
  report = generative_discriminative.run(config, Lab(tmp_path, seed=0, options=Options()))
  generative_discriminative.bits.cache_clear()
  assert report.claims[-1].ours < 0.1


def little_belief_net():
  settings = {"layers.units": (9, 7), "layers.epochs": 1, "layers.batch_size": 20, "top": 11}
  more = {
    "top_epochs": 4,
    "dreamer_epochs": 1,
    "epochs": 2,
    "batch_size": 20,
    "dream_steps": 3,
    "judge.epochs": 1,
  }
  return replace(wake_sleep.Config(), settings | more)


def test_wake_sleep_reports_both_phases_and_what_it_dreams(monkeypatch):
  replace_sets(monkeypatch)
  small_judge(monkeypatch)
  report = wake_sleep.run(little_belief_net(), UntrainedLab())
  assert [picture.name for picture in report.pictures] == ["digits", "errors"]
  assert [claim.source for claim in report.claims][-1] == "above 0"


@pytest.mark.parametrize("start", ["data", "persistent"])
@pytest.mark.parametrize("top_only", [True, False])
def test_only_the_up_down_algorithm_moves_the_layers_below(monkeypatch, top_only, start):
  replace_sets(monkeypatch)
  config = replace(little_belief_net(), {"start": start})
  data = ln.sets.load("mnist").train
  keys = jax.random.split(jax.random.key(1))
  machines = [rbm.draw(keys[0], jnp.zeros(25), 9), rbm.draw(keys[1], jnp.zeros(9), 7)]
  net = wake_sleep.first_net(config, machines, jax.random.key(0))
  learner = wake_sleep.phase(config, net, top_only=top_only).learner
  state = learner.init(config, jax.random.key(0))
  after, metrics = jax.jit(learner.step)(config, state, data)
  changes = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), after.net, state.net)
  assert min(changes.top) > 0
  below = jax.tree.leaves((changes.up, changes.down))
  assert (max(below) == 0) if top_only else (min(below) > 0)
  assert metrics["loss"] == pytest.approx(np.log(10), rel=0.2)
  moved = [bool((a != b).any()) for a, b in zip(after.dreams, state.dreams, strict=True)]
  assert moved == [start == "persistent"] * 2


@pytest.mark.slow
def test_best_neuron_reports_all_rivals_and_the_parts(monkeypatch):
  replace_digits(monkeypatch)
  settings = {"maps": (1, 1), "images": 100, "test_images": 100, "batch_size": 4}
  report = best_neuron.run(replace(best_neuron.Config(), settings), UntrainedLab())
  assert [claim.id for claim in report.claims] == ["U01"] * 6 + ["Y04"]
  assert report.claims[-1].verdict == "pass"
  assert [picture.name for picture in report.pictures] == ["accuracies", "invariance", "stimulus"]


@pytest.mark.fast
def test_best_neuron_refuses_a_fourth_stage():
  with pytest.raises(UserError, match="at most 3"):
    best_neuron.model(replace(best_neuron.Config(), {"maps": (1, 1, 1, 1)}))
