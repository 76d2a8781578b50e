"""The verb `plan`: what an experiment needs of machines that are not here."""

import itertools
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from research.cli import common_flags, grammar, refusals
from research.data.sources import own_files_in
from research.errors import UserError
from research.free_memory import in_words
from research.lab import process, registry
from research.reporting.text_table import text_lines

if TYPE_CHECKING:  # they import JAX, which is set up here first
  from research.lab.experiment import Experiment
  from research.planning.device_plan import Plan

SHOWN = 160  # characters of what the compiler says
LISTED = ("--on", "--parallel", "--batch_size")  # flags that take lists here


class Asked(NamedTuple):
  """One plan that is to be made.

  Attributes:
    experiment: that is planned.
    config: its settings.
    on: the machine.
    parallel: the form that is asked for; None for the machine's own.
    seed: of the experiment's data.
  """

  experiment: "Experiment"
  config: Any
  on: str
  parallel: str | None
  seed: int


def call(argv: Sequence[str], *, owns_process: bool) -> int:
  """Does what a command line asks for; returns the exit code.

  Args:
    argv: the program's name and what stands behind the verb.
    owns_process: whether the process may be set up for JAX.

  Raises:
    UserError: for bad input, before anything is compiled, or where the only plan cannot be made.
  """
  argvs = variants(argv)
  values = common_flags.define()
  define(values)
  common_flags.parse(values, argvs[0], known_only=True)
  entries = registry.select(values.experiment)
  if values.help and (len(entries) > 1 or not values["experiment"].present):
    print(grammar.help_text(values, "plan"))
    return 0
  if owns_process and not values.help:
    os.environ["JAX_PLATFORMS"] = "cpu"  # nothing runs on this machine's accelerators
    process.prepare_jax(collectives=False)
  if values.help:
    from research.cli import config_flags

    config_flags.define(registry.load(entries[0]).Config(), values, entries[0].path)
    print(grammar.help_text(values, "plan", entries[0].docstring))
    return 0
  with own_files_in(common_flags.data_dir(values)):
    return plan(entries, argvs, as_json=values.json)


def define(values: flags.FlagValues) -> None:
  """Defines the flags that only this verb has."""
  machine = (
    "the machine: tpu:v5e:2x2 (chip, slice), tpu:v5e:1, gpu:h100:8; or several with commas; its "
    "devices share a step as by --parallel=shard, unless another form is given"
  )
  flags.DEFINE_string("on", None, machine, flag_values=values)
  flags.DEFINE_bool("json", False, "one JSON value a line, for programs", flag_values=values)


def variants(argv: Sequence[str]) -> list[list[str]]:
  """The command lines that one with lists stands for.

  Several machines, forms and batch sizes are written with commas: --on=tpu:v5e:2x2,gpu:h100:8,
  --parallel=shard,pmap, --batch_size=64,128.
  """
  choices = []
  for word in argv:
    name, _, listed = word.partition("=")
    takes_lists = name in LISTED or (name.startswith("--") and name.endswith(".batch_size"))
    several = takes_lists and "," in listed
    choices.append([f"{name}={each}" for each in listed.split(",")] if several else [word])
  return [list(each) for each in itertools.product(*choices)]


def plan(
  entries: Sequence[registry.Entry], argvs: Sequence[list[str]], *, as_json: bool = False
) -> int:
  """Plans every experiment for every command line; returns the exit code.

  One plan is shown in full, several as a table, in which those that cannot be made have one too.
  Of a family, or of all, those are planned that have a single fit: what others fit, if anything,
  is known only by running them up to there.

  Raises:
    UserError: for bad input, before anything is compiled, or where the only plan cannot be made.
  """
  is_alone = len(entries) * len(argvs) == 1
  if len(entries) > 1:
    entries = [entry for entry in entries if registry.load(entry).training]
  asked = [_asked(entry, argv) for entry in entries for argv in argvs]
  rows: list[dict[str, Any]] = []
  for number, each in enumerate(asked, 1):
    print(f"plan {number} of {len(asked)}: {each.experiment.name} on {each.on}", file=sys.stderr)
    try:
      rows.append(_made(each))
    except UserError as error:
      if is_alone:
        raise
      rows.append(_row(each, {"problem": str(error)}))
    if as_json:
      print(json.dumps(rows[-1]), flush=True)
  if not as_json:
    print("\n".join(_details(rows[0]) if is_alone else _table(rows)))
  return 0


def _asked(entry: registry.Entry, argv: list[str]) -> Asked:
  """Reads one command line.

  Raises:
    UserError: for a flag or a machine that there is none of.
  """
  from research.cli import config_flags
  from research.planning import machines

  experiment = registry.load(entry)
  values = common_flags.define()
  define(values)
  config_flags.define(experiment.Config(), values, entry.path)
  common_flags.parse(values, argv)
  refusals.refuse_contradictions(values)
  if values.on is None:
    raise UserError("plan needs a machine, as in --on=tpu:v5e:2x2 or --on=gpu:h100:8")
  machines.machine(values.on)
  parallel = values.parallel if values["parallel"].present else None
  return Asked(
    experiment, config_flags.read(experiment.Config(), values), values.on, parallel, values.seed
  )


def _made(asked: Asked) -> dict[str, Any]:
  from research.cli.first_fit import first_training
  from research.planning import device_plan, machines
  from research.target_platform import compiling_for

  with compiling_for(machines.parse(asked.on)[0]):
    config, training = first_training(asked.experiment, asked.config, asked.seed, "plan")
  return _row(asked, as_dictionary(device_plan.plan(config, training, asked.on, asked.parallel)))


def _row(asked: Asked, found: Mapping[str, Any]) -> dict[str, Any]:
  return {"experiment": asked.experiment.name, "on": asked.on, **found}


def as_dictionary(plan: "Plan") -> dict[str, Any]:
  """A plan as numbers and texts; sizes are in bytes."""
  programs = {
    name: {
      **program._asdict(),
      "total": program.total,
      "collectives": {kind: each._asdict() for kind, each in program.collectives.items()},
    }
    for name, program in plan.programs.items()
  }
  return {
    "parallel": plan.parallel,
    "devices": plan.devices,
    "batch_size": plan.batch_size,
    "steps_per_call": plan.steps_per_call,
    "memory": plan.chip.memory,
    "peak_flops": plan.chip.flops,
    "bandwidth": plan.chip.bandwidth,
    "source": plan.chip.source,
    "needed": plan.needed,
    "fits": plan.fits,
    "share_of_peak": plan.share_of_peak,
    "programs": programs,
    "problem": plan.problem,
  }


def _details(row: Mapping[str, Any]) -> list[str]:
  """One plan in full."""
  programs = row["programs"]
  line = lambda label, show: [label, *(show(program) for program in programs.values())]
  size = lambda name: lambda program: in_words(program[name])
  lines = [
    ["of each device", *programs],
    line("arguments", size("arguments")),
    line("outputs", size("outputs")),
    line("of them in place", size("reused")),
    line("temporaries", size("temporaries")),
    line("other data", size("resident")),
    line("together", size("total")),
    line("operations", lambda program: f"{program['operations']:.3g}"),
    line("collectives", lambda program: _collectives(program["collectives"])),
    line("estimate", lambda program: _seconds(program["estimate"])),
    line("compiled in", lambda program: f"{program['compile_seconds']:.1f} s"),
  ]
  share = row["share_of_peak"]
  return [
    f"{row['experiment']} on {row['on']}, --parallel={row['parallel']}: {row['devices']} "
    f"device{'s' * (row['devices'] > 1)} of {in_words(row['memory'])}, a batch of "
    f"{row['batch_size']} over all, {row['steps_per_call']} steps a call",
    "",
    *text_lines(lines),
    "",
    *([f"the step computes at {share:.1%} of the peak, by the estimate"] if share else []),
    _verdict(row),
  ]


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  """Several plans, a line each: what the step needs, and whether all programs fit."""
  head = ["experiment", "on", "parallel", "batch", "arguments", "temporaries", "needed"]
  lines = [[*head, "fits", "operations", "collectives", "estimate", "compiled in", ""]]
  for row in rows:
    begin = [row["experiment"], row["on"]]
    step = row.get("programs", {}).get("step")
    if step is None:
      lines.append([*begin, row.get("parallel", ""), *[""] * 9, row["problem"][:SHOWN]])
      continue
    seconds = sum(program["compile_seconds"] for program in row["programs"].values())
    lines.append(
      [
        *begin,
        row["parallel"],
        str(row["batch_size"]),
        in_words(step["arguments"]),
        in_words(step["temporaries"]),
        in_words(row["needed"]),
        "yes" if row["fits"] else "no",
        f"{step['operations']:.3g}",
        _collectives(step["collectives"]),
        _seconds(step["estimate"]),
        f"{seconds:.0f} s",
        row["problem"][:SHOWN],
      ]
    )
  return text_lines(lines)


def _verdict(row: Mapping[str, Any]) -> str:
  if row["problem"]:
    return f"it does not fit: {row['problem'][:SHOWN]}"
  room = f"{in_words(row['needed'])} of {in_words(row['memory'])}"
  return f"it fits: {room}" if row["fits"] else f"it does not fit: {room}"


def _collectives(found: Mapping[str, Mapping[str, int]]) -> str:
  each = (f"{each['number']} {kind} ({in_words(each['bytes'])})" for kind, each in found.items())
  return ", ".join(each) or "none"


def _seconds(estimate: float | None) -> str:
  return "no estimate" if estimate is None else f"{1000 * estimate:.3g} ms"
