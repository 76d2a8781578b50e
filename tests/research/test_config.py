import dataclasses

import jax
import pytest

from research.config import (
  digest,
  fields,
  flatten,
  from_json,
  nested,
  pytree_config,
  replace,
  show,
  static,
  traced,
)
from research.errors import UserError

pytestmark = pytest.mark.fast


@pytree_config
class Inner:
  rate: float = traced(0.1, "a rate", at_least=0, below=1)
  name: str = static("a", "a name", choices=("a", "b"))


@pytree_config
class Outer:
  widths: tuple[int, ...] = static((3, 4), "widths", at_least=1)
  size: int = static(5, "a size", at_least=1)
  flag: bool = static(False, "a switch")
  inner: Inner = nested(Inner(rate=0.2))


@pytree_config
class Optional:
  rate: float | None = traced(None, "a rate", above=0)
  count: int | None = static(None, "a count", at_least=1)
  size: int = static(5, "a size")


FIELDS = {field.name: field for field in fields(Outer())}


def test_traced_fields_are_leaves_and_static_ones_are_structure():
  leaves, structure = jax.tree.flatten(Outer())
  assert leaves == [0.2]
  assert structure == jax.tree.structure(Outer(inner=Inner(rate=0.9)))
  assert structure != jax.tree.structure(Outer(size=6))
  assert structure != jax.tree.structure(Outer(inner=Inner(name="b")))


def test_only_a_static_field_traces_anew():
  traces = []

  @jax.jit
  def double(settings):
    traces.append(settings.size)
    return 2 * settings.inner.rate * settings.size

  assert double(Outer()) == pytest.approx(2.0)
  assert double(Outer(inner=Inner(rate=0.5))) == pytest.approx(5.0)
  assert double(Outer(size=6)) == pytest.approx(2.4)
  assert traces == [5, 6]


def test_fields_have_dotted_names_and_the_instances_values():
  assert list(flatten(Outer()).items()) == [
    ("widths", (3, 4)),
    ("size", 5),
    ("flag", False),
    ("inner.rate", 0.2),
    ("inner.name", "a"),
  ]


def test_a_config_survives_json():
  changed = Outer(widths=(7,), inner=Inner(rate=0.75, name="b"))
  flat = {k: list(v) if isinstance(v, tuple) else v for k, v in flatten(changed).items()}
  assert from_json(Outer(), flat) == changed
  assert digest(flat) == digest(dict(flat)) != digest(flat | {"size": 6})


@pytest.mark.parametrize(
  "name, text, value",
  [
    ("size", "12", 12),
    ("inner.rate", "1e-3", 1e-3),
    ("inner.rate", "0", 0.0),
    ("flag", "TRUE", True),
    ("flag", "0", False),
    ("widths", "1,2,3", (1, 2, 3)),
    ("inner.name", "b", "b"),
  ],
)
def test_values_are_read(name, text, value):
  parsed = FIELDS[name].parse(text)
  assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
  "name, text, complaint",
  [
    ("size", "1.5", "is not a whole number"),
    ("size", "0", "too small; give a whole number of at least 1 (default 5)"),
    ("size", "many", "is not a number"),
    ("inner.rate", "nan", "is not finite"),
    ("inner.rate", "inf", "is not finite"),
    ("inner.rate", "-0.1", "is too small"),
    ("inner.rate", "1", "is too large; give a finite number of at least 0 and below 1"),
    ("inner.name", "c", "is not among the choices; give one of a, b"),
    ("widths", "3,0", "is too small"),
    ("widths", "3,x", "cannot be read"),
    ("flag", "maybe", "cannot be read; give true or false"),
  ],
)
def test_bad_values_are_refused_in_words(name, text, complaint):
  with pytest.raises(ValueError) as error:
    FIELDS[name].parse(text)
  assert complaint in str(error.value) and repr(text) in str(error.value)


def test_replace_reaches_into_parts_and_leaves_the_rest():
  assert replace(Outer(), {"inner.rate": 0.5, "size": 9}) == Outer(size=9, inner=Inner(rate=0.5))
  with pytest.raises(UserError, match=r"unknown field 'inner\.rat'; did you mean inner\.rate"):
    replace(Outer(), {"inner.rat": 0.5})
  with pytest.raises(UserError, match="too large"):
    replace(Outer(), {"inner.rate": 2.0})


def test_every_field_must_say_what_it_is():
  with pytest.raises(TypeError, match=r"Bad\.width"):

    @pytree_config
    class Bad:
      width: int = 3

  assert dataclasses.is_dataclass(Outer)


@pytest.mark.parametrize(
  "values",
  [
    {"size": None},
    {"size": "many"},
    {"size": 2.5},
    {"size": True},
    {"size": [[5]]},
    {"flag": 1},
    {"widths": 3},
    {"widths": ["3"]},
    {"inner.rate": "0.1"},
    {"inner.name": 3},
    {"inner.name": {}},
  ],
)
def test_json_of_another_type_is_refused_by_name(values):
  (name,) = values
  with pytest.raises(UserError, match=f"{name}=.* is of another type; give "):
    from_json(Outer(), values)
  assert from_json(Outer(), {"inner.rate": 0}).inner.rate == 0


def test_an_optional_field_that_is_off_is_in_no_tree_no_program_and_no_file():
  assert jax.tree.leaves(Optional()) == [] and flatten(Optional()) == {"size": 5}
  assert jax.tree.leaves(Optional(rate=0.5)) == [0.5]
  assert flatten(Optional(rate=0.5, count=2)) == {"rate": 0.5, "count": 2, "size": 5}
  assert jax.tree.structure(Optional(rate=0.5)) != jax.tree.structure(Optional())


def test_an_optional_field_without_an_entry_is_off_whatever_the_default():
  assert from_json(Optional(rate=0.5), {"size": 6}) == Optional(size=6)
  assert from_json(Optional(), {"rate": 2, "size": 6}) == Optional(rate=2, size=6)
  with pytest.raises(UserError, match=r'rate="2" is of another type; give .* above 0 or off'):
    from_json(Optional(), {"rate": "2"})
  assert replace(Optional(rate=0.5), {"rate": None}) == Optional()


def test_an_optional_field_is_written_off():
  known = {field.name: field for field in fields(Optional())}
  assert [known[name].kind for name in ("rate", "count")] == [float, int]
  assert known["rate"].parse("off") is None and known["count"].parse("3") == 3
  assert show(None) == "off"
  with pytest.raises(ValueError, match=r"'0' is too small; give .* or off \(default off\)"):
    known["rate"].parse("0")
  with pytest.raises(ValueError, match="is not a number"):
    known["size"].parse("off")
