"""Adversarial examples as an experiment: who learns what, and what the claims are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from experiments.vision import adversarial_examples as experiment
from research.analysis.adversarial import distortion
from research.config import replace

IMAGES = jax.random.uniform(jax.random.key(0), (4, 28, 28, 1))
BATCH = {"image": IMAGES, "label": jnp.array([0, 1, 2, 3])}


def a_config(network):
  return replace(experiment.Config(), {"network": network, "steps": 10})


@pytest.mark.parametrize("name", ("FC10(1)", experiment.DEEP))
def test_weight_decay_is_the_papers_lambda_over_the_units(name):
  network = experiment.NETWORKS[name]
  penalty = experiment.penalised(a_config(name)).weight_decay
  # lambda sum w^2 / k has the gradient 2 lambda w / k, and the optimizer adds c w.
  assert penalty == pytest.approx(2 * network.decay / network.features[0])


def test_only_the_hardened_net_learns_from_attacked_images():
  plain, hardened = a_config(experiment.DEEP), a_config(experiment.HARDENED)
  state = jax.jit(experiment.learner.init)(plain, jax.random.key(0))
  step = jax.jit(experiment.step)
  loss = lambda config: float(step(config, state, BATCH)[1]["loss"])
  assert loss(plain) == pytest.approx(
    float(jax.jit(experiment.plain.step)(plain, state, BATCH)[1]["loss"])
  )
  assert loss(hardened) > loss(plain)


def test_the_classifier_of_the_code_leaves_the_code_alone():
  config = a_config("AE400-10")
  state = jax.jit(experiment.learner.init)(config, jax.random.key(0))
  moved = []
  for labels in (BATCH["label"], 9 - BATCH["label"]):
    after, _ = jax.jit(experiment.step)(config, state, BATCH | {"label": labels})
    moved.append(after.params)
  np.testing.assert_array_equal(moved[0]["encoder"]["kernel"], moved[1]["encoder"]["kernel"])
  assert not np.array_equal(moved[0]["classifier"]["kernel"], moved[1]["classifier"]["kernel"])
  assert not np.array_equal(moved[0]["encoder"]["kernel"], state.params["encoder"]["kernel"])
  logits = lambda x: experiment.model(config).apply({"params": state.params}, x)
  assert jnp.abs(jax.grad(lambda x: logits(x)[:, 0].sum())(IMAGES)).max() > 0  # to be attacked by


def test_the_search_finds_what_a_linear_network_has_in_closed_form(monkeypatch):
  config = a_config(experiment.LINEAR)
  state = jax.jit(experiment.learner.init)(config, jax.random.key(0))
  fit = ln.Fit("x", config, state, [], lambda: None, None)
  labels = experiment.logits_of(fit)(IMAGES[:2]).argmax(-1)
  compared = lambda: experiment.closed_form(fit, IMAGES[:2], labels, (labels + 3) % 10)
  assert compared().verdict == "pass"
  beside = lambda image, weights, bias: 1.02 * (image - weights * (weights @ image + bias))
  monkeypatch.setattr(experiment, "nearest_on_the_other_side", beside)
  assert compared().verdict == "fail"


def test_halves_share_no_image():
  first, second = (
    experiment.training(a_config(name), 0).data for name in (experiment.FIRST, experiment.SECOND)
  )
  assert len(first["label"]) == len(second["label"]) == 30_000
  np.testing.assert_array_equal(
    np.concatenate([first["label"], second["label"]]),
    experiment.training(a_config(experiment.DEEP), 0).data["label"],
  )


def test_changes_are_scaled_to_a_distortion():
  changes = experiment.scaled(IMAGES - 0.5, 0.1)
  np.testing.assert_allclose(distortion(jnp.zeros_like(changes), changes), 0.1, rtol=1e-5)


def test_nearness_counts_images_without_an_example_and_noise_that_flips():
  nets = {name: lambda x: x.reshape(len(x), -1)[:, :10] for name in experiment.NETWORKS}
  examples = {name: IMAGES + 0.01 for name in experiment.NETWORKS if name != experiment.HARDENED}
  found = experiment.Found(nets, IMAGES, BATCH["label"], examples)
  noise = jnp.ones_like(IMAGES)
  claims = experiment.nearness(found, noise)
  assert claims[0].ours == 1 and claims[1].ours == pytest.approx(0.01, rel=1e-4)
  assert claims[-1].ours <= 0.25
  examples[experiment.DEEP] = examples[experiment.DEEP].at[0].set(jnp.nan)
  claims = experiment.nearness(found._replace(examples=examples), noise)
  assert claims[0].ours == 0.75 and claims[0].verdict == "fail"
