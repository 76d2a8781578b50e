"""The examples of the reference, run as doctests."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from lineage_site import gathering

SLOW = ("agents", "compiling", "figures", "layers")  # pages whose examples draw or compile
EXAMPLES = {name: example for _, name, example in gathering.reference() if example}
NAMES = [
  pytest.param(name, marks=pytest.mark.slow if page in SLOW else ())
  for page, name, example in gathering.reference()
  if example
]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_what_it_shows(name):
  known = {"jax": jax, "jnp": jnp, "np": np, "ln": ln}
  test = doctest.DocTestParser().get_doctest(f"{EXAMPLES[name]}\n", known, name, None, 0)
  said = []
  runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
  assert runner.run(test, out=said.append).failed == 0, "".join(said)
