"""All forms of a step make the same steps, of as many images as they say."""

import jax
import jax.numpy as jnp
import numpy as np

from research.analysis.step_forms import CORES, EAGER, JIT, LANES, SCAN, forms_of

BATCHES = {"x": jnp.arange(6.0).reshape(3, 2), "label": jnp.zeros((3, 2), int)}


def step(params, batch):
  return {"w": 0.5 * params["w"] + batch["x"].sum()}


def test_forms_make_the_same_steps():
  forms = forms_of(step, {"w": jnp.float32(8)}, BATCHES, lanes=4)
  found = {name: np.asarray(form.call()["w"]) for name, form in forms.items()}
  np.testing.assert_array_equal(found[EAGER], 5)
  np.testing.assert_array_equal(found[JIT], 12.75)  # 5, then 7.5, then this
  np.testing.assert_array_equal(found[SCAN], found[JIT])
  np.testing.assert_array_equal(found[LANES], np.full(4, found[JIT]))
  np.testing.assert_array_equal(found[CORES], np.full(jax.device_count(), found[JIT]))
  images = {name: form.images for name, form in forms.items()}
  assert images == {EAGER: 2, JIT: 6, SCAN: 6, LANES: 24, CORES: 6 * jax.device_count()}
