import functools

import pytest

import launch
from experiments.backprop import two_layer_net as net
from research.cli.first_fit import first_training
from research.lab import registry
from research.lab.experiment import Experiment
from tests.fixtures.little_data import replace_sets
from tests.fixtures.processes import TINY_CONVNET, TINY_TWO_LAYER


def test_the_gradient_of_a_convolutional_experiment_is_right(capsys):
  assert launch.main(["launch.py", *TINY_CONVNET, "--gradcheck"]) == 0
  assert "Conv_0/kernel" in capsys.readouterr().out


def test_a_mistake_in_the_first_fit_of_several_is_found_and_named(capsys, monkeypatch):
  arguments = ["launch.py", *TINY_TWO_LAYER, "--gradcheck"]
  assert launch.main(arguments) == 0
  right = net.ACTIVATIONS["sigmoid"]
  wrong = right._replace(slope=lambda h: 1.1 * right.slope(h))
  step = functools.partial(net.step, wrong)
  monkeypatch.setitem(net.LEARNERS, "sigmoid", net.LEARNERS["sigmoid"]._replace(step=step))
  assert launch.main(arguments) == 1
  out = capsys.readouterr().out
  assert "worst: W1" in out or "worst: b1" in out


def test_an_experiment_that_fits_nothing_is_refused(capsys):
  assert launch.main(["launch.py", "--experiment=gates", "--gradcheck"]) == 2
  assert "fits nothing" in capsys.readouterr().err


def test_a_gradient_is_checked_uncut(capsys):
  arguments = ["launch.py", "--experiment=memorisation", "--hidden=3", "--characters=2000"]
  arguments += ["--batch_size=5", "--times=4", "--clip=1e-3", "--gradcheck"]
  assert launch.main(arguments) == 0
  assert "worst" in capsys.readouterr().out


def test_an_experiment_may_keep_a_file_before_its_first_fit():
  def run(config, lab):
    lab.keep("characters.json", "[]")
    return lab.fit("first", config, "its training")

  experiment = Experiment(dict, run)
  found = first_training(experiment, "a config", 0, "--gradcheck")
  assert found == ("a config", "its training")


@pytest.mark.parametrize(
  ("name", "why"),
  [
    ("q_learning", "learns from its own actions"),
    ("dqn_catch", "learns from its own actions"),
    ("rbm_exact", "statistics of samples"),
    ("staleness", "copies of the parameters"),
  ],
)
def test_what_follows_no_gradient_of_a_loss_is_refused_in_one_line(capsys, monkeypatch, name, why):
  replace_sets(monkeypatch)
  assert launch.main(["launch.py", f"--experiment={name}", "--gradcheck"]) == 2
  err = capsys.readouterr().err
  assert why in err and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.catalogue())
def test_every_experiment_is_checked_or_says_why_not(capsys, name):
  code = launch.main(["launch.py", f"--experiment={name}", "--gradcheck"])
  out, err = capsys.readouterr()
  if code == 0:
    assert "worst: " in out and "wrong" not in out
  else:
    assert code == 2 and "--gradcheck: this experiment" in err.splitlines()[-1]
