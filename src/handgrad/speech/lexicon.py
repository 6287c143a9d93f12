"""Converting words to phones: the user's lexicon, the dictionary of the aligner, or spelling rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from handgrad.errors import DataError
from handgrad.speech.phones import PHONES

#: Tags of corpora for non-speech sounds, and the corresponding words of the aligner.
_NOISES = {
    **dict.fromkeys(("noise", "nsn", "ns", "breath", "cough"), "[NOISE]"),
    **dict.fromkeys(("unk", "spn", "spoken_noise", "laughter", "laugh", "unintelligible"), "[SPEECH]"),
}
_SILENCES = ("sil", "silence", "s", "/s", "pau")
_TAG = re.compile(r"[<\[{](/?[\w-]+)[>\]}]|!(sil|silence)|\+\+?(\w+)\+\+?", re.IGNORECASE)
_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "ʼ": "'"})
_STRESS = re.compile(r"(?<=[A-Z])[012]$")
_ALTERNATE = re.compile(r"\(\d+\)$")


def words_of(text: str) -> list[str]:
    """The words of a transcript in lower case without punctuation; tags such as <noise> become [NOISE]."""
    words = []
    for token in text.translate(_QUOTES).split():
        if tag := _TAG.fullmatch(token):
            name = next(part for part in tag.groups() if part).lower()
            if name not in _SILENCES:
                words.append(_NOISES.get(name, "[NOISE]"))
            continue
        words.extend(word for part in re.split(r"[‐-―/]|--+", token) if (word := _bare(part)))
    return words


def _bare(token: str) -> str:
    """The word without surrounding punctuation; apostrophes remain: 'cause, parents'."""
    return re.sub(r"^[^\w']+|[^\w']+$", "", token.casefold()).replace(".", "") if re.search(r"\w", token) else ""


def read_lexicon(path: Path) -> dict[str, list[str]]:
    """Reads pronunciations from a file with a word and its phones on each line, as in the CMU dictionary.

    Stress digits are ignored; `word(2)` or a repeated word is another pronunciation; lines that begin with `;;;` or `#`
    are comments.

    Raises: DataError for an invalid line or an unknown phone.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(
            f"there is no lexicon {path}: expected a file with a word and its phones in each line"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"lexicon {path} cannot be read: {error}") from None
    lexicon: dict[str, list[str]] = {}
    for i, line in enumerate(lines, 1):
        if not line.strip() or line.startswith((";;;", "#")):
            continue
        word, *phones = line.split()
        phones = [_STRESS.sub("", phone.upper()) for phone in phones]
        unknown = next((phone for phone in phones if phone not in PHONES), None)
        if unknown is not None or not phones:
            wrong = f"phone={unknown} is not a phone of the aligner" if phones else f"{word} has no phones"
            raise DataError(f"{path}, line {i}: {wrong}; expected a word and phones of {' '.join(PHONES)}")
        pronunciation = " ".join(phones)
        known = lexicon.setdefault(_ALTERNATE.sub("", word).translate(_QUOTES).casefold(), [])
        if pronunciation not in known:
            known.append(pronunciation)
    return lexicon


def pronounce(word: str, look_up: Callable[[str], str | None], *, spell: bool = True) -> tuple[str | None, bool]:
    """The pronunciation of an unknown word from its parts, the names of its letters, or spelling rules.

    Arguments:
        word: in lower case.
        look_up: the phones of a word in the dictionary, or None.
        spell: whether to use spelling rules; otherwise only the parts of compounds are looked up.

    Returns: phones separated by spaces, or None if there is no pronunciation; and whether a rule was used.
    """
    parts = [part for part in re.split(r"[-_]", word) if part]
    if len(parts) > 1:
        said = [look_up(part) for part in parts]
        if all(said):
            return " ".join(part for part in said if part), False
    stem = word.replace("'", "").replace("-", "").replace("_", "")
    if not spell or not re.fullmatch("[a-z]+", stem):
        return None, False
    if word.endswith("'s") and (said := look_up(word[:-2])):
        return f"{said} {_plural(said)}", True
    if len(stem) <= 5 and not re.search("[aeiouy]", stem):
        letters = [look_up(f"{letter}.") or look_up(letter) for letter in stem]
        return (" ".join(part for part in letters if part) if all(letters) else None), True
    return spelled(stem), True


def _plural(said: str) -> str:
    last = said.split()[-1]
    if last in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return "IH Z"
    return "S" if last in ("P", "T", "K", "F", "TH") else "Z"


#: English graphemes and their most frequent phones, matched longest first. A vowel letter followed by one consonant and
#: a final e is a long vowel (see `spelled`).
_GRAPHEMES = {
    **{"tion": "SH AH N", "sion": "ZH AH N", "cian": "SH AH N", "ture": "CH ER", "ough": "AO", "augh": "AO"},
    **{"eigh": "EY", "igh": "AY", "tch": "CH", "dge": "JH", "sch": "SH", "chr": "K R", "ous": "AH S", "ing": "IH NG"},
    **{"ear": "IH R", "air": "EH R", "eer": "IH R", "oor": "AO R", "our": "AW ER", "ch": "CH", "sh": "SH", "th": "TH"},
    **{"ph": "F", "wh": "W", "ck": "K", "ng": "NG", "qu": "K W", "kn": "N", "wr": "R", "gh": "G", "gn": "N"},
    **{"ee": "IY", "ea": "IY", "oo": "UW", "ou": "AW", "ow": "OW", "oa": "OW", "oi": "OY", "oy": "OY", "ai": "EY"},
    **{"ay": "EY", "ey": "IY", "ie": "IY", "ei": "EY", "au": "AO", "aw": "AO", "ew": "UW", "eu": "Y UW", "ue": "UW"},
    **{"ui": "UW", "ar": "AA R", "er": "ER", "ir": "ER", "or": "AO R", "ur": "ER", "yr": "ER", "ce": "S EH"},
    **{"ci": "S IH", "cy": "S IY", "ge": "JH EH", "gy": "JH IY", "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH"},
    **{"f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA"},
    **{"p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W", "x": "K S", "y": "IH"},
    "z": "Z",
}
_LONG = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW", "y": "AY"}
#: Endings that are pronounced differently than within a word.
_ENDINGS = {"ies": "IY Z", "ed": "D", "es": "Z", "le": "AH L", "y": "IY", "o": "OW", "a": "AH", "i": "IY", "e": ""}


def spelled(word: str) -> str:
    """The phones of a word by spelling rules: digraphs first, doubled letters once, a silent e lengthens its vowel.

    This is a fallback for names and similar words. Add important words to a lexicon.

    Arguments:
        word: letters a to z, in lower case.
    """
    letters = re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", word)
    phones: list[str] = []
    i = 0
    while i < len(letters):
        rest = letters[i:]
        vowels_so_far = any(phone[0] in "AEIOU" for phone in phones)
        if vowels_so_far and rest in _ENDINGS:
            phones += _ENDINGS[rest].split()
            break
        if re.fullmatch(r"[aeiouy][bcdfgklmnpstvz](e|es|ed)", rest):  # mate, fines, poled
            softened = {"c": "S", "g": "JH"}.get(rest[1], _GRAPHEMES[rest[1]])
            phones += [_LONG[rest[0]], softened]
            phones += {"e": [], "es": ["Z"], "ed": ["D"]}[rest[2:]]
            break
        grapheme = next(rest[:n] for n in (4, 3, 2, 1) if rest[:n] in _GRAPHEMES)
        if grapheme in ("ce", "ge") and len(rest) == 2:  # dance, large
            phones.append(_GRAPHEMES[grapheme].split()[0])
            break
        phones += _GRAPHEMES[grapheme].split()
        i += len(grapheme)
    return " ".join(phones)
