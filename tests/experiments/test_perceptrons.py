"""Gates, activations, softmax and the reading of weights that come from elsewhere."""

import functools
import os
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.perceptrons import (
  activations,
  gates,
  mnist_inference,
  perceptron_rule,
  three_layer_net,
)
from research.errors import UserError
from research.figures.signal_flow import array_shapes, signal_flow
from research.models.threshold_units import AND, NAND, OR, ROWS, TABLES, Unit, fire


@pytest.mark.parametrize("name", gates.GATES)
def test_a_gate_has_its_truth_table(name):
  assert tuple(gates.GATES[name](*ROWS.T)) == TABLES[name]


def test_the_first_layer_of_xor_is_nand_and_or_and_not_not_and_nand():
  a, b = ROWS.T
  right = fire(AND, fire(NAND, a, b), fire(OR, a, b))
  misprint = fire(AND, 1 - a, fire(NAND, a, b))
  assert tuple(right) == TABLES["XOR"] != tuple(misprint)


@pytest.mark.parametrize("name", ["AND", "NAND", "OR"])
def test_the_perceptron_rule_learns_what_one_unit_can_do(name):
  learned = perceptron_rule.perceptron_rule(jnp.array(TABLES[name]), 10)
  unit = Unit(learned.units.weights[-1], learned.units.bias[-1])
  assert tuple(fire(unit, *ROWS.T)) == TABLES[name]
  assert learned.mistakes[-1] == 0


def test_the_rule_goes_in_circles_on_xor():
  learned = perceptron_rule.perceptron_rule(jnp.array(TABLES["XOR"]), 20)
  assert learned.mistakes.min() > 0
  assert perceptron_rule.cycle_length(learned) > 0
  assert perceptron_rule.cycle_length(jax.tree.map(lambda leaf: leaf[:2], learned)) == 0


def test_a_linear_program_tells_separable_gates():
  assert [perceptron_rule.is_separable(table) for table in TABLES.values()] == [True] * 3 + [False]
  assert not perceptron_rule.is_separable((1, 0, 0, 1))
  assert perceptron_rule.is_separable((0, 0, 0, 0))


def test_nands_add_and_carry_to_the_ninth_bit():
  a, b = np.random.default_rng(0).integers(0, 256, (2, 50))
  a[0], b[0] = 255, 255
  np.testing.assert_array_equal(gates.add_bytes(a, b), a + b)


def test_adders_are_made_of_five_and_nine_nands(monkeypatch):
  units = []
  monkeypatch.setattr(gates, "fire", lambda unit, a, b: units.append(unit) or 1 - a * b)
  gates.half_adder(1, 1)
  assert units == [NAND] * 5
  gates.full_adder(1, 0, 1)
  assert units == [NAND] * 14


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_a_written_derivative_is_the_derivative(name):
  with jax.enable_x64(True):
    x = jnp.arange(-50, 50) / 10
    right = activations.ACTIVATIONS[name]
    assert activations.slope_error(right, x) < 1e-9
    wrong = right._replace(slope=lambda x: right.slope(x) + 1e-6)
    assert activations.slope_error(wrong, x) > 1e-7


def test_sigmoid_neither_overflows_nor_loses_its_tail():
  x = jnp.array([-1000.0, -80.0, 0.0, 80.0, 1000.0])
  np.testing.assert_allclose(activations.sigmoid(x), [0, np.exp(-80.0), 0.5, 1, 1], rtol=1e-5)


def test_only_a_linear_net_is_an_affine_map():
  config = activations.Config(width=4, examples=100)
  with jax.enable_x64(True):
    net = activations.random_net(config, jax.random.key(0))
    share = lambda h: float(activations.beyond_affine(h, net))
    assert share(lambda x: 2 * x) < 1e-20
    assert share(jnp.tanh) > 1e-3
    rank = lambda h: activations.rank_through_a_waist(h, config, jax.random.key(0), 2)
    assert rank(lambda x: 2 * x) == 2 < rank(jnp.tanh)


def test_the_three_layer_net_has_its_golden_value():
  with jax.enable_x64(True):
    *_, y = three_layer_net.forward(three_layer_net.LAYERS, jnp.array(three_layer_net.INPUT))
  np.testing.assert_allclose(y, [0.31682708, 0.69627909], atol=5e-9)


@pytest.mark.parametrize("dtype", three_layer_net.DTYPES)
def test_softmax_sums_to_one_ignores_shifts_and_does_not_overflow(dtype):
  with jax.enable_x64(True):
    a = jnp.array([[0.0, 10.0, 20.0], [1.0, 2.0, 2.0]], dtype)
    softmax, naive = three_layer_net.softmax, three_layer_net.naive_softmax
    assert three_layer_net.sum_error(a) <= 3
    np.testing.assert_array_equal(softmax(a + 64), softmax(a))
    assert softmax(a).dtype == dtype
    large = jnp.array([1010.0, 1000.0, 990.0], dtype)
    assert jnp.isfinite(softmax(large)).all()
    assert not jnp.isfinite(naive(large)).any()
    np.testing.assert_array_equal(softmax(a).argmax(-1), a.argmax(-1))


def test_a_drawing_of_a_net_shows_each_weight_and_neuron():
  layers = [(np.array([[0.25, -3.0]]), np.array([7.5, 0.125])), (np.ones((2, 1)), np.zeros(1))]
  figure = signal_flow(
    layers, [[1.0], [0.5, 0.75], [2.5]], title="t", names=("a", "b", "c"), caption=""
  ).figure
  texts = [text.get_text() for text in figure.axes[0].texts]
  assert {"0.25", "-3", "7.5", "0.125", "0.5", "0.75"} <= set(texts)
  assert "2.5" not in texts  # the second layer's answer is not known yet
  with pytest.raises(ValueError, match="neurons"):
    signal_flow(layers, [[1.0], [0.5], [2.5]], title="t", names=("a", "b", "c"), caption="")


def test_shapes_that_have_no_product_are_not_drawn():
  array_shapes({"one": {"x": (4,), "W": (4, 2), "y": (2,)}}, title="t", caption="")
  with pytest.raises(ValueError, match="one"):
    array_shapes({"one": {"x": (3,), "W": (4, 2), "y": (2,)}}, title="t", caption="")


SHAPES = {"W1": (784, 50), "b1": (50,), "W2": (50, 100), "b2": (100,), "W3": (100, 10), "b3": (10,)}


@functools.cache
def book_weights():
  rng = np.random.default_rng(0)
  weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
  return weights | {"W2": np.asfortranarray(weights["W2"]), "b1": weights["b1"].astype(">f8")}


def written(folder, value, protocol=3):
  path = folder / "weights.pkl"
  path.write_bytes(pickle.dumps(value, protocol))
  return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickled_arrays_are_read_as_they_were(tmp_path, protocol):
  weights = book_weights()
  params = mnist_inference.read_weights(written(tmp_path, weights, protocol))
  for n in range(3):
    np.testing.assert_array_equal(params[f"Dense_{n}"]["kernel"], weights[f"W{n + 1}"])
    np.testing.assert_array_equal(params[f"Dense_{n}"]["bias"], weights[f"b{n + 1}"])


def test_the_names_of_numpy_1_are_known(tmp_path):
  path = written(tmp_path, book_weights())
  old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
  assert b"numpy.core.multiarray" in old
  path.write_bytes(old)
  assert mnist_inference.read_weights(path)["Dense_0"]["bias"].shape == (50,)


class Malicious:
  def __init__(self, call, *arguments):
    self.call, self.arguments = call, arguments

  def __reduce__(self):
    return self.call, self.arguments


def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(tmp_path):
  trace = tmp_path / "trace"
  for attack in (
    Malicious(os.system, f"touch {trace}"),
    Malicious(eval, f"open({str(trace)!r}, 'w')"),
    Malicious(np.load, str(trace)),
    Malicious(getattr, "text", "format"),
  ):
    with pytest.raises(UserError, match="asks for"):
      mnist_inference.read_weights(written(tmp_path, book_weights() | {"W3": attack}))
  assert not trace.exists()


@pytest.mark.parametrize(
  ("value", "complaint"),
  [
    ([1, 2], "not a pickled dictionary"),
    ({"W1": np.array([None])}, "read are f4, f8 and u1"),
    ({"W1": np.zeros((2, 2))}, "784-50-100-10"),
    ({"W1": 3.0}, "not a pickled dictionary"),
  ],
)
def test_other_files_are_refused_in_one_line(tmp_path, value, complaint):
  with pytest.raises(UserError, match=complaint) as refusal:
    mnist_inference.read_weights(written(tmp_path, value))
  assert "\n" not in str(refusal.value)


def test_a_missing_or_damaged_file_is_refused(tmp_path):
  with pytest.raises(UserError, match="No such file"):
    mnist_inference.read_weights(tmp_path / "none.pkl")
  path = written(tmp_path, book_weights())
  path.write_bytes(path.read_bytes()[:1000])
  with pytest.raises(UserError, match="not a pickled dictionary"):
    mnist_inference.read_weights(path)


def test_the_net_reads_a_batch_as_it_reads_single_images():
  net = mnist_inference.model(mnist_inference.Config())
  params = net.init(jax.random.key(0), jnp.zeros((1, 784)))["params"]
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 45_360
  images = np.random.default_rng(0).random((6, 784), np.float32)
  batch, _ = mnist_inference.read_all(params, images, 3)
  single, _ = mnist_inference.read_all(params, images, 1)
  np.testing.assert_allclose(batch, single, atol=1e-5)
  hidden, params = images, jax.device_get(params)
  for n in range(2):
    layer = params[f"Dense_{n}"]
    hidden = 1 / (1 + np.exp(-(hidden @ layer["kernel"] + layer["bias"])))
  expected = hidden @ params["Dense_2"]["kernel"] + params["Dense_2"]["bias"]
  np.testing.assert_allclose(batch, expected, atol=1e-5)
