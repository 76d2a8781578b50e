import jax
import jax.numpy as jnp
import pytest
from jax import lax

from research.flops import flops

pytestmark = pytest.mark.fast


def count(function, *shapes):
  arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  return flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def test_a_matrix_product_counts_multiplications_and_additions():
  assert count(lambda a, b: a @ b, (3, 5), (5, 7)) == 2 * 3 * 5 * 7
  assert count(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), (4, 3, 5), (4, 5, 7)) == 4 * 210


def test_a_convolution_counts_each_output_times_its_window():
  convolve = lambda x, k: lax.conv_general_dilated(
    x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
  assert count(convolve, (2, 6, 6, 3), (3, 3, 3, 8)) == 2 * (2 * 4 * 4 * 8) * (3 * 3 * 3)


def test_loops_and_inner_programs_are_multiplied_out():
  loop = lambda a: lax.scan(lambda c, _: (c @ c, None), a, None, length=9)[0]
  assert count(jax.jit(loop), (4, 4)) == 9 * 2 * 4**3
  backward = jax.grad(lambda a, b: jnp.sum(a @ b), argnums=(0, 1))
  assert count(backward, (3, 5), (5, 7)) >= 2 * 2 * 3 * 5 * 7
