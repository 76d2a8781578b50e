"""The command line's one grammar: an optional verb, then flags; and the help for each verb."""

from collections.abc import Iterable
from typing import NamedTuple

from absl import flags

from research.errors import UserError, unknown_name

RUN = (
  "experiment",
  "seed",
  "validation",
  "metrics",
  "patience",
  "single_fit",
  "workdir",
  "fresh",
  "fork",
  "init_from",
  "at_step",
  "data_dir",
)
HOW = (
  "parallel",
  "on_nan",
  "save_seconds",
  "keep_every",
  "data_on",
  "dispatch",
  "lanes",
  "engine",
  "workers",
  "slurm",
)
SEARCH = (
  "sweep",
  "trials",
  "sampler",
  "stopper",
  "rounds",
  "objective",
  "seeds",
  "lanes",
  "direction",
)
GROUPS = {"The run": RUN, "Execution": HOW, "Sweeps": SEARCH}
OF_EXPERIMENT = "the experiment"  # under which absl keeps the flags of a config


class Verb(NamedTuple):
  """Something that the program can be asked to do.

  Attributes:
    usage: an example.
    help: what it does, in a line.
    flags: those that it is mostly used with; its help shows them first.
  """

  usage: str
  help: str
  flags: tuple[str, ...]


VERBS = {
  "run": Verb("[run] --experiment=NAME", "runs one; the same command again resumes it", RUN),
  "sweep": Verb(
    "sweep --experiment=NAME --sweep='FIELD=log(1e-4,1e-1)' --trials=20",
    "searches through settings, and trains the winner alone",
    (*SEARCH, "validation", "metrics", "engine", "workers", "slurm"),
  ),
  "list": Verb("list [WORDS]", "shows all experiments, or those that are about some words", ()),
  "help": Verb("help --experiment=NAME", "shows what an experiment is, and its flags", ()),
  "evaluate": Verb(
    "evaluate --experiment=NAME",
    "measures the best checkpoint of a run, finished or not",
    ("experiment", "seed", "workdir", "at_step", "data_dir"),
  ),
  "verify": Verb(
    "verify --experiment=NAME|FAMILY|all",
    "measures the claims over seeds, and updates RESULTS.md",
    ("experiment", "seed", "seeds", "fresh"),
  ),
  "gradcheck": Verb(
    "gradcheck --experiment=NAME",
    "compares the gradient that is followed with differences of the loss",
    ("experiment", "seed"),
  ),
  "predict": Verb(
    "predict --workdir=RUN FILE...",
    "classifies images, folders of them, CSV rows, or - (stdin) with a run's best checkpoint",
    ("workdir", "at_step", "json", "data_dir"),
  ),
  "diagnose": Verb(
    "diagnose RUN --human_error=0.02",
    "writes a page on what to work on next: gaps, errors to tag, suspected labels, worse slices",
    ("workdir", "human_error", "tags", "learning_curve", "at_step", "data_dir"),
  ),
  "export": Verb(
    "export --workdir=RUN --format=stablehlo --to=FOLDER",
    "writes a run's network for others, with a model card and a check that was run",
    ("workdir", "at_step", "format", "to", "data_dir"),
  ),
  "convert": Verb(
    "convert --dataset=NAME --to=FOLDER",
    "writes a data set as files that are mapped into memory; interrupted, it goes on",
    ("dataset", "to", "data_dir"),
  ),
  "new": Verb("new NAME", "writes a small experiment to NAME.py, to start your own from", ()),
  "runs": Verb(
    "runs --folder=runs",
    "lists the runs under a folder: when, how long, state, settings, best metric",
    ("folder", "experiment", "state", "where", "sort", "metric", "json"),
  ),
  "compare": Verb(
    "compare RUN RUN ... --page=comparison.html",
    "writes a page: what differs between runs, their curves over each other, their claims",
    ("page",),
  ),
  "study": Verb(
    "study --experiment=NAME --change='FIELD=VALUE' --seeds=5",
    "runs a baseline and a change at paired seeds: mean difference, 95 % interval, test",
    ("experiment", "change", "seeds", "seed", "metric", "fit", "validation", "workdir"),
  ),
  "plan": Verb(
    "plan --experiment=NAME --on=tpu:v5e:2x2",
    "compiles a step for a machine that is not here: memory, whether it fits, collectives, time",
    ("on", "experiment", "parallel", "json", "seed", "data_dir"),
  ),
  "live": Verb(
    "live --folder=runs",
    "serves a page on this machine: curves, time left, trials and figures while runs go on",
    ("folder", "port"),
  ),
  "clean": Verb(
    "clean --folder=runs --older=30",
    "frees the checkpoints of runs that finished long ago; shows which, and asks",
    ("folder", "experiment", "where", "older", "keep", "yes"),
  ),
}
WITH_OWN_FLAGS = (
  "runs",
  "compare",
  "live",
  "clean",
  "predict",
  "diagnose",
  "export",
  "convert",
  "new",
)  # and no others
WITHOUT_FLAG = ("run", "sweep", "study", "plan", *WITH_OWN_FLAGS)  # the others are flags too


def verb_of(argv: list[str]) -> str:
  """The verb of a command line; "run" where none stands first.

  Raises:
    UserError: for an unknown verb.
  """
  if len(argv) < 2 or argv[1].startswith("-"):
    return "run"
  if argv[1] not in VERBS:
    raise UserError(
      unknown_name(argv[1], VERBS, "verb") + " (flags are written --name=value, and after the verb)"
    )
  return argv[1]


def in_flags(argv: list[str]) -> list[str]:
  """The command line with its verb, if one stands first, as a flag.

  Raises:
    UserError: for an unknown verb, or `sweep` without a space to search.
  """
  argv = ["--help" if word == "-h" else word for word in argv]
  verb, has_verb = verb_of(argv), len(argv) > 1 and not argv[1].startswith("-")
  rest = argv[2:] if has_verb else argv[1:]
  is_asked = any(word in ("--help", "-help", "--nohelp") for word in rest)
  is_given = any(word.lstrip("-").startswith("sweep") for word in rest)
  if verb == "sweep" and not (is_given or is_asked):
    raise UserError("sweep needs a space to search, as in --sweep='FIELD=log(1e-4,1e-1)'")
  is_flag = has_verb and verb not in WITHOUT_FLAG
  if verb == "list" and has_verb:
    words = [word for word in rest if not word.startswith("-")]
    given = [word for word in rest if word not in words]
    return [argv[0], f"--list={' '.join(words)}" if words else "--list", *given]
  return [argv[0], *([f"--{verb}"] if is_flag else []), *rest]


def overview() -> str:
  """All verbs with an example each."""
  lines = [(f"  python launch.py {verb.usage}", verb.help) for verb in VERBS.values()]
  return "\n".join(
    [
      "Runs the classic systems of deep learning. Without any word: the quick start.",
      "",
      *(f"{usage}\n      {help}" for usage, help in lines),
      "",
      "list, evaluate, verify and gradcheck are flags too (--list, --verify, ...). `VERB --help`",
      "shows the flags of a verb. After `pip install .`, `lineage` stands for",
      "`python launch.py`.",
    ]
  )


def help_text(values: flags.FlagValues, verb: str, about: str = "") -> str:
  """The help for a verb: its own flags, those of the experiment if one is named, and the others.

  Args:
    values: all flags, with their defaults.
    verb: one of `VERBS`.
    about: what stands above, such as an experiment's docstring.
  """
  of_experiment = [flag.name for flag in values.flags_by_module_dict().get(OF_EXPERIMENT, ())]
  own = VERBS[verb].flags if verb != "run" else ()
  groups = {f"Flags of {verb}": own, "Flags of the experiment": of_experiment}
  groups |= {} if verb in WITH_OWN_FLAGS else GROUPS
  head = about or (overview() if verb in ("run", "help", "list") else _usage(verb))
  shown: set[str] = set()
  parts = [head]
  for title, names in groups.items():
    left = [name for name in names if name not in shown]
    shown.update(left)
    if left:
      parts.append(f"{title}:\n" + "\n".join(_flag_lines(values, left)))
  return "\n\n".join(parts)


def _usage(verb: str) -> str:
  return f"python launch.py {VERBS[verb].usage}\n\n{verb}: {VERBS[verb].help}."


def _flag_lines(values: flags.FlagValues, names: Iterable[str]) -> list[str]:
  lines = []
  for name in names:
    flag = values[name]
    text = f"--{'[no]' if flag.boolean else ''}{name}: {flag.help}"
    default = "" if flag.default in (None, "") else f" (default: {flag.default_as_str})"
    lines.append(flags.text_wrap(text + default, 96, indent="      ", firstline_indent="  "))
  return lines
