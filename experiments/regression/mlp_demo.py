"""A demonstration net of 10-20-3: one step of Adam on five random points, and a trained one (D03).

The smallest demonstration of a training loop is one step: five normal points of ten features with
random classes, ReLU, Adam with rate 0.001; the printed loss is about log 3 = 1.1. That step says
nothing of learning. Here the loop also goes on, to the points' classes by heart.

    python launch.py --experiment=mlp_demo

Expected: first losses of 1.1 in the mean of 100 nets, all points right at the end; a few seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

import research as ln


@ln.pytree_config
class Config:
  """The demonstration's settings, and how long the trained version learns."""

  hidden: int = ln.static(20, "hidden units", at_least=1)
  points: int = ln.static(5, "random points", at_least=1)
  init: ln.Init = ln.nested(ln.Init("lecun_uniform", 3**-0.5))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="adam", learning_rate=1e-3))
  steps: int = ln.static(2000, "steps of the trained version", at_least=1)
  nets: int = ln.static(100, "nets, each with its own points", at_least=1)


FEATURES, CLASSES = 10, 3


def model(config: Config) -> ln.MLP:
  """10-20-3; PyTorch's weights are uniform within 1 / sqrt(fan-in): a third of LeCun's variance."""
  return ln.MLP((config.hidden, CLASSES), kernel_init=ln.kernel_init(config.init))


def learn(config: Config, key: Array) -> tuple[Float[Array, " steps+1"], Float[Array, ""]]:
  """The loss before every step and after the last, and the share of points that are right then."""
  x_key, label_key, net_key = jax.random.split(key, 3)
  x = jax.random.normal(x_key, (config.points, FEATURES))
  labels: Int[Array, " points"] = jax.random.randint(label_key, (config.points,), 0, CLASSES)
  rule, net = ln.make_optimizer(config.optimizer, config.steps), model(config)
  params = net.init(net_key, x)

  def loss(params: optax.Params) -> Float[Array, ""]:
    logits = net.apply(params, x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

  def step(carry: tuple, _: None) -> tuple[tuple, Array]:
    params, state = carry
    value, gradient = jax.value_and_grad(loss)(params)
    updates, state = rule.update(gradient, state, params)
    return (optax.apply_updates(params, updates), state), value

  (params, _), losses = jax.lax.scan(step, (params, rule.init(params)), None, length=config.steps)
  right = jnp.mean(jnp.argmax(net.apply(params, x), axis=-1) == labels)
  return jnp.append(losses, loss(params)), right


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Many nets at once."""
  keys = jax.random.split(lab.key("nets"), config.nets)
  losses, right = jax.jit(jax.vmap(lambda key: learn(config, key)))(keys)
  shapes = jax.eval_shape(model(config).init, jax.random.key(0), jnp.zeros((1, FEATURES)))
  parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes))
  first, lowered = losses[:, 0].mean(), jnp.mean(losses[:, 1] < losses[:, 0])
  end, what = losses[:, -1].max(), "nets whose loss one step of Adam lowers"
  claim = ln.claims("D03")
  return ln.Report(
    [
      claim("parameters", "283", parameters, ln.equals(283)),
      claim("first loss, mean of the nets, in nats", "about 1.1", first, ln.within(1.1, 0.1)),
      claim(what, "all", lowered, ln.at_least(0.99), "%"),
      claim("trained: largest loss at the end, in nats", "0", end, ln.at_most(0.02)),
      claim("trained: points right at the end", "all", right.mean(), ln.equals(1), "%"),
    ],
    [curves(np.asarray(losses))],
  )


def curves(losses: Float[np.ndarray, "nets steps"]) -> ln.Picture:
  """The median of the nets' losses in the middle 90 % of them."""
  steps = np.arange(losses.shape[1])
  low, middle, high = np.quantile(losses, (0.05, 0.5, 0.95), axis=0)
  median = {"median": (steps, middle)}
  title, band = f"median of {len(losses)} nets", {"median": (low, high)}
  return ln.function_curves(
    [ln.Panel("cross-entropy (nats)", median, title, log="y", bands=band)],
    title="Random points learned by heart",
    x="step of Adam",
    caption="The first loss is about log 3; the band holds the middle 90 % of the nets.",
    file="losses",
  )


experiment = ln.Experiment(Config, run)
