"""Graphs, layers, the deep net and the gradient check: right, and seen to fail when broken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.backprop import computational_graph as graphs
from experiments.backprop import deep_net, layers_by_hand
from experiments.backprop import gradient_check as checking
from research.analysis.gradient_check import GREAT, WRONG, largest_difference, worst
from tests.fixtures.stand_in_labs import FakeLab, failed


def test_the_books_numbers_and_jax_grad():
  report = graphs.run(graphs.Config(points=20), FakeLab())
  assert not failed(report)
  assert len(report.claims) == 4 + 6 + 1 + 2


def test_a_wrong_product_is_seen(monkeypatch):
  right = graphs.OPERATIONS["multiply"]
  wrong = right._replace(backward=lambda d, x, y: (d * x, d * y))  # not exchanged
  monkeypatch.setitem(graphs.OPERATIONS, "multiply", wrong)
  assert len(failed(graphs.run(graphs.Config(points=20), FakeLab()))) > 5


def test_a_value_that_is_used_twice_gets_both_derivatives():
  cube = {"xx": ("multiply", "x", "x"), "xxx": ("multiply", "xx", "x")}
  derivatives, edges = graphs.backward(cube, graphs.forward(cube, {"x": 3.0}))
  assert derivatives["x"] == 27
  assert sorted(edge.backward for edge in edges if edge.source == "x") == [9, 9, 9]


def test_the_graph_of_softmax_with_loss_gives_y_minus_t():
  example = graphs.EXAMPLES["softmax_with_loss"]
  values = graphs.forward(example.graph, example.inputs)
  derivatives, _ = graphs.backward(example.graph, values)
  for k in "12":
    expected = float(values[f"y{k}"]) - example.inputs[f"t{k}"]
    assert derivatives[f"a{k}"] == pytest.approx(expected, abs=1e-6)


def test_layers_by_hand_are_right():
  assert not failed(layers_by_hand.run(layers_by_hand.Config(batch=3), FakeLab()))


def test_relu_hands_nothing_back_at_zero():
  slopes = jax.grad(lambda x: jnp.sum(layers_by_hand.relu(x)))(jnp.array([-1.0, 0.0, 2.0]))
  np.testing.assert_array_equal(slopes, [0, 0, 1])


def test_a_wrong_backward_pass_is_seen(monkeypatch):
  @jax.custom_vjp
  def wrong_sigmoid(x):
    return jax.nn.sigmoid(x)

  wrong_sigmoid.defvjp(lambda x: (jax.nn.sigmoid(x), x), lambda y, d: (d * y * (1 - y),))
  monkeypatch.setattr(layers_by_hand, "sigmoid", wrong_sigmoid)
  found = failed(layers_by_hand.run(layers_by_hand.Config(batch=3), FakeLab()))
  assert len(found) == 2 and all(line.startswith("sigmoid") for line in found)


def test_softmax_survives_large_inputs():
  y = layers_by_hand.softmax(jnp.array([[1000.0, 1000.0, -1000.0]]))
  np.testing.assert_allclose(y, [[0.5, 0.5, 0]])


def test_the_deep_net_and_its_loops_agree():
  rng = np.random.default_rng(0)
  net, x, t = deep_net.draw((5, 4, 4, 3), 6, rng)
  expected = jax.grad(deep_net.loss)(net, x, t)
  for way in deep_net.WAYS.values():
    assert largest_difference(way(net, x, t), expected) < 1e-6
  assert [layer.w.shape for layer in expected] == [(4, 5), (4, 4), (3, 4)]


def test_a_wrong_shape_is_named():
  net, x, t = deep_net.draw((5, 4, 3), 6, np.random.default_rng(0))
  transposed = [net[0]._replace(w=net[0].w.T), net[1]]
  with pytest.raises(ValueError, match=r"W\[1\] has shape \(5, 4\)"):
    deep_net.gradient(transposed, x, t)
  with pytest.raises(ValueError, match="t has shape"):
    deep_net.gradient(net, x, t[:2])


def test_the_gradient_check_passes_the_nets_and_fails_the_mistake():
  config = checking.Config(dataset="digits")
  for name, net in checking.nets(config).items():
    if name == "convolution":
      continue  # slow to compile; its parts are tested in tests/research/analysis
    found = checking.differences(net, config, FakeLab(), epsilon=1e-5, coordinates=20)
    ratio = worst(found).relative_norm
    assert ratio > WRONG if name == "slope 1 % off" else ratio < GREAT, found
