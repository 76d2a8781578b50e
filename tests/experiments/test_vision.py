"""Adversarial examples as experiments: who learns what, and what the claims are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from experiments.vision import (
  adversarial_examples,
  adversarial_training,
  adversarial_transfer,
  dcgan,
  digit_strings,
)
from research.analysis import adversarial
from research.analysis.attacked_nets import logits_of
from research.analysis.generated_images import Measured
from research.analysis.image_judge import Verdict
from research.analysis.transcripts import Transcripts
from research.config import replace
from research.models import szegedy2014

IMAGES = jax.random.uniform(jax.random.key(0), (4, 28, 28, 1))
BATCH = {"image": IMAGES, "label": jnp.array([0, 1, 2, 3])}


def a_config(network):
  return replace(adversarial_examples.Config(), {"network": network, "steps": 10})


def learner_of(experiment, config):
  return experiment.training(config, 0).learner


@pytest.mark.parametrize("name", ("FC10(1)", adversarial_examples.DEEP))
def test_weight_decay_is_the_papers_lambda_over_the_units(name):
  row = szegedy2014.TABLE_1[name]
  penalty = szegedy2014.penalised(szegedy2014.TABLE_1, a_config(name)).weight_decay
  # lambda sum w^2 / k has the gradient 2 lambda w / k, and the optimizer adds c w.
  assert penalty == pytest.approx(2 * row.decay / row.features[0])


def test_only_the_hardened_net_learns_from_attacked_images():
  plain = adversarial_training.Config(steps=10)
  hardened = replace(plain, {"is_hardened": True})
  learner = learner_of(adversarial_training, plain)
  state = jax.jit(learner.init)(plain, jax.random.key(0))
  loss = lambda config: float(jax.jit(learner.step)(config, state, BATCH)[1]["loss"])
  same = learner_of(adversarial_examples, a_config(adversarial_examples.DEEP))
  unattacked = jax.jit(same.evaluate)(a_config(adversarial_examples.DEEP), state, BATCH)["loss"]
  assert loss(plain) == pytest.approx(float(unattacked.total / unattacked.weight))
  assert loss(hardened) > loss(plain)


def test_the_classifier_of_the_code_leaves_the_code_alone():
  config = a_config("AE400-10")
  learner = learner_of(adversarial_examples, config)
  state = jax.jit(learner.init)(config, jax.random.key(0))
  moved = []
  for labels in (BATCH["label"], 9 - BATCH["label"]):
    after, _ = jax.jit(learner.step)(config, state, BATCH | {"label": labels})
    moved.append(after.params)
  np.testing.assert_array_equal(moved[0]["encoder"]["kernel"], moved[1]["encoder"]["kernel"])
  assert not np.array_equal(moved[0]["classifier"]["kernel"], moved[1]["classifier"]["kernel"])
  assert not np.array_equal(moved[0]["encoder"]["kernel"], state.params["encoder"]["kernel"])
  network = szegedy2014.network(szegedy2014.TABLE_1["AE400-10"])
  logits = lambda x: network.apply({"params": state.params}, x)
  assert jnp.abs(jax.grad(lambda x: logits(x)[:, 0].sum())(IMAGES)).max() > 0  # to be attacked by


def test_the_search_finds_what_a_linear_network_has_in_closed_form(monkeypatch):
  config = a_config(adversarial_examples.LINEAR)
  init = learner_of(adversarial_examples, config).init
  fit = ln.Fit("x", config, jax.jit(init)(config, jax.random.key(0)), [], lambda: None, None)
  labels = logits_of(szegedy2014.TABLE_1, fit)(IMAGES[:2]).argmax(-1)
  compared = lambda: adversarial_examples.closed_form(fit, IMAGES[:2], labels, (labels + 3) % 10)
  assert compared().verdict == "pass"
  beside = lambda image, weights, bias: 1.02 * (image - weights * (weights @ image + bias))
  monkeypatch.setattr(adversarial, "nearest_on_the_other_side", beside)
  assert compared().verdict == "fail"


def test_halves_share_no_image():
  data = lambda name: (
    adversarial_transfer.training(adversarial_transfer.Config(network=name), 0).data
  )
  first, second = map(data, adversarial_transfer.HALVES)
  assert len(first["label"]) == len(second["label"]) == 30_000
  np.testing.assert_array_equal(
    np.concatenate([first["label"], second["label"]]), data(adversarial_transfer.DEEP)["label"]
  )


def test_nearness_counts_images_without_an_example():
  examples = {name: IMAGES + 0.01 for name in szegedy2014.TABLE_1}
  claims = adversarial_examples.nearness(IMAGES, examples)
  assert claims[0].ours == 1 and claims[1].ours == pytest.approx(0.01, rel=1e-4)
  examples["FC100-100-10"] = examples["FC100-100-10"].at[0].set(jnp.nan)
  claims = adversarial_examples.nearness(IMAGES, examples)
  assert claims[0].ours == 0.75 and claims[0].verdict == "fail"


def test_answers_that_noise_changes_are_counted_over_nets():
  """One net looks whether a pixel is brighter than before, and one looks at nothing."""
  brighter = lambda x: jnp.stack([IMAGES[:, 0, 0, 0] + 0.005, x[:, 0, 0, 0]], axis=-1)
  nets = {"brighter": brighter, "blind": lambda x: jnp.zeros((len(x), 2))}
  examples = dict.fromkeys(nets, IMAGES + 0.01)
  share = adversarial_transfer.changed_by_noise(nets, IMAGES, examples, jnp.ones_like(IMAGES))
  assert share == 0.5
  darker = adversarial_transfer.changed_by_noise(nets, IMAGES, examples, -jnp.ones_like(IMAGES))
  assert darker == 0


def test_dcgan_is_held_to_the_bars():
  real, dense = Measured(0.04, 1.0, 1.0, 0.9), Measured(0.3, 30.0, 0.2, 0.3)
  certain = Verdict(np.eye(10).repeat(3, axis=0), 0.99, np.zeros((30, 2)))

  def failing(ours, verdict=certain):
    found = {dcgan.REAL: real, dcgan.DCGAN: ours, dcgan.DENSE: dense}
    claims = dcgan.claims(found, verdict, 30)
    return [number for number, claim in enumerate(claims) if claim.verdict == "fail"]

  assert failing(Measured(0.049, 9.9, 0.8, 0.7)) == []
  assert failing(Measured(0.051, 9.9, 0.8, 0.7)) == [1]
  assert failing(Measured(0.061, 10.1, 0.8, 0.2)) == [0, 1, 3]
  collapsed = certain._replace(chances=np.eye(10)[[1] * 30])
  assert failing(Measured(0.049, 9.9, 0.8, 0.7), collapsed) == [2]
  unsure = certain._replace(chances=np.eye(10).repeat(3, axis=0) * 0.85 + 0.015)
  assert failing(Measured(0.049, 9.9, 0.8, 0.7), unsure) == [5]
  doubtful = certain._replace(accuracy=0.98)
  assert failing(Measured(0.049, 9.9, 0.8, 0.7), doubtful) == [6]


def test_strings_are_compared_strip_by_strip():
  truth = np.array([[1, 2, -1], [3, -1, -1], [4, 5, 6], [7, -1, -1]])
  strips = {"digits": truth, "image": np.zeros((4, 32, 96, 1), np.uint8)}
  sure = np.array([-0.1, -0.2, -0.3, -0.4])
  longer, wrong = truth.copy(), truth.copy()
  longer[1, 1] = 0  # the second surest
  wrong[:2, 0] = 9
  read = {
    digit_strings.WHOLE: Transcripts(longer, sure),
    digit_strings.CUT: Transcripts(wrong, sure),
  }
  claims = digit_strings.report(0.9, {1: 0.2, 3: 0.5, 5: 0.9}, read, strips).claims
  assert [claim.ours for claim in claims] == pytest.approx([0.75, 0.9, 0.25, 0.25, 0.3, 0.4])
