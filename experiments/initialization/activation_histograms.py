"""Histograms of activations and gradients in five layers, by initial weights (I02).

Saito 2016, section 6.2: 1,000 normal examples of 100 features go through five layers of 100 units
without biases. With weights of deviation 1 a sigmoid says 0 or 1; with 0.01 all units say the same;
with 1/sqrt(n), the book's Xavier rule, they differ. ReLU needs sqrt(2/n), He's rule. Beside them
stand GELU, the step, orthogonal and Glorot's uniform weights, and the gradients, which the book
leaves out.

    python launch.py --experiment=activation_histograms

Expected: the book's statistics, as means over 20 nets; about 40 seconds on two CPU cores.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln
from research.analysis.signals import ACTIVATIONS, Signals, deviations, drawn_weights, signals


@ln.pytree_config
class Config:
  """The book's sizes, and over how many nets statistics are averaged."""

  examples: int = ln.static(1000, "normal examples", at_least=2)
  width: int = ln.static(100, "features, and units of every layer", at_least=2)
  layers: int = ln.static(5, "layers", at_least=2)
  nets: int = ln.static(20, "nets whose statistics are averaged", at_least=1)


INITS = {
  "std 1": ln.initializer("normal", 1.0),
  "std 0.01": ln.initializer("normal", 0.01),
  "Xavier (book)": ln.initializer("lecun_normal"),
  "Xavier uniform": ln.initializer("xavier_uniform"),
  "orthogonal": ln.initializer("orthogonal"),
  "He": ln.initializer("he_normal"),
}
# The sources' figures: one activation, some of the rules.
FIGURES = {
  "sigmoid": ("std 1", "std 0.01", "Xavier (book)"),
  "tanh": ("std 1", "std 0.01", "Xavier (book)", "orthogonal"),
  "ReLU": ("std 0.01", "Xavier (book)", "He"),
  "GELU": ("std 0.01", "Xavier (book)", "He"),
  "step": ("std 1", "std 0.01", "He"),
}
OWN_SCALE = "Each panel has its own scale."
PICTURES = (
  ("sigmoid", "activations", "The book's figures 5.3 and 5.5."),
  ("sigmoid", "gradients", OWN_SCALE),
  ("tanh", "activations", "Orthogonal weights have the deviation of Xavier's."),
  ("ReLU", "activations", "Values above 2 are counted in the last bin."),
  ("ReLU", "gradients", OWN_SCALE),
  ("GELU", "activations", "Values above 2 are counted in the last bin."),
  ("step", "activations", "Only the sign of its weighted sum counts for a unit."),
)
# Standard deviations of activations: activation, rule, layer, the source's number, and the bar.
DEVIATIONS = (
  ("sigmoid", "std 0.01", -1, "about 0.013", ln.within(0.013, 0.001)),
  ("sigmoid", "Xavier (book)", 0, "0.21", ln.within(0.21, 0.01)),
  ("sigmoid", "Xavier (book)", -1, "0.11-0.14", ln.within(0.125, 0.015)),
  ("ReLU", "std 0.01", -1, "0.01 falls to 0", ln.at_most(1e-4)),
  ("ReLU", "Xavier (book)", 0, "0.58", ln.within(0.58, 0.02)),
  ("ReLU", "Xavier (book)", -1, "0.135", ln.within(0.135, 0.02)),
  ("ReLU", "He", 0, "0.84", ln.within(0.84, 0.04)),
)
RANGES = {"sigmoid": (0, 1), "tanh": (-1, 1), "ReLU": (0, 2), "GELU": (-0.2, 2), "step": (0, 1)}


def one_net(activation: str, init: str, config: Config, key: Array) -> Signals:
  """Fresh data through a fresh net."""
  data_key, net_key = jax.random.split(key)
  x, reading = jax.random.normal(data_key, (2, config.examples, config.width))
  weights = drawn_weights(INITS[init], net_key, config.layers, config.width)
  return signals(ACTIVATIONS[activation], weights, x, reading)


def saturated(activations: Float[Array, "layers examples width"]) -> Float[Array, " layers"]:
  """Share of values outside of (0.1, 0.9), layer by layer."""
  return jnp.mean((activations < 0.1) | (activations > 0.9), axis=(1, 2))


def statistics(activation: str, init: str, config: Config, key: Array) -> dict[str, np.ndarray]:
  """Means over nets of three statistics of every layer."""

  def one(key: Array) -> dict[str, Array]:
    found = one_net(activation, init, config, key)
    of = {"activation": found.activations, "gradient": found.gradients}
    return {**jax.tree.map(deviations, of), "saturated": saturated(found.activations)}

  measure = jax.jit(lambda keys: jax.tree.map(lambda x: x.mean(axis=0), jax.lax.map(one, keys)))
  return jax.device_get(measure(jax.random.split(key, config.nets)))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Statistics over nets, histograms of the first."""
  key, claim = lab.key("nets"), ln.claims("I02")
  of = functools.cache(lambda activation, init: statistics(activation, init, config, key))
  std = lambda activation, init, layer: float(of(activation, init)["activation"][layer])
  back = lambda activation, init: float(np.divide(*of(activation, init)["gradient"][[0, -1]]))
  kept = back("tanh", "orthogonal") / back("tanh", "std 0.01")
  flat = std("ReLU", "He", -1) / std("ReLU", "He", 0)
  last, slope = f"layer {config.layers}", f"gradient of layer 1 / of layer {config.layers}"
  largest = float(jnp.abs(one_net("step", "He", config, key).gradients).max())
  sigmoid, quarter = "sigmoid, Xavier (book)", 0.25 ** (config.layers - 1)
  lost, silent = back("sigmoid", "Xavier (book)"), f"step, He: largest gradient before {last}"
  deviation, one = "standard deviation of", "flat (0.84 to 1.1 in one net)"
  outside = "sigmoid, std 1: share outside of (0.1, 0.9) in layer"
  ends = of("sigmoid", "std 1")["saturated"]
  claims = [
    *(
      claim(f"{outside} {n}", f"{share} %", ends[n - 1], ln.within(share / 100, 0.01), "%")
      for n, share in ((1, 82), (config.layers, 74))
    ),
    *(
      claim(f"{h}, {init}: {deviation} {last if n else 'layer 1'}", source, std(h, init, n), bar)
      for h, init, n, source, bar in DEVIATIONS
    ),
    claim(f"ReLU, He: {deviation} {last} / of layer 1", one, flat, ln.within(1, 0.1)),
    claim(silent, "0: nothing can be learned", largest, ln.equals(0)),
    claim(f"{sigmoid}: {slope}", "at most 1/4 a layer", lost, ln.at_most(quarter)),
    claim(f"ReLU, He: {slope}", "1: kept", back("ReLU", "He"), ln.within(1, 0.15)),
    claim(f"tanh, orthogonal: {slope}", "kept better than by std 0.01", kept, ln.at_least(100)),
  ]
  return ln.Report(
    claims,
    [
      ln.histogram_grid(
        {init: getattr(one_net(h, init, config, key), part) for init in FIGURES[h]},
        title=f"{h}: {part}",
        x=part.removesuffix("s"),
        value_range=RANGES[h] if part == "activations" else None,
        caption=f"The {part} of every layer, a row for each rule. {note}",
        file=f"{h.lower()}_{part}",
      )
      for h, part, note in PICTURES
    ],
  )


experiment = ln.Experiment(Config, run)
