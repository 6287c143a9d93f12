"""Transcripts and pronunciations."""

import pytest

from handgrad.errors import DataError
from handgrad.speech.lexicon import pronounce, read_lexicon, spelled, words_of
from handgrad.speech.phones import PHONES, STATES, segments

DICTIONARY = {
    "well": "W EH L",
    "known": "N OW N",
    "jackson": "JH AE K S AH N",
    "fox": "F AA K S",
    "p": "P IY",
    "b": "B IY",
}
DICTIONARY |= {"x": "EH K S"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("THAT’S the parents' U.S.A.", ["that's", "the", "parents'", "usa"]),
        ("one -- two / three", ["one", "two", "three"]),
        ("well-known 20%", ["well-known", "20"]),
        (
            "<s> a <noise> b [laughter] <unk> !SIL ++COUGH++ </s>",
            ["a", "[NOISE]", "b", "[SPEECH]", "[SPEECH]", "[NOISE]"],
        ),
        ("(um) ... 'cause", ["um", "'cause"]),
        (" \t ", []),
    ],
)
def test_words_of_a_transcript(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("word", "phones", "by_rule"),
    [
        ("well-known", "W EH L N OW N", False),
        ("jackson's", "JH AE K S AH N Z", True),
        ("fox's", "F AA K S IH Z", True),
        ("pbx", "P IY B IY EH K S", True),
        ("waldo", "W AE L D OW", True),
        ("20", None, False),
        ("naïve", None, False),
    ],
)
def test_words_in_no_dictionary(word, phones, by_rule):
    assert pronounce(word, DICTIONARY.get) == (phones, by_rule)


def test_no_rule_is_used_where_none_is_wanted():
    assert pronounce("waldo", DICTIONARY.get, spell=False) == (None, False)
    assert pronounce("well-known", DICTIONARY.get, spell=False) == ("W EH L N OW N", False)


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("mate", "M EY T"),
        ("dance", "D AE N S"),
        ("table", "T AE B AH L"),
        ("shipping", "SH IH P IH NG"),
        ("happy", "HH AE P IY"),
    ],
)
def test_spelling_rules(word, phones):
    assert spelled(word) == phones


def test_every_letter_and_pair_has_known_phones():
    letters = "abcdefghijklmnopqrstuvwxyz"
    for word in (*letters, *(a + b for a in letters for b in letters)):
        assert set(spelled(word).split()) <= set(PHONES)


def test_spelling_is_a_stopgap_that_gets_three_phones_of_four_right():
    pocketsphinx = pytest.importorskip("pocketsphinx")
    known = {}
    with open(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:  # noqa: PTH123
        for line in file:
            word, *phones = line.split()
            if word.isascii() and word.isalpha():
                known[word] = phones
    words = sorted(known)[::60]
    wrong = sum(distance(known[word], spelled(word).split()) for word in words)
    assert 0.15 < wrong / sum(len(known[word]) for word in words) < 0.26


def distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def test_a_lexicon(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text(";;; comment\nBLORP  B L AO1 R P\nblorp(2) B L AO R P AH\nblorp B L AO R P\n\nWaldo W AO L D OW0\n")
    assert read_lexicon(path) == {"blorp": ["B L AO R P", "B L AO R P AH"], "waldo": ["W AO L D OW"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "one W AH N\nblorp B QQ",
            "line 2: phone=QQ is not a phone of the aligner; expected a word and phones of .*AA AE",
        ),
        ("blorp\n", "line 1: blorp has no phones"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "there is no lexicon .*missing"),
    ],
)
def test_what_is_no_lexicon(tmp_path, text, message):
    path = tmp_path / ("missing" if text is None else "lexicon.txt")
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_lexicon(path)


def test_labels_are_three_states_a_phone():
    assert len(PHONES) == 42
    assert len(STATES) == 126
    assert STATES[3 * PHONES.index("SIL") + 1] == "SIL_1"


def test_frames_of_a_phone_are_joined_and_equal_neighbours_are_two():
    s, iy = 3 * PHONES.index("S"), 3 * PHONES.index("IY")
    labels = [s, s + 1, s + 2, s + 2, s, s + 1, s + 2, iy, iy + 1, iy + 2]
    assert segments(STATES, labels) == [("S", 0, 4), ("S", 4, 7), ("IY", 7, 10)]
    assert segments(STATES, []) == []
