"""The examples of the reference, run as doctests."""

import doctest
import shlex

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import launch
import research as ln
from lineage_site import gathering
from lineage_site.experiment_pages import commands

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


@pytest.mark.slow
@pytest.mark.parametrize("name", gathering.gathered().experiments)
def test_what_a_page_says_to_try_is_understood(name, capsys):
  for _, command in commands(gathering.gathered().experiments[name]):
    _, cli, *arguments = shlex.split(command)
    assert launch.main([cli, *arguments, "--help"]) == 0, capsys.readouterr().err
