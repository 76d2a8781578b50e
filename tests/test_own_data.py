"""The user's own data from the command line: README's commands, changed files, bad input."""

import re
import shlex
from pathlib import Path

import pytest

import launch
from research.lab import own_data
from tests.fixtures.own_files import image_folder

README = (Path(__file__).parent.parent / "README.md").read_text()
SECTION = re.search(r"## Your own data\n\n```bash\n(.*?)```", README, re.DOTALL)[1]
TINY = ("--experiment=dense_classifier", "--dataset=folder:birds", "--epochs=2", "--workdir=run")


@pytest.fixture
def data(tmp_path, monkeypatch):
  """README's own folder and table, in the working folder."""
  image_folder(tmp_path / "birds", size=(20, 24))
  rows = [f"{i % 3 + 0.1 * (i % 7)},{('red', 'blue')[i % 2]},{'abc'[i % 3]}" for i in range(60)]
  (tmp_path / "flowers.csv").write_text("\n".join(["width,colour,kind", *rows]))
  monkeypatch.chdir(tmp_path)
  return tmp_path


def run(*arguments):
  return launch.main(["launch.py", *arguments])


@pytest.mark.parametrize(
  "command",
  [
    pytest.param(line, marks=[] if "dense_" in line else pytest.mark.slow)
    for line in SECTION.strip().splitlines()
  ],
)
def test_the_commands_of_the_readme(data, command, capsys):
  words = shlex.split(command, comments=True)[2:]
  code = run(*words, "--epochs=1", "--workdir=run")
  assert code == 0, capsys.readouterr().err
  out = capsys.readouterr().out
  assert "chance" in out or "below the training mean's" in out
  assert (data / "run" / "figures").is_dir() and (data / "run" / "data.json").exists()


def test_changed_files_are_named_and_never_found_finished(data, capsys):
  assert run(*TINY) == 0 == run(*TINY)
  assert "is finished already" in capsys.readouterr().out
  (data / "birds" / "apple" / "0.png").unlink()
  assert run(*TINY) == 2
  assert "apple/0.png is gone" in capsys.readouterr().err
  assert run("--evaluate", "--workdir=run") == 2
  assert "apple/0.png is gone" in capsys.readouterr().err
  assert run(*TINY, "--fresh") == 0
  assert "is finished already" not in capsys.readouterr().out
  assert run("--evaluate", "--workdir=run", "--experiment=dense_classifier") == 0
  assert "accuracy" in capsys.readouterr().out


def test_a_file_of_weights_is_part_of_what_a_run_is(tmp_path):
  file = tmp_path / "r18.pth"
  file.write_bytes(b"first")
  first = own_data.identity({"weights": str(file)})
  file.write_bytes(b"second")
  assert first and own_data.identity({"weights": str(file)}) not in ({}, first)
  assert own_data.identity({"weights": ""}) == {}


def test_the_default_folder_is_that_of_the_settings(data, capsys):
  words = TINY[:-1]
  assert run(*words) == 0
  (data / "birds" / "apple" / "0.png").unlink()
  assert run(*words) == 2
  assert "apple/0.png is gone" in capsys.readouterr().err
  assert len(list((data / "runs" / "dense_classifier").iterdir())) == 1


@pytest.mark.parametrize(
  ("flags", "said"),
  [
    (["--dataset=folder:nowhere"], "there is no"),
    (["--dataset=folder:"], "is not among the choices"),
    (["--dataset=csv:flowers.csv@kinds"], "no column 'kinds'"),
    (["--dataset=csv:flowers.csv@width"], "line 3: 1.1 is no class"),
    (["--experiment=simple_convnet", "--dataset=csv:flowers.csv"], "is not among the choices"),
    (
      ["--experiment=simple_convnet", "--dataset=folder:birds@3x3"],
      "the network cannot be made for",
    ),
    (
      ["--experiment=architecture", "--architecture=lenet_1998", "--dataset=folder:birds"],
      "has 3 classes of images (20, 24, 3)",
    ),
  ],
)
def test_bad_input_is_one_line_and_leaves_nothing(data, flags, said, capsys):
  assert run(*TINY, *flags) == 2
  error = capsys.readouterr().err.strip()
  assert said in error and "Traceback" not in error
  assert not (data / "run").exists()


def test_fewer_examples_than_a_batch_are_learned_from(data):
  assert run(*TINY, "--batch_size=1000") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
  "flags",
  [
    ("--experiment=first_signals", "--dataset=csv:flowers.csv", "--hidden=8,8"),
    ("--experiment=degradation", "--dataset=folder:birds", "--depths=8,14", "--epochs=1"),
    (
      *("--experiment=weight_initializers", "--dataset=folder:birds", "--hidden=8,8"),
      *("--steps=20", "--evaluate_every=10", "--batch_size=8"),
    ),
  ],
  ids=lambda flags: flags[0].removeprefix("--experiment="),
)
def test_comparisons_take_own_data_and_claim_nothing(data, flags):
  assert run(*flags, "--repeats=1", "--workdir=run") == 0
  assert (data / "run" / "claims.json").read_text().strip() == "[]"


def test_rows_are_classified_as_they_were_learned(data, capsys):
  words = (*TINY[:1], *TINY[3:], "--dataset=csv:flowers.csv", "--layers=1", "--epochs=20")
  assert run(*words) == 0
  (data / "new.csv").write_text("colour,width\nred,0.1\nblue,2.4\n")
  capsys.readouterr()
  assert run("predict", "--workdir=run", "new.csv") == 0
  lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
  assert [(place, answer) for place, answer, _ in lines] == [
    ("new.csv: line 2", "a"),
    ("new.csv: line 3", "c"),
  ]
  (data / "new.csv").write_text("colour,width\nred,0.1\ngreen,2.4\n")
  assert run("predict", "--workdir=run", "new.csv") == 2
  assert "line 3: colour is 'green', which the training part has nowhere" in capsys.readouterr().err
