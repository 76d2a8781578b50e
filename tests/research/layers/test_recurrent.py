import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.layers import recurrent
from research.layers.recurrent import CELLS, Recurrent, RecurrentStack, gru, lstm

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3)), jnp.float32)
MASK = jnp.array([[True] * 5, [True] * 3 + [False] * 2])


def params_of(layer):
  return layer.init(jax.random.key(1), X)


@pytest.mark.parametrize("cell", CELLS)
def test_what_lies_behind_the_mask_counts_for_nothing(cell):
  layer = RecurrentStack(4, 2, cell, bidirectional=True)
  params = params_of(layer)
  outputs, carries = layer.apply(params, X, None, MASK)
  short, short_carries = layer.apply(params, X[1:, :3], None, None)
  np.testing.assert_allclose(outputs[1, :3], short[0], atol=1e-6)
  np.testing.assert_array_equal(outputs[1, 3:], 0)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a[1], b[0], atol=1e-6), carries, short_carries
  )
  moved, _ = layer.apply(params, X.at[1, 3:].add(9.0), None, MASK)
  np.testing.assert_array_equal(moved, outputs)


@pytest.mark.parametrize("cell", CELLS)
def test_a_carry_goes_on_where_it_stopped(cell):
  layer = RecurrentStack(4, 2, cell)
  params = params_of(layer)
  whole, last = layer.apply(params, X)
  first, carry = layer.apply(params, X[:, :2])
  second, end = layer.apply(params, X[:, 2:], carry)
  np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), whole, atol=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), end, last)


@pytest.mark.parametrize("cell", CELLS)
def test_one_direction_never_looks_ahead_and_two_do(cell):
  later = X.at[:, 3].add(1.0)
  for bidirectional in (False, True):
    layer = RecurrentStack(4, 1, cell, bidirectional)
    params = params_of(layer)
    moved = jnp.abs(layer.apply(params, later)[0] - layer.apply(params, X)[0])
    assert (float(moved[:, :3].max()) > 0) == bidirectional
    assert float(moved[:, 3:].max(axis=(1, 2)).min()) > 0


def test_a_layer_backwards_is_the_layer_on_reversed_time():
  forwards, backwards = Recurrent(4), Recurrent(4, reverse=True)
  params = params_of(forwards)
  expected = forwards.apply(params, X[:, ::-1])[0][:, ::-1]
  np.testing.assert_array_equal(backwards.apply(params, X)[0], expected)


def test_the_lstms_gates_at_their_limits():
  carry = (jnp.ones((1, 1)), jnp.full((1, 1), 0.7))
  gates = lambda write, keep: tuple(jnp.full((1, 1), z) for z in (write, keep, 0.3, 50.0))
  nothing = (jnp.zeros((1, 1)),) * 4
  _, kept = lstm(carry, gates(-200.0, 200.0), nothing)
  _, written = lstm(carry, gates(200.0, -200.0), nothing)
  assert float(kept[0, 0]) == pytest.approx(0.7)
  assert float(written[0, 0]) == pytest.approx(np.tanh(0.3))


def test_the_grus_gates_at_their_limits():
  """Gates r, z, n: an update gate of 1 keeps the state, one of 0 writes; a reset gate of 0 forgets.

  So in Cho et al. 2014, equation 7, and in PyTorch; Chung et al. 2014 have the update's the other way round.
  """
  carry = (jnp.full((1, 1), 0.7),)
  gates = lambda reset, update: tuple(jnp.full((1, 1), z) for z in (reset, update, 0.3))
  new_of_hidden = (*gates(0.0, 0.0)[:2], jnp.full((1, 1), 0.2))
  (kept,) = gru(carry, gates(0.0, 200.0), new_of_hidden)
  (forgotten,) = gru(carry, gates(-200.0, -200.0), new_of_hidden)
  (read,) = gru(carry, gates(200.0, -200.0), new_of_hidden)
  (half,) = gru(carry, gates(-200.0, 0.0), new_of_hidden)
  assert float(kept[0, 0]) == pytest.approx(0.7)
  assert float(forgotten[0, 0]) == pytest.approx(np.tanh(0.3))
  assert float(read[0, 0]) == pytest.approx(np.tanh(0.5))
  assert float(half[0, 0]) == pytest.approx((0.7 + np.tanh(0.3)) / 2)


def test_parameters_are_stacked_and_the_forget_gate_starts_open():
  shapes = {"rnn": 1, "gru": 3, "lstm": 4}
  for cell, gates in shapes.items():
    params = params_of(Recurrent(4, cell))["params"]
    assert params["kernel"].shape == (3, 4 * gates)
    assert params["recurrent"].shape == (4, 4 * gates)
  np.testing.assert_array_equal(params["bias"], [0] * 4 + [1] * 4 + [0] * 8)


@pytest.mark.parametrize("mask", [None, MASK.T], ids=["whole", "masked"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_backward_pass_by_hand_is_the_loops_own_gradient(cell, mask):
  random = np.random.default_rng(1)
  draw = lambda *shape: jnp.asarray(random.normal(size=shape), jnp.float32)
  stacked = 4 * cell.gates
  weights = recurrent.Weights(draw(3, stacked), draw(stacked), draw(4, stacked), draw(stacked))
  args = (draw(5, 2, 3), weights, (draw(2, 4),) * cell.carries)
  to_hidden, to_last = draw(5, 2, 4), draw(2, 4)

  def loss(by_hand, x, weights, carry):
    if by_hand:
      hidden, last = recurrent.unroll(cell, x, weights, carry, mask)
    else:
      last, (_, carries, _) = recurrent._scan(cell, x, weights, carry, mask)
      hidden = carries[0]
    return jnp.sum(hidden * to_hidden) + sum(jnp.sum(each * to_last) for each in last)

  gradients = [jax.grad(loss, (1, 2, 3))(by_hand, *args) for by_hand in (True, False)]
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *gradients)
