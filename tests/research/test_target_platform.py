"""What is compiled for a machine elsewhere takes that machine's forms, and nothing else does."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from research import compile as compiling
from research import free_memory, lanes
from research.layers.convolution import convolve
from research.layers.fast_gradients import with_fast_gradients
from research.target_platform import compiling_for, is_elsewhere, target_platform

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parent.parent.parent


def test_the_platform_is_this_machines_outside_of_the_context():
  assert (target_platform(), is_elsewhere()) == (jax.default_backend(), False)
  with compiling_for("tpu"):
    assert (target_platform(), is_elsewhere()) == ("tpu", True)
    with compiling_for("gpu"):
      assert target_platform() == "gpu"
    assert target_platform() == "tpu"
  assert (target_platform(), is_elsewhere()) == (jax.default_backend(), False)


def test_a_function_traced_before_is_traced_again_for_another_platform():
  x, kernel = jnp.ones((1, 6, 6, 8)), jnp.ones((1, 1, 8, 4))
  inner = jax.jit(lambda x, kernel: convolve(x, kernel, (1, 1), "VALID"))
  outer = lambda x, kernel: inner(x, kernel) + 1
  has_convolution = lambda: "conv_general_dilated" in str(jax.make_jaxpr(outer)(x, kernel))
  found = [has_convolution()]  # on the CPU one tap is a matrix product
  with compiling_for("tpu"):
    found.append(has_convolution())
  assert [*found, has_convolution()] == [False, True, False]


def test_every_choice_by_platform_follows_it():
  pool = lambda x: jax.lax.reduce_window(
    x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME"
  )
  choices = lambda: (
    str(jax.make_jaxpr(with_fast_gradients(pool))(jnp.ones((1, 4, 4, 1)))).count("reduce_window"),
    lanes.block_of("auto", 1, 6),
    compiling.steps_per_call(10**9, 1000),
    free_memory.available_bytes() is None,
  )
  here = choices()
  with compiling_for("tpu"):
    assert choices() == (1, 6, 500, True)
  assert choices() == here == (0, 1, 10, False)


def test_no_other_module_asks_for_the_default_backend():
  asking = [
    path.relative_to(ROOT).as_posix()
    for folder in ("research", "experiments")
    for path in ROOT.glob(f"{folder}/**/*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Attribute | ast.alias)
    and "default_backend" in (node.attr if isinstance(node, ast.Attribute) else node.name)
  ]
  assert asking == ["research/target_platform.py"]
