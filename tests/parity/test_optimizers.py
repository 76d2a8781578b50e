"""Our optimizers take PyTorch's steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.optimizers import Optimizer, make_optimizer

pytestmark = pytest.mark.fast

torch = pytest.importorskip("torch")

DECAY = 0.01
PEERS = {
  "sgd": (Optimizer("sgd"), lambda p: torch.optim.SGD(p, 1e-3)),
  "momentum": (Optimizer("momentum"), lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9)),
  "nesterov": (
    Optimizer("nesterov"),
    lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9, nesterov=True),
  ),
  "adagrad": (Optimizer("adagrad"), lambda p: torch.optim.Adagrad(p, 1e-3, eps=1e-8)),
  "rmsprop": (Optimizer("rmsprop", beta2=0.9), lambda p: torch.optim.RMSprop(p, 1e-3, 0.9)),
  "centred": (
    Optimizer("centred_rmsprop", beta2=0.9),
    lambda p: torch.optim.RMSprop(p, 1e-3, 0.9, centered=True),
  ),
  "adam": (Optimizer("adam"), lambda p: torch.optim.Adam(p, 1e-3)),
  "adamw": (
    Optimizer("adamw", weight_decay=DECAY),
    lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=DECAY),
  ),
}


@pytest.mark.parametrize("name", PEERS)
def test_twenty_steps_along_gradients_of_all_sizes(name):
  settings, peer = PEERS[name]
  rng = np.random.default_rng(0)
  start = rng.normal(size=(4, 5)).astype(np.float32)
  gradients = rng.normal(size=(20, 4, 5)) * 10 ** rng.uniform(-9, 1, (4, 5))
  gradients = gradients.astype(np.float32)
  update = make_optimizer(settings, 20)

  def step(carry, gradient):
    weights, state = carry
    change, state = update.update(gradient, state, weights)
    return (weights + change, state), None

  carry = (jnp.asarray(start), update.init(jnp.asarray(start)))
  (ours, _), _ = jax.lax.scan(step, carry, jnp.asarray(gradients))
  weights = torch.nn.Parameter(torch.tensor(start))
  theirs = peer([weights])
  for gradient in gradients:
    weights.grad = torch.tensor(gradient)
    theirs.step()
  moved = weights.detach().numpy() - start
  np.testing.assert_allclose(ours - start, moved, rtol=1e-3, atol=1e-6)
  assert np.abs(moved).max() > 1e-3
