import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.initializers import RULES, UNIT_INITIALIZERS, Init, initializer, kernel_init, rule_at

SHAPE = (400, 300)


def draw(name, scale=1.0):
  return initializer(name, scale)(jax.random.key(0), SHAPE)


@pytest.mark.parametrize(
  "name, deviation",
  [
    ("zeros", 0),
    ("normal", 2),
    ("uniform", 2 / np.sqrt(3)),
    ("lecun_normal", 2 / np.sqrt(400)),
    ("lecun_uniform", 2 / np.sqrt(400)),
    ("xavier_normal", 2 * np.sqrt(2 / 700)),
    ("xavier_uniform", 2 * np.sqrt(2 / 700)),
    ("he_normal", 2 * np.sqrt(2 / 400)),
    ("he_uniform", 2 * np.sqrt(2 / 400)),
    ("he_normal_fan_out", 2 * np.sqrt(2 / 300)),
    ("orthogonal", 2 / np.sqrt(400)),
  ],
)
def test_standard_deviation_at_scale_two(name, deviation):
  np.testing.assert_allclose(draw(name, 2.0).std(), deviation, rtol=0.01)


def test_the_plain_normal_and_xavier_are_not_truncated():
  assert jnp.abs(draw("normal")).max() > 3.5
  assert jnp.abs(draw("xavier_normal")).max() > 3.5 * np.sqrt(2 / 700)


def test_orthogonal_columns():
  w = draw("orthogonal")
  np.testing.assert_allclose(w.T @ w, np.eye(300), atol=1e-5)


@pytest.mark.parametrize("name", UNIT_INITIALIZERS)
def test_a_traced_scale_multiplies(name):
  traced = jax.jit(lambda scale: draw(name, scale))(0.5)
  np.testing.assert_allclose(traced, 0.5 * draw(name), rtol=1e-6)


def test_an_unknown_name_lists_the_known_ones():
  with pytest.raises(UserError, match=r"'hee'.*he_normal"):
    initializer("hee")


def test_a_config_names_its_rule_and_its_scale():
  np.testing.assert_array_equal(
    kernel_init(Init("constant", 0.5))(jax.random.key(0), (2, 3)), np.full((2, 3), 0.5)
  )


def test_the_rule_is_a_number_that_may_be_traced():
  draw = jax.jit(lambda place: rule_at(place)(jax.random.key(0), (5, 4), float))
  for place, rule in enumerate(RULES.values()):
    expected = rule(jax.random.key(0), (5, 4), float)
    np.testing.assert_allclose(draw(float(place)), expected, rtol=1e-5, atol=1e-6)
