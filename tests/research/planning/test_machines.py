import importlib.util
import json

import jax.numpy as jnp
import numpy as np
import pytest

import launch
from research.cli import plan_verb
from research.data import sampling
from research.errors import UserError
from research.learner import Learner
from research.metrics import batch_means
from research.planning import device_plan, machines
from research.planning.collectives import Collective, collectives
from research.training import Training

pytestmark = pytest.mark.fast

# Of a v5e's and of an H100's compiled steps, shortened.
TEXT = """
  %all-reduce.7 = (f32[150,20]{1,0:T(8,128)}, f32[]{:T(128)}) all-reduce(%a, %b), channel_id=1
  ROOT %all-gather.2 = bf16[4,8]{1,0} all-gather(%c), dimensions={0}
  %start = (f32[2]{0}, f32[8]{0}) all-gather-start(%d), dimensions={0}
  %done = f32[8]{0} all-gather-done(%start)
  %all-reduce-start.1 = f32[3,5]{1,0} all-reduce-start(%e), to_apply=%add
  %moved = (s8[7]{0}, s8[7]{0}, u32[], u32[]) collective-permute-start(%f)
  %fusion = f32[9]{0} fusion(%all-reduce.7), kind=kLoop, calls=%all-reduce.clone
  %mask = pred[6]{0} all-to-all(%g)
"""


def test_collectives_are_counted_by_kind_with_the_bytes_of_their_results():
  assert collectives(TEXT) == {
    "all-reduce": Collective(2, 4 * (150 * 20 + 1) + 4 * 15),
    "all-gather": Collective(2, 2 * 32 + 4 * 8),
    "collective-permute": Collective(1, 7),
    "all-to-all": Collective(1, 6),
  }


@pytest.mark.parametrize(
  ("name", "why"),
  [
    ("mars", "unknown platform 'mars'; known: tpu, gpu"),
    ("tpu:v9:2x2", "unknown tpu chip 'v9'; known: v5e"),
    ("tpu:v5e", "give a slice, as in tpu:v5e:2x2, or 1"),
    ("tpu:v5e:4", "give a slice"),
    ("gpu:h100:0", "give how many, as in gpu:h100:8"),
    ("gpu:h100:12", "whole hosts of 8"),
  ],
)
def test_a_machine_that_there_is_none_of_is_refused_with_what_is_known(name, why, capsys):
  with pytest.raises(UserError, match=why):
    machines.parse(name)
  assert launch.main(["launch.py", "plan", f"--on={name}"]) == 2
  assert why in capsys.readouterr().err


def test_a_missing_compiler_is_one_line_with_the_command(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  for name, extra in (("tpu:v5e:2x2", "tpu-plan"), ("gpu:h100:8", "gpu-plan")):
    with pytest.raises(UserError, match=rf"pip install -e '\.\[{extra}\]'$"):
      machines.machine(name)


def test_lists_stand_for_every_combination():
  argv = ["launch.py", "--on=tpu:v5e:2x2,gpu:h100:8", "--agent.batch_size=4,8", "--hidden=1,2"]
  assert plan_verb.variants(argv) == [
    ["launch.py", f"--on={on}", f"--agent.batch_size={size}", "--hidden=1,2"]
    for on in ("tpu:v5e:2x2", "gpu:h100:8")
    for size in (4, 8)
  ]
  assert plan_verb.variants(["launch.py", "--on=gpu:h100:8"]) == [["launch.py", "--on=gpu:h100:8"]]


def linear(features):
  """A training of one matrix on eight random examples a step."""

  def step(config, state, batch):
    error = batch["x"] @ state - 1
    state = state - config * batch["x"].T @ error
    return state, {"loss": (error**2).mean()}

  learner = Learner(
    lambda config, key: jnp.zeros((features, 128)),
    step,
    lambda config, state, batch: batch_means({"out": (batch["x"] @ state).sum(axis=1)}, batch),
  )
  data = {"x": np.broadcast_to(np.float32(0), (64, features))}
  return Training(learner, data, sampling.by_epoch(8), 10, {"test": data}, 10, 10)


def test_an_estimate_needs_counts_that_mean_something():
  chip = machines.CHIPS["tpu"]["v5e"]
  costs = {"flops": 197e9, "bytes accessed": 819e9}
  estimate = lambda costs, operations, gathered: device_plan._estimate(
    costs, chip, operations, gathered
  )
  assert estimate(costs, 200e9, 1e9) == 1
  assert estimate({**costs, "flops": 394e12}, 394e12, 0) == 2
  assert estimate(costs, 400e9, 0) is None  # most of the work lies within loops
  assert estimate(costs, 200e9, 819e9 / 20) is None  # most of the bytes are counted twice
  assert estimate(None, 200e9, 0) is None


def test_a_plan_for_a_tpu_and_its_table(monkeypatch, capsys):
  pytest.importorskip("libtpu", reason="the extra tpu-plan is missing")
  found = device_plan.plan(jnp.float32(0.1), linear(256), "tpu:v5e:2x2")
  assert (found.parallel, found.devices, found.batch_size, found.problem) == ("shard", 4, 8, "")
  step, evaluation = found.programs["step"], found.programs["evaluate test"]
  assert found.fits
  assert step.operations == 2 * 2 * 8 * 256 * 128 // 4
  assert step.collectives["all-reduce"].bytes >= 4 * 256 * 128
  assert step.arguments >= 4 * 256 * (128 + 64)
  assert evaluation.arguments >= 4 * 256 * (128 + 64)


def test_what_needs_more_than_a_device_has_does_not_fit():
  chip = machines.CHIPS["tpu"]["v5e"]._replace(memory=100)
  program = device_plan.ProgramPlan(60, 50, 40, 20, 10, 0, {}, None, 1.0)
  plan = lambda **changes: device_plan.Plan(
    "tpu:v5e:1", "jit", 1, 8, chip, 1, {"step": program._replace(**changes)}
  )
  assert (plan().needed, plan().fits) == (100, True)
  assert not plan(resident=11).fits
  assert not plan()._replace(programs={}, problem="no room").fits


@pytest.mark.slow
def test_what_a_compiler_finds_no_room_for_does_not_fit():
  pytest.importorskip("libtpu", reason="the extra tpu-plan is missing")
  found = device_plan.plan(jnp.float32(0.1), linear(2**25), "tpu:v5e:1")
  assert (found.devices, found.parallel, found.fits) == (1, "jit", False)
  assert "RESOURCE_EXHAUSTED" in found.problem


def test_a_plan_for_gpus():
  pytest.importorskip("jax_cuda12_plugin", reason="the extra gpu-plan is missing")
  found = device_plan.plan(jnp.float32(0.1), linear(256), "gpu:h100:2")
  assert (found.devices, found.fits) == (2, True)
  assert found.programs["step"].collectives["all-reduce"].bytes >= 4 * 256 * 128
  assert found.programs["step"].estimate is None


def test_one_that_cannot_be_planned_has_a_line_among_several(monkeypatch, capsys):
  made = lambda asked: {
    "experiment": asked.experiment.name,
    "on": asked.on,
    "parallel": "shard",
    "batch_size": 4,
    "needed": 10,
    "fits": True,
    "programs": {
      "step": {
        "arguments": 1,
        "temporaries": 2,
        "operations": 3,
        "collectives": {},
        "estimate": None,
        "compile_seconds": 0.1,
      }
    },
    "problem": "",
  }

  def refuses(asked):
    if asked.on == "gpu:h100:8":
      raise UserError("no plan")
    return made(asked)

  monkeypatch.setattr(plan_verb, "_made", refuses)
  monkeypatch.setattr(machines, "machine", machines.parse)
  arguments = ["launch.py", "plan", "--experiment=two_layer_net", "--on=tpu:v5e:2x2,gpu:h100:8"]
  assert launch.main(arguments) == 0
  head, first, second = capsys.readouterr().out.splitlines()
  assert head.split()[:4] == ["experiment", "on", "parallel", "batch"]
  assert "no estimate" in first
  assert second.endswith("no plan")
  assert launch.main([*arguments, "--json"]) == 0
  rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
  assert [row["problem"] for row in rows] == ["", "no plan"]
  family = ["launch.py", "plan", "--experiment=regression", "--on=tpu:v5e:2x2"]
  assert launch.main(family) == 0
  planned = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
  assert planned == ["dense_classifier", "dense_regressor", "softmax_regression"]
  assert launch.main(["launch.py", "plan", "--on=gpu:h100:8"]) == 2
  assert capsys.readouterr().err.endswith("launch.py: no plan\n")
