import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import optax_rules
from research.errors import UserError
from research.optimizers import Optimizer, apply_gradients, is_weight, make_optimizer
from tests.fixtures import updates

pytestmark = pytest.mark.fast

PARAMS = {"kernel": jnp.full((2, 2), 0.5), "bias": jnp.array([1.0, -1.0])}
GRADIENTS = {"kernel": jnp.array([[0.3, -0.2], [0.0, 1.0]]), "bias": jnp.array([0.5, -0.1])}

after = functools.partial(updates.after, params=PARAMS, gradients=GRADIENTS)
assert_equal = functools.partial(updates.assert_close, rtol=1e-5)


@pytest.mark.parametrize(
  "optimizer, by_hand",
  [
    (
      Optimizer("optax:lion", 0.1, weight_decay=0.2, fields="b1=0.95"),
      optax.lion(0.1, b1=0.95, weight_decay=0.2, mask=is_weight),
    ),
    (Optimizer("optax:lamb", 0.1), optax.lamb(0.1)),
    (
      Optimizer("optax:rmsprop", 0.1, weight_decay=0.2, fields="centered=true, eps=1e-3"),
      optax.chain(
        optax.add_decayed_weights(0.2, mask=is_weight), optax.rmsprop(0.1, eps=1e-3, centered=True)
      ),
    ),
  ],
)
def test_any_rule_of_optax_with_its_own_fields(optimizer, by_hand):
  assert_equal(jax.jit(lambda o: after(make_optimizer(o, 10)))(optimizer), after(by_hand))


def test_a_rule_of_optax_follows_the_schedule():
  optimizer = Optimizer("optax:yogi", 0.1, "linear", warmup=2.0)
  rise, fall = optax.linear_schedule(0.05, 0.1, 1), optax.linear_schedule(0.1, 0.0, 8)
  by_hand = optax.yogi(optax.join_schedules([rise, fall], [2]))
  assert_equal(after(make_optimizer(optimizer, 10), steps=5), after(by_hand, steps=5))


@pytest.mark.parametrize(
  "name, fields, complaint",
  [
    ("optax:lyon", None, "unknown optax optimizer 'lyon'; did you mean lion"),
    ("optax:lion", "b3=1", "optax:lion has no 'b3'; it has b1, b2"),
    ("optax:lion", "b1", "'b1' cannot be read; write NAME=VALUE"),
    ("optax:lion", "b1=much", "b1='much' of optax:lion is not a number"),
    ("optax:sgd", "nesterov=1", "nesterov='1' of optax:sgd is neither true nor false"),
    ("optax:lion", "weight_decay=1", r"weight_decay is set by --optimizer\.weight_decay"),
    ("optax:sign_sgd", "b=1", "has no 'b'; it has none"),
    ("optax:dpsgd", "seed=1", "optax:dpsgd needs l2_norm_clip, noise_multiplier; give them as"),
    ("optax:sophia", None, "optax:sophia cannot be used here .*obj_fn must be provided"),
    ("optax:lbfgs", None, "optax:lbfgs cannot be used here .*value_fn"),
    ("adam", "b1=0.9", "fields are of an optimizer optax:NAME, and not of adam"),
  ],
)
def test_what_optax_does_not_have_is_refused(name, fields, complaint):
  with pytest.raises(UserError, match=complaint):
    make_optimizer(Optimizer(name, fields=fields), 10)


def test_rules_that_are_evaluated_elsewhere_than_they_train_are_left_out():
  assert {"lion", "lamb", "muon", "prodigy"} < set(optax_rules.names())
  assert not [name for name in optax_rules.names() if name.startswith("schedule_free")]


def test_line_searches_are_for_learners_that_give_their_loss_as_a_function():
  bowl = lambda x: jnp.sum(jnp.array([1.0, 30.0]) * (x - 2) ** 2)
  rule = make_optimizer(Optimizer("optax:lbfgs", 1.0, fields="memory_size=5"), 10, has_loss=True)
  point = jnp.array([-3.0, 4.0])
  state = rule.init(point)

  @jax.jit
  def update(point, state):
    loss, gradient = jax.value_and_grad(bowl)(point)
    return apply_gradients(rule, gradient, state, point, loss, loss_of=bowl)

  for _ in range(10):
    point, state = update(point, state)
  np.testing.assert_allclose(point, 2, atol=1e-3)
