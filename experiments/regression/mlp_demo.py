"""A demonstration net of 10-20-3: one step of Adam on five random points, and a trained one (D03).

The notes on Dive into Deep Learning show a training loop in one step: five normal points of ten
features with random classes, ReLU, Adam with rate 0.001; the printed loss is about log 3 = 1.1.
That step says nothing of learning. Here the loop also goes on, to the points' classes by heart.

    python launch.py --experiment=mlp_demo

Expected: first losses of 1.1 in the mean of 100 nets, all points right at the end; a few seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from matplotlib.figure import Figure

import research as ln


@ln.pytree_config
class Config:
  """The notes' settings, and how long the trained version learns."""

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
  row = lambda what, source, ours, bar, unit="": ln.Claim("D03", what, source, ours, bar, unit)
  return ln.Report(
    [
      row("parameters", "283", sum(leaf.size for leaf in jax.tree.leaves(shapes)), ln.equals(283)),
      row(
        "first loss, mean of the nets, in nats",
        "about 1.1",
        losses[:, 0].mean(),
        ln.within(1.1, 0.1),
      ),
      row(
        "nets whose loss one step of Adam lowers",
        "all",
        jnp.mean(losses[:, 1] < losses[:, 0]),
        ln.at_least(0.99),
        "%",
      ),
      row("trained: largest loss at the end, in nats", "0", losses[:, -1].max(), ln.at_most(0.02)),
      row("trained: points right at the end", "all", right.mean(), ln.equals(1), "%"),
    ],
    [
      ln.Picture(
        "losses",
        figure(np.asarray(losses)),
        "From log 3 down to nothing; the band holds the middle 90 % of the nets.",
      ),
    ],
  )


def figure(losses: Float[np.ndarray, "nets steps"]) -> Figure:
  """The nets' losses."""
  made, grid = ln.new_figure("Five random points learned by heart", panel_inches=(6.4, 3.6))
  axes, steps = grid[0, 0], np.arange(losses.shape[1])
  low, middle, high = np.quantile(losses, (0.05, 0.5, 0.95), axis=0)
  axes.fill_between(steps, low, high, color=ln.stroke(0).colour, alpha=0.2, linewidth=0)
  ln.draw_curve(axes, steps, middle, name="median", look=ln.stroke(0))
  axes.set_yscale("log")
  ln.label_axes(axes, "step of Adam", "cross-entropy (nats)", f"median of {len(losses)} nets")
  return made


experiment = ln.Experiment(Config, run)
