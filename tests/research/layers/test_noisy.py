import jax
import jax.numpy as jnp
import numpy as np

from research.layers.noisy import NoisyDense


def test_without_noise_it_is_a_dense_layer_and_with_it_the_papers():
  layer, x = NoisyDense(3), jnp.array([[1.0, 2.0]])
  params = layer.init(jax.random.key(0), x)
  p = params["params"]
  plain = layer.apply(params, x)
  np.testing.assert_allclose(plain, x @ p["kernel"] + p["bias"][None], rtol=1e-6)
  # With sigma 1 and one input at a time, what is added is f(e_in) f(e_out) + f(e_out).
  ones = jax.tree.map(jnp.zeros_like, p) | {
    "kernel_noise": jnp.ones((2, 3)),
    "bias_noise": jnp.ones(3),
  }
  added = lambda x: layer.apply({"params": ones}, x, rngs={"noise": jax.random.key(1)})
  out = added(jnp.zeros((1, 2)))
  into = added(jnp.array([[1.0, 0.0]])) / out - 1
  np.testing.assert_allclose(into, into[:, :1].repeat(3, 1), rtol=1e-4)  # it factorises
  np.testing.assert_allclose(p["kernel_noise"], 0.5 / np.sqrt(2), rtol=1e-6)


def test_the_noise_has_the_deviation_that_its_weights_say():
  layer, x = NoisyDense(1), jnp.array([[3.0]])
  params = {"params": {"kernel": jnp.zeros((1, 1)), "bias": jnp.zeros(1)}}
  params["params"] |= {"kernel_noise": jnp.ones((1, 1)), "bias_noise": jnp.zeros(1)}
  draw = lambda key: layer.apply(params, x, rngs={"noise": key})[0, 0]
  drawn = jax.vmap(draw)(jax.random.split(jax.random.key(0), 8000))
  # f(e)^2 = |e|, whose mean is sqrt(2 / pi): the product of two has the variance 2 / pi.
  np.testing.assert_allclose(np.std(drawn), 3 * np.sqrt(2 / np.pi), rtol=0.05)
  np.testing.assert_allclose(np.mean(drawn), 0, atol=0.1)


def test_one_example_meets_the_same_noise_as_a_batch():
  layer, x = NoisyDense(3), jax.random.normal(jax.random.key(0), (2, 5))
  params = layer.init(jax.random.key(1), x)
  noisy = lambda x: layer.apply(params, x, rngs={"noise": jax.random.key(2)})
  np.testing.assert_allclose(noisy(x), jnp.concatenate([noisy(x[:1]), noisy(x[1:])]), rtol=1e-5)
