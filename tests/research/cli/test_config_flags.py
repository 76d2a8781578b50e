import pytest
from absl import flags

from research.cli.config_flags import define, read
from research.config import flatten, nested, pytree_config, static, traced

pytestmark = pytest.mark.fast


@pytree_config
class Part:
  name: str = static("adam", "its name", choices=("adam", "sgd"))
  rate: float = traced(1e-3, "step size", at_least=0)


@pytree_config
class Config:
  sizes: tuple[int, ...] = static((100, 50), "hidden layers", at_least=1)
  deep: bool = static(False, "whether")
  note: str = static("", "any text")
  optimizer: Part = nested(Part())


def parsed(*arguments):
  values = flags.FlagValues()
  define(Config(), values)
  values(["program", *arguments])
  return flatten(read(Config(), values))


def test_every_field_is_a_flag_under_its_dotted_name():
  ours = parsed(
    "--sizes=3,4,5", "--deep", "--note=ä = b", "--optimizer.name=sgd", "--optimizer.rate=1e-4"
  )
  assert ours == {
    "sizes": (3, 4, 5),
    "deep": True,
    "note": "ä = b",
    "optimizer.name": "sgd",
    "optimizer.rate": 1e-4,
  }
  assert parsed() == flatten(Config())


@pytest.mark.parametrize(
  ("arguments", "value"),
  [
    (("--deep", "--nodeep"), False),
    (("--deep=true",), True),
    (("--deep=false",), False),
    (("--deep=1",), True),
  ],
)
def test_switches_take_all_of_absls_spellings(arguments, value):
  assert parsed(*arguments)["deep"] is value


@pytest.mark.parametrize(
  ("argument", "words"),
  [
    ("--deep=perhaps", "true or false"),
    ("--sizes=3,0", "comma-separated list of whole numbers of at least 1"),
    ("--sizes=3,x", "comma-separated list"),
    ("--sizes=", "comma-separated list"),
    ("--sizes=,,", "comma-separated list"),
    ("--sizes=3,１２", "comma-separated list"),
    ("--sizes=3,4294967296", "beyond 2147483647"),
    ("--optimizer.name=rms", "adam, sgd"),
    ("--optimizer.rate=-1", "at least 0"),
    ("--optimizer.rate=nan", "finite"),
  ],
)
def test_a_complaint_names_the_flag_the_value_and_what_is_allowed(argument, words):
  with pytest.raises(flags.IllegalFlagValueError) as caught:
    parsed(argument)
  name, value = argument.split("=")
  assert all(word in str(caught.value) for word in (name, value, words)), caught.value


def test_help_names_what_is_allowed_and_what_recompiles():
  values = flags.FlagValues()
  define(Config(), values)
  text = " ".join(values.get_help().split())
  assert "hidden layers (a comma-separated list of whole numbers of at least 1; static" in text
  assert "step size (a finite number of at least 0)" in text


def test_flags_survive_a_trip_through_a_flagfile(tmp_path):
  values = flags.FlagValues()
  define(Config(), values)
  values(["program", "--sizes=7", "--deep", "--optimizer.rate=0.125"])
  values.append_flags_into_file(str(tmp_path / "flags"))
  flagfile = (tmp_path / "flags").read_text().split("\n")
  assert parsed(*filter(None, flagfile)) == flatten(read(Config(), values))
