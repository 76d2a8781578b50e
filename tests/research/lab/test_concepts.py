import pytest

from research.errors import UserError
from research.lab import concepts, registry

pytestmark = pytest.mark.fast

KNOWN = [
  concepts.Concept("Adam", ("adaptive moments",), "", ("second", "first")),
  concepts.Concept("Gate", (), "", ("gone",)),
]
TEXTS = {
  "first": ("optimization", "Speaks of nothing."),
  "second": ("optimization", "Two-layer nets."),
  "adam_by_hand": ("optimization", "One."),
  "third": ("perceptrons", "Trained by Adam; gates."),
}


@pytest.mark.parametrize(
  ("words", "found"),
  [
    ("adam", ["second", "first", "adam_by_hand", "third"]),
    ("ADAM", ["second", "first", "adam_by_hand", "third"]),
    ("moments, adaptive", ["second", "first"]),
    ("ada", []),
    ("two-layer net", ["second"]),
    ("optimization", ["first", "second", "adam_by_hand"]),
    ("gate", ["third"]),
    ("", []),
    (".*", []),
  ],
)
def test_words_find_what_is_about_them_the_clearest_first(words, found):
  assert concepts.about(words, TEXTS, KNOWN) == found


def test_the_concepts_of_a_catalogue_are_read_and_of_another_none(tmp_path):
  found = {concept.name: concept for concept in concepts.concepts(registry.ROOT)}
  assert found["LSTM"].experiments[0] == "lstm_equations"
  assert concepts.concepts(tmp_path) == []


def test_a_word_that_is_no_name_names_what_is_about_it():
  with pytest.raises(UserError, match="unknown experiment 'lstm'; about it: lstm_equations, long"):
    registry.select("lstm")
