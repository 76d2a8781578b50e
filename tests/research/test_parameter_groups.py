import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import parameter_groups
from research.errors import UserError
from research.optimizers import Optimizer, make_optimizer, optimizer_of
from research.parameter_groups import Group, labels, parse
from tests.fixtures import updates

pytestmark = pytest.mark.fast

LAYER = {"kernel": jnp.full((2, 2), 0.5), "bias": jnp.array([1.0, -1.0])}
PARAMS = {"Conv_0": LAYER, "Conv_1": LAYER, "Dense_0": LAYER}
GRADIENTS = jax.tree.map(lambda leaf: 0.1 * leaf + 0.3, PARAMS)

after = functools.partial(updates.after, params=PARAMS, gradients=GRADIENTS)
assert_equal = functools.partial(updates.assert_close, rtol=1e-6)


def test_groups_are_read():
  assert parse(" Conv_: frozen; (?:a|b)/bias : rate=0.1 , decay=0;") == (
    Group("Conv_", is_frozen=True),
    Group("(?:a|b)/bias", rate=0.1, decay=0.0),
  )
  assert parse(None) == ()


@pytest.mark.parametrize(
  "text, complaint",
  [
    ("Conv_", "'Conv_' is no group; write PATTERN: frozen"),
    (": frozen", "': frozen' is no group"),
    ("Conv_: ", "'Conv_:' is no group"),
    ("(: frozen", r"'\(' is no regular expression: missing \)"),
    ("Conv_: cold", "'cold' of 'Conv_: cold' cannot be read; write"),
    ("Conv_: momentum=1", "'momentum=1' of .* cannot be read"),
    ("Conv_: rate=1, rate=2", "'rate=2' of .* cannot be read"),
    ("Conv_: rate=many", "rate='many' of .* is not a number"),
    ("Conv_: rate=-1", "rate=-1 of .*: give a finite number of at least 0"),
    ("Conv_: decay=nan", "decay=nan of .*: give a finite number"),
  ],
)
def test_a_group_that_cannot_be_read_is_refused(text, complaint):
  with pytest.raises(UserError, match=complaint):
    parse(text)


def test_a_parameter_belongs_to_the_first_group_that_it_fits():
  found = labels(parse("Conv_0: frozen; Conv_.*/bias: rate=2; Conv_1: rate=3"), PARAMS)
  assert found == {
    "Conv_0": {"kernel": "frozen", "bias": "frozen"},
    "Conv_1": {"kernel": "2", "bias": "1"},
    "Dense_0": {"kernel": "rest", "bias": "rest"},
  }


def test_a_group_without_parameters_is_refused_with_the_paths_there_are():
  with pytest.raises(UserError, match=r"with 'Convolution'; there are bias, kernel"):
    make_optimizer(Optimizer(groups="Convolution: frozen"), 10).init(LAYER)
  with pytest.raises(UserError, match="all that 'Conv_0' fits belongs to earlier groups"):
    labels(parse("Conv: rate=2; Conv_0: frozen"), PARAMS)
  deep = {f"Block_{number}": LAYER for number in range(20)}
  with pytest.raises(UserError, match="there are Block_0/, Block_1/"):
    labels(parse("Dense: frozen"), deep)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_groups_are_optaxs_partition_with_other_rates_and_decays(name):
  optimizer = Optimizer(name, 0.1, "linear", weight_decay=0.2)
  groups = "Conv_0: frozen; Dense_0/kernel: rate=0.1, decay=0; Conv_1: decay=2"
  of = {"Conv_0": "still", "Conv_1": "more", "Dense_0": {"kernel": "slow", "bias": "rest"}}
  by_hand = optax.partition(
    {
      "still": optax.set_to_zero(),
      "rest": make_optimizer(optimizer, 10),
      "more": make_optimizer(Optimizer(name, 0.1, "linear", weight_decay=0.4), 10),
      "slow": make_optimizer(Optimizer(name, 0.01, "linear"), 10),
    },
    of,
  )
  ours = after(make_optimizer(Optimizer(name, 0.1, "linear", weight_decay=0.2, groups=groups), 10))
  assert_equal(ours, after(by_hand))
  assert_equal(ours["Conv_0"], PARAMS["Conv_0"])
  assert np.any(ours["Conv_1"]["kernel"] != after(by_hand, steps=2)["Conv_1"]["kernel"])


def test_frozen_parameters_have_no_optimizer_state_and_no_decay():
  groups = "Conv_.*/kernel: frozen"
  update = make_optimizer(Optimizer("adam", 0.1, weight_decay=0.1, groups=groups), 10)
  state = update.init(PARAMS)
  moments = [leaf for leaf in jax.tree.leaves(state) if getattr(leaf, "ndim", 0)]
  assert len(moments) == 2 * 4  # mean and mean square of all but two arrays
  updates, _ = update.update(GRADIENTS, state, PARAMS)
  moved = {path: bool(np.any(leaf)) for path, leaf in jax.tree.leaves_with_path(updates)}
  still = [path for path, has_moved in moved.items() if not has_moved]
  assert [parameter_groups._path(path) for path in still] == ["Conv_0/kernel", "Conv_1/kernel"]


def test_the_rate_of_groups_may_be_traced():
  groups = "Conv_: rate=0.5"
  traced = jax.jit(lambda o: after(make_optimizer(o, 10)))(Optimizer("sgd", 0.1, groups=groups))
  expected = PARAMS["Conv_0"]["bias"] - 3 * 0.05 * GRADIENTS["Conv_0"]["bias"]
  np.testing.assert_allclose(traced["Conv_0"]["bias"], expected, rtol=1e-6)


def test_frozen_gradients_count_for_no_norm():
  class Config:
    optimizer = Optimizer("sgd", 1.0, groups="Conv_: frozen")
    clip = 0.1

  moved = jax.tree.map(jnp.subtract, PARAMS, after(optimizer_of(Config, 10), steps=1))
  assert optax.tree.norm(moved) == pytest.approx(0.1)
