"""The nets that are attacked, and the digits: names, order, and what shall be deceived."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

import research as ln
from research.analysis.attacked_nets import first_digits, fit_networks
from tests.fixtures.little_data import replace_sets

pytestmark = pytest.mark.fast


@ln.pytree_config
class Config:
  network: str = ln.static("", "of those that are attacked")


def test_fits_are_named_without_brackets_and_found_by_their_networks():
  names, asked = ("FC10(1)", "FC100, first half"), []
  fit = lambda name, config, training: asked.append((name, training)) or config.network
  lab = SimpleNamespace(seed=3, fit=fit)
  training = lambda config, seed: (config.network, seed)
  fits = fit_networks(lab, Config(), dict.fromkeys(names), training)
  assert fits == {name: name for name in names}
  assert asked == [("FC10 1", (names[0], 3)), ("FC100  first half", (names[1], 3))]


def test_every_digit_shall_be_taken_for_another(monkeypatch):
  replace_sets(monkeypatch)
  images, labels, targets = first_digits(15, jax.random.key(0))
  assert images.shape == (15, 5, 5, 1) and images.max() == 1
  np.testing.assert_array_equal(labels, np.arange(15) % 10)
  assert (targets != labels).all() and len(set(targets.tolist())) > 3
  assert ((targets >= 0) & (targets < 10)).all()
