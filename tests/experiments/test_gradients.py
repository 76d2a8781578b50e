"""Losses, numerical gradients, and gradient descent on a bowl."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.gradients import (
  gradient_descent,
  gradient_field,
  losses,
  numerical_differentiation,
  simple_net,
)
from research.analysis.gradient_check import central_differences
from research.figures.fields import contour_paths
from research.figures.functions import Panel, function_curves


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def test_the_books_losses():
  target = jax.nn.one_hot(losses.LABEL, 10, dtype=float)
  value = lambda f, y: float(f(jnp.array(y), target))
  assert value(losses.squared_error, losses.RIGHT) == pytest.approx(0.0975, abs=1e-15)
  assert value(losses.cross_entropy, losses.RIGHT) == pytest.approx(0.51082545709933802, abs=1e-15)
  assert value(losses.cross_entropy, losses.WRONG) == pytest.approx(2.3025840929945458, abs=1e-15)


def test_the_forms_of_cross_entropy_agree():
  assert max(losses.form_differences(jax.random.key(0))) < 1e-15


def test_cross_entropy_is_finite_where_the_right_class_has_no_probability():
  y, target = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
  assert losses.cross_entropy(y, target) == pytest.approx(16.118, abs=1e-3)


def test_accuracy_has_no_gradient_and_the_loss_has():
  x, label = losses.random_points(losses.Config(), jax.random.key(0))
  weights = jnp.linspace(-4, 4, 21)
  slope = lambda f: jax.vmap(jax.grad(lambda weight: f(weight, x, label)))(weights)
  values = jax.vmap(lambda weight: losses.accuracy(weight, x, label))(weights)
  assert len(set(values.tolist())) > 5  # it does depend on the weight
  assert not slope(losses.accuracy).any()
  assert slope(losses.loss).all()


@pytest.mark.parametrize(("x", "golden"), [(5.0, 0.1999999999990898), (10.0, 0.2999999999986347)])
def test_golden_derivatives_to_the_last_digit(x, golden):
  lesson = numerical_differentiation
  assert float(lesson.central_difference(lesson.parabola, jnp.array(x), 1e-4)) == golden


@pytest.mark.parametrize(
  ("point", "gradient"), [((3.0, 4.0), (6, 8)), ((0.0, 2.0), (0, 4)), ((3.0, 0.0), (6, 0))]
)
def test_partial_derivatives(point, gradient):
  ours = gradient_field.numerical_gradient(gradient_field.bowl, jnp.array(point), 1e-4)
  np.testing.assert_allclose(ours, gradient, atol=1e-10)


def test_the_gradient_points_to_the_steepest_increase():
  x = jnp.array([-0.75, 1.25])
  gradient = gradient_field.numerical_gradient(gradient_field.bowl, x, 1e-4)
  assert (
    gradient_field.bowl(x + 0.01 * gradient)
    > gradient_field.bowl(x)
    > gradient_field.bowl(x - 0.01 * gradient)
  )
  steepest = gradient_field.steepest_direction(gradient_field.bowl, x, 1e-4)
  np.testing.assert_allclose(steepest, gradient / jnp.linalg.norm(gradient), atol=2e-3)


def test_the_field_is_on_the_books_grid():
  points = gradient_field.grid_points()
  assert points.shape == (18 * 18, 2)
  assert (points.min(), points.max()) == (-2, 2.25)


def test_errors_fall_with_h_until_rounding_takes_over():
  lesson = numerical_differentiation
  errors = lesson.step_errors()
  assert lesson.order(errors["h"], errors["one-sided"]) == pytest.approx(1, abs=0.05)
  assert lesson.order(errors["h"], errors["central"]) == pytest.approx(2, abs=0.05)
  assert errors["central"][0] > 1e3 * errors["central"].min()
  assert float(lesson.central_difference(jnp.sin, jnp.array(1.0), 1e-50)) == 0


def test_the_gradient_of_simple_net():
  book = simple_net.loss(jnp.array(simple_net.BOOK_WEIGHTS))
  assert book == pytest.approx(simple_net.BOOK_LOSS, abs=1e-8)
  weights = jax.random.normal(jax.random.key(0), (2, 3))
  gradient = central_differences(simple_net.loss, weights, 1e-4)
  np.testing.assert_allclose(gradient, jax.grad(simple_net.loss)(weights), atol=1e-8)
  np.testing.assert_allclose(gradient[0] / 0.6, gradient[1] / 0.9, atol=1e-8)
  np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-8)
  assert np.abs(gradient).max() > 0.01


def lane(rate, steps):
  return gradient_descent.Lanes(jnp.array(rate), jnp.array(steps))


def numeric(x):
  return central_differences(gradient_descent.bowl, x, 1e-4)


def test_a_descent_shrinks_by_a_fifth_and_stops_at_its_last_step():
  path = gradient_descent.descend(numeric, lane(0.1, 20), 25)
  expected = np.array([-3.0, 4.0]) * 0.8 ** np.minimum(np.arange(26), 20)[:, None]
  np.testing.assert_allclose(path, expected, rtol=1e-9)


@pytest.mark.parametrize(
  ("rate", "end", "rtol"),
  [
    (0.1, (-6.11e-10, 8.15e-10), 1e-3),
    (10.0, (-2.59e13, -1.29e12), 1e-2),
    (1e-10, (-2.99999994, 3.99999992), 2e-9),
  ],
)
def test_golden_ends(rate, end, rtol):
  np.testing.assert_allclose(
    gradient_descent.descend(numeric, lane(rate, 100), 100)[-1], end, rtol=rtol
  )


def test_rates_are_lanes_of_one_program():
  lanes = lane([0.1, 10.0], [5, 3])
  traces = []

  def counted(x):
    traces.append(x)
    return 2 * x

  together = jax.jit(jax.vmap(lambda lane: gradient_descent.descend(counted, lane, 5)))
  paths = together(lanes)
  together(lane([0.3, 0.2], [5, 5]))
  assert len(traces) == 1
  np.testing.assert_allclose(paths[1, 3], np.array([-3.0, 4.0]) * (-19) ** 3)
  np.testing.assert_array_equal(paths[1, 5], paths[1, 3])


def test_a_contour_figure_holds_every_point_of_a_path():
  ticks = np.linspace(-1, 1, 5)
  path = np.array([[-1.0, 1.0], [0.0, 0.5], [0.25, 0.0]])
  figure = contour_paths(
    ticks,
    ticks,
    ticks**2 + ticks[:, None] ** 2,
    {"p": path},
    title="t",
    axis_names=("a", "b"),
    caption="",
  ).figure
  lines = {line.get_label(): line.get_xydata() for line in figure.axes[0].lines}
  np.testing.assert_array_equal(lines["p"], path)


def test_a_curve_looks_the_same_in_every_panel():
  curve = (np.arange(3), np.arange(3))
  panels = [Panel("y", {"a": curve, "b": curve}), Panel("y", {"b": curve}, log="xy")]
  figure = function_curves(panels, title="t", x="x", caption="").figure
  left, right = (
    {line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes
  )
  assert left["b"] == right["b"] != left["a"]
  assert figure.axes[1].get_xscale() == figure.axes[1].get_yscale() == "log"
