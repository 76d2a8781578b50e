"""What the command line refuses, and what it shows."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from research.cli import common_flags, grammar, runner
from research.config import digest, flatten, pytree_config, replace, static
from research.lab import registry, run_folder
from tests.fixtures import tiny_experiment
from tests.fixtures.processes import ROOT, environment
from tests.fixtures.tiny_experiment import refused

BAD_INPUT = {
  "--width=abc": ["--width=abc", "'abc' is not a number", "a whole number of at least 1"],
  "--width=2.5": ["--width=2.5", "not a whole number", "at least 1"],
  "--width=0": ["--width=0", "too small", "at least 1"],
  "--width=-3": ["--width=-3", "too small", "at least 1"],
  "--learning_rate=nan": ["--learning_rate=nan", "not finite", "at least 0"],
  "--learning_rate=inf": ["--learning_rate=inf", "not finite", "at least 0"],
  "--learning_rate=-1": ["--learning_rate=-1", "too small", "at least 0"],
  "--learning_rate=quick": ["--learning_rate=quick", "not a number", "at least 0"],
  "--noise=1.5": ["--noise=1.5", "too large", "at most 1"],
  "--kind=other": ["--kind=other", "plain, fancy"],
  "--seed=abc": ["--seed=abc", "is not a number"],
  "--seed=1.5": ["--seed=1.5", "not a whole number"],
  "--seed=-1": ["--seed=-1", "from 0 to 4294967295"],
  "--seed=99999999999999999999": ["--seed=99999999999999999999", "4294967295"],
  "--seed": ["--seed", "Missing value"],
  "--save_seconds=nan": ["--save_seconds=nan", "from 0 to"],
  "--save_seconds=inf": ["--save_seconds=inf", "from 0 to"],
  "--save_seconds=-1": ["--save_seconds=-1", "from 0 to"],
  "--save_seconds=soon": ["--save_seconds=soon", "not a number"],
  "--dispatch=-1": ["--dispatch=-1", "from 0 to"],
  "--seed=１２": ["--seed=１２", "is not a number"],
  "--seed=1_000": ["--seed=1_000", "is not a number"],
  "--width=１２": ["--width=１２", "is not a number"],
  "--learning_rate=1_0": ["--learning_rate=1_0", "is not a number"],
  "--learning_rate=1e39": ["--learning_rate=1e39", "is beyond"],
  "--width=9223372036854775808": ["--width=9223372036854775808", "is beyond 2147483647"],
  f"--width={'9' * 5000}": ["--width=99999", "is too large"],
  "--lanes=²": ["--lanes=²", "whole number of at least 1"],
  "--nofresh=1": ["--nofresh", "does not take an argument"],
  "--workdir=~nosuchuser/x": ["--workdir=~nosuchuser/x", "no such home"],
  "--fork=~nosuchuser/x": ["--fork=~nosuchuser/x", "no such home"],
  "--data_dir=~nosuchuser/x": ["--data_dir=~nosuchuser/x", "no such home"],
  "--workdir=run/\udcff\udcfe": ["run/\\udcff\\udcfe", "not UTF-8"],
  "--kind=\udcff": ["\\udcff", "not UTF-8"],
  "--workdir=run/\0": ["--workdir=", "is not a path"],
  "--flagfile=latin.txt": ["--flagfile", "UTF-8"],
  "--seeds=5": ["--seeds", "--sweep=", "--verify"],
  "--trials=5": ["--trials", "--sweep="],
  "--objective=test/accuracy": ["--objective", "--sweep="],
  "--lanes=2": ["--lanes", "tiny_net", "--sweep="],
  "--engine=ray": ["--engine", "tiny_net", "--sweep="],
  "--single_fit": ["--single_fit", "tiny_net has no single fit"],
  "--single_fit --gradcheck": ["--gradcheck", "--single_fit"],
  "--workers=2": ["--workers", "--engine=ray or slurm"],
  "--slurm=x": ["--slurm", "--engine=slurm"],
  "--evaluate --dispatch=2": ["--dispatch", "--evaluate"],
  "--gradcheck --parallel=shard": ["--parallel", "--gradcheck"],
  "--parallel=magic": ["--parallel=magic", "jit|shard|pmap"],
  "--on_nan=pray": ["--on_nan=pray", "stop|continue"],
  "--fresh=maybe": ["--fresh=maybe", "neither true nor false"],
  "--learning_rat=1": ["'--learning_rat'", "did you mean --learning_rate"],
  "--sed=1": ["'--sed'", "--seed", "--help shows"],
  "--zzzzzz=1": ["'--zzzzzz'", "--help shows them all"],
  "stray": ["'stray'", "--name=value"],
  "--data_dir=nowhere": ["--data_dir=nowhere", "not a folder"],
  "--flagfile=nowhere": ["--flagfile=nowhere", "No such file"],
  "--fork=nowhere": ["--fork=nowhere", "no run"],
  "--workdir=nowhere --evaluate": ["--workdir=nowhere", "no run"],
  "--evaluate --fresh": ["--fresh", "--evaluate"],
  "--verify --workdir=x": ["--workdir", "--verify"],
  "--verify --width=3": ["'--width'", "default settings"],
}


@pytest.mark.parametrize("flag", BAD_INPUT)
def test_bad_input_is_one_line_with_name_value_and_what_is_allowed(cli, monkeypatch, flag):
  tiny_experiment.change_net(monkeypatch, training=None)  # nothing may come so far
  Path("latin.txt").write_bytes(b"--width=\xe9")
  line = refused(cli, *flag.split())
  assert [words for words in BAD_INPUT[flag] if words not in line] == [], line


@pytest.mark.parametrize(
  ("name", "words"),
  [
    ("simple_convet", ["'simple_convet'", "did you mean simple_convnet", "--list"]),
    ("zzzzzzzz", ["'zzzzzzzz'", "--list shows them all"]),
    ("transformer", ["'transformer'", "about it: translation, reversal", "--list=transformer"]),
    ("", ["''", "--list"]),
    ("convolution", ["family", "simple_convnet", "--verify"]),
    ("all", ["simple_convnet", "--verify"]),
  ],
)
def test_an_unknown_experiment_or_a_family_is_refused_with_names(cli, name, words):
  line = refused(cli, experiment=name)
  assert [word for word in words if word not in line] == [], line


def test_a_verb_in_front_says_what_its_flag_says(cli):
  assert cli("list", experiment=None) == cli("--list", experiment=None)
  assert cli("run", "--experiment=tiny_net", "--steps=5", experiment=None)[0] == 0
  finished = cli("--steps=5")
  assert "finished already" in finished[1]
  evaluated = cli("evaluate", "--experiment=tiny_net", "--steps=5", experiment=None)
  assert evaluated == cli("--evaluate", "--steps=5") and "accuracy" in evaluated[1]
  assert "did you mean list" in refused(cli, "lst", experiment=None)
  assert "--sweep='FIELD=" in refused(cli, "sweep", "--trials=3", experiment=None)


def test_a_value_may_follow_its_flag_after_a_space(cli):
  command = ("--steps", "5", "--experiment", "tiny_net", "--seed", "3", "--workdir", "run")
  assert cli(*command, experiment=None)[0] == 0
  found = run_folder.read_identity(Path("run"))
  assert (found.config["steps"], found.seed) == (5, 3)


def test_a_flagfile_is_read_and_a_bad_flag_in_it_refused(cli):
  Path("good.flags").write_text("--experiment=tiny_net\n--steps=5\n# a comment\n--workdir=run\n")
  assert cli("--flagfile=good.flags", experiment=None)[0] == 0
  assert run_folder.read_identity(Path("run")).config["steps"] == 5
  Path("bad.flags").write_text("--experiment=tiny_net\n--steps=0\n")
  assert "--steps=0" in refused(cli, "--flagfile=bad.flags", experiment=None)
  Path("worse.flags").write_text("--experiment=tiny_net\n--stepz=5\n")
  assert "did you mean --steps" in refused(cli, "--flagfile=worse.flags", experiment=None)


def test_a_workdir_that_cannot_hold_the_run_is_refused(cli, monkeypatch):
  Path("file").write_text("mine")
  Path("foreign").mkdir()
  Path("foreign/thesis.tex").write_text("mine")
  Path("hidden").mkdir()
  Path("hidden/.bashrc").write_text("mine")
  for folder, words in {
    "file": "is a file",
    "file/run": "lies under one",
    "foreign": "holds other files",
    "hidden": "holds other files",
  }.items():
    for others in ((), ("--fresh",)):
      line = refused(cli, f"--workdir={folder}", *others)
      assert f"--workdir={folder} " in line and words in line, line

  def forbidden(*arguments, **options):
    raise PermissionError(errno.EACCES, "Permission denied")

  def read_only(*arguments, **options):
    raise OSError(errno.EROFS, "Read-only file system")

  with monkeypatch.context() as patch:
    patch.setattr(Path, "iterdir", forbidden)
    patch.setattr("tests.fixtures.tiny_experiment.everything_under", lambda folder: {})
    assert "--workdir=new cannot be read: Permission denied" in refused(cli, "--workdir=new")
  with monkeypatch.context() as patch:
    patch.setattr(Path, "mkdir", read_only)
    assert "--workdir=new cannot be written: Read-only" in refused(cli, "--workdir=new")


def test_ctrl_c_while_data_are_loaded_leaves_before_the_first_chunk(cli, monkeypatch):
  def slow_training(config, seed):
    os.kill(os.getpid(), signal.SIGINT)
    return tiny_experiment.training(config)

  tiny_experiment.change_net(monkeypatch, training=slow_training)
  code, _, err = cli("--workdir=run")
  assert code == 130 and "same command" in err
  monkeypatch.undo()


def test_settings_beside_evaluate_must_be_those_of_the_run(cli):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  line = refused(cli, "--workdir=run", "--evaluate", "--steps=5", "--width=7", "--seed=2")
  assert "(width: there 5, here 7, seed: there 0, here 2)" in line
  assert cli("--workdir=run", "--evaluate", "--steps=5", "--seed=0")[0] == 0


@pytest.mark.parametrize("name", ["seeds", "trials", "flagfile", "list"])
def test_a_field_with_the_name_of_a_flag_is_refused(cli, monkeypatch, tmp_path, name):
  taken = pytree_config(
    type("Config", (), {"__annotations__": {name: int}, name: static(1, "mine")})
  )
  net = tiny_experiment.ONE._replace(Config=taken)
  tiny_experiment.install(monkeypatch, tmp_path, tiny_net=net)
  assert f"field '{name}' has the name of a flag" in refused(cli)


def test_a_file_without_an_experiment_is_named(cli, monkeypatch, tmp_path):
  tiny_experiment.install(monkeypatch, tmp_path, tiny_net=None)
  assert "tiny_net.py holds no experiment; end it with" in refused(cli)


def test_help_shows_the_flags_of_the_experiment(cli):
  code, out, err = cli("--help")
  assert (code, err) == (0, "")
  for words in ("A tiny net.", "--width", "a whole number of at least 1", "default: '5'", "--seed"):
    assert words in out, words
  code, out, _ = cli("--help", experiment=None)
  assert code == 0 and "--experiment" in out and "--width" not in out
  assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("verb", grammar.VERBS)
def test_the_help_of_a_verb_shows_its_own_flags_first(cli, verb):
  code, out, err = cli(verb, "--help", experiment=None)
  if verb == "list":
    assert code == 0 and "tiny_net" in out
    return
  assert (code, err) == (0, "") and grammar.VERBS[verb].help in out
  shown = re.findall(r"^  --(?:\[no\])?(\w+):", out, re.MULTILINE)
  own = grammar.VERBS[verb].flags
  assert tuple(shown[: len(own)]) == own
  assert len(shown) == len(set(shown))
  if verb in grammar.WITH_OWN_FLAGS:
    assert {*shown} == {*own}
    return
  of_verb = {"study": {"change", "metric", "fit"}, "plan": {"on", "json"}}.get(verb, set())
  assert {*shown, *grammar.VERBS} == {*common_flags.define(), *grammar.WITHOUT_FLAG, *of_verb}


def test_words_choose_from_the_list(cli):
  code, out, _ = cli("--list=contrastive divergence", experiment=None)
  assert code == 0 and "rbm_features" in out and "gates" not in out
  assert cli("list", "contrastive", "divergence", experiment=None) == (code, out, "")
  assert "no experiment is about 'zzz'" in refused(cli, "--list=zzz", experiment=None)
  assert cli("--list=", experiment=None) == cli("--list", experiment=None)


def test_list_takes_less_than_a_second_and_imports_no_jax():
  program = (
    "import sys; sys.argv = ['launch.py', '--list']; import launch; code = launch.main(sys.argv);"
    "print([n for n in ('jax', 'numpy', 'flax', 'orbax', 'matplotlib') if n in sys.modules], code)"
  )
  before = time.monotonic()
  done = subprocess.run(
    [sys.executable, "-c", program],
    check=False,
    capture_output=True,
    text=True,
    cwd=ROOT,
    env=environment(),
  )
  assert done.stdout.splitlines()[-1] == "[] 0", done.stderr
  assert "simple_convnet" in done.stdout
  assert time.monotonic() - before < 3  # 0.15 s on a quiet machine


@pytest.mark.parametrize(
  ("arguments", "code"), [(("--help", "--experiment=digits_convnet"), 0), (("--epochs=0",), 2)]
)
def test_help_and_refusals_cost_a_few_seconds(tmp_path, arguments, code):
  used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
  before = used()
  done = subprocess.run(
    [sys.executable, ROOT / "launch.py", *arguments],
    check=False,
    capture_output=True,
    text=True,
    cwd=tmp_path,
    env=environment(),
  )
  assert done.returncode == code, done.stderr
  assert used() - before < 6  # of the processors' time, which other processes do not lengthen
  assert list(tmp_path.iterdir()) == []


def test_verify_measures_every_seed_and_writes_the_results(cli, monkeypatch, tmp_path):
  monkeypatch.setattr("research.cli.main.RESULTS", tmp_path / "RESULTS.md")
  code, out, _ = cli("--verify", "--seeds=2", "--seed=4")
  assert code == 0 and "RESULTS.md: 1 claims, all hold" in out
  assert "| C06 | test accuracy |" in (tmp_path / "RESULTS.md").read_text()
  (page,) = (tmp_path / "docs" / "gallery").glob("*.md")
  (picture,) = re.findall(r"!\[.*\]\((.*)\)", page.read_text())
  assert (page.parent / picture).read_bytes().startswith(b"\x89PNG")
  runs = sorted(Path("runs/tiny_net").iterdir())
  assert [run_folder.read_identity(run).seed for run in runs] in ([4, 5], [5, 4])
  code, out, _ = cli("--verify", "--seeds=2", "--seed=4")
  assert code == 0 and out.count("finished already") == 2

  failing = lambda config, fit: tiny_experiment.Report(
    [tiny_experiment.Claim("C06", "test accuracy", "1", 0.0, tiny_experiment.at_least(1))]
  )
  tiny_experiment.change_net(monkeypatch, report=failing)
  code, out, _ = cli("--verify", "--seeds=2", "--seed=4", "--fresh")
  assert code == 1 and "failed: C06" in out
  assert "| fail |" in (tmp_path / "RESULTS.md").read_text()


def test_the_default_folder_is_the_same_for_the_same_flags_only(cli):
  assert cli("--steps=5")[0] == cli("--steps=5", "--seed=1")[0] == 0
  assert len(list(Path("runs/tiny_net").iterdir())) == 2
  assert "finished already" in cli("--steps=5", "--dispatch=1", "--save_seconds=0")[1]
  assert runner.default_folder(run_folder.Identity("a", 0, {})) != runner.default_folder(
    run_folder.Identity("a", 1, {})
  )


def test_an_experiment_declares_the_flags_that_its_run_makes_use_of():
  for name, entry in registry.catalogue().items():
    source = (registry.ROOT / entry.family / f"{name}.py").read_text("utf-8")
    searches, compares = "lab.sweep(" in source, "lab.compare(" in source
    used = ["lanes"] * (searches or compares) + ["engine"] * searches
    assert list(registry.load(entry).takes) == used, name


def test_the_settings_that_verification_measures_are_settings_of_the_experiment():
  for name, entry in registry.catalogue().items():
    experiment = registry.load(entry)
    measured = [flatten(replace(experiment.Config(), each)) for each in experiment.verified]
    assert len({digest(each) for each in measured}) == len(measured) > 0, name
