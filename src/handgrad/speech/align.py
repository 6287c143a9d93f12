"""Forced alignment with PocketSphinx: assigns a state of a phone to each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handgrad._typing import Array, Float, Integer
from handgrad.errors import DataError
from handgrad.speech.features import RATE, STEP, frame_count
from handgrad.speech.lexicon import pronounce
from handgrad.speech.phones import PHONES, SILENCE, STATES_PER_PHONE

#: The windows of the aligner are longer and the last ones are padded, so its number of frames may differ by this much.
_END_FRAMES = 2

#: The search prunes no paths (beams), takes word times from the path instead of a lattice, in which a phone may be
#: shorter than its states (bestpath), and scores against all states (compallsen), so that scores of different
#: utterances are comparable.
_SETTINGS = {"lm": None, "bestpath": False, "compallsen": True, "beam": 1e-64, "pbeam": 1e-64, "wbeam": 1e-64}


@dataclass(frozen=True, eq=False)
class Alignment:
    """The frames of an utterance with their states.

    Arguments:
        labels: 3 * phone + position for each frame (T,), int64.
        score: mean over the speech frames of the log-likelihood of the state minus that of the best state, in the units
            of the aligner; at most 0, and far below for a wrong transcript.
        spelled: words with phones from spelling rules, and these phones.
    """

    labels: Integer[Array, "T"]
    score: float
    spelled: dict[str, str]


class Aligner:
    """PocketSphinx with its US English model, its dictionary and an additional lexicon.

    A few utterances crash its C code or leave it unusable, so use it in a separate process (`workers`).

    Arguments:
        lexicon: pronunciations that override the dictionary, by word in lower case.
        spell: whether to use spelling rules for unknown words; otherwise their utterances are rejected.
    """

    def __init__(self, lexicon: Mapping[str, Sequence[str]] | None = None, *, spell: bool = True) -> None:
        self.lexicon = lexicon or {}
        self.spell = spell
        self._restart()

    def _restart(self) -> None:
        import pocketsphinx

        self._decoder = pocketsphinx.Decoder(**_SETTINGS, loglevel="FATAL")
        self._added: dict[str, str] = {}

    def align(self, signal: Float[Array, "N"], words: Sequence[str]) -> Alignment:
        """Aligns an utterance.

        The first of two passes finds the times of the words, with all pronunciations and pauses between words; the
        second finds the states. The result does not depend on previous utterances.

        Arguments:
            signal: samples at 16 kHz (N,), full scale -1 to 1.
            words: the spoken words, as returned by `words_of`.

        Raises: DataError with the reason if it cannot be aligned.
        """
        if not words:
            raise DataError("its transcript has no words: add the spoken words")
        frames = frame_count(len(signal))
        entries, spelled = self._enter(words)
        least = STATES_PER_PHONE * sum(self._shortest(entry) for entry in entries)
        if frames < least:
            seconds = len(signal) / RATE
            raise DataError(
                f"{seconds:.2f} s are too short for its {len(words)} words: they need {least * STEP / RATE} s"
            )
        samples = np.round(np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes()
        try:
            # The decoder keeps its noise estimate between utterances: reset it, and process the utterance once without
            # searching. Otherwise it misses the silence at the beginning.
            self._decoder.reinit_feat()
            self._decoder.set_align_text(" ".join(entries))
            self._pass(samples, no_search=True)
            self._pass(samples)
            if self._decoder.hyp() is None:
                raise RuntimeError("no path")
            self._decoder.set_alignment()
            self._pass(samples)
            labels, scores = self._states(frames)
        except RuntimeError:
            self._restart()
            raise DataError(
                "its words cannot be aligned with it: is this the transcript of another recording, or is it cut off?"
            ) from None
        except DataError:
            self._restart()
            raise
        spoken = labels // STATES_PER_PHONE != PHONES.index(SILENCE)
        score = float(scores[spoken].mean()) if spoken.any() else float(scores.mean())
        return Alignment(labels, score, spelled)

    def _pass(self, samples: bytes, *, no_search: bool = False) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(samples, no_search=no_search, full_utt=True)
        self._decoder.end_utt()

    def _states(self, frames: int) -> tuple[Integer[Array, "T"], Float[Array, "T"]]:
        labels = np.full(frames, -1, np.int64)
        scores = np.zeros(frames)
        end = 0
        # Read entries immediately: they point into the alignment, and keeping one crashes the process.
        for word in self._decoder.get_alignment():
            for phone in word:
                first = STATES_PER_PHONE * PHONES.index(phone.name)
                for position, state in enumerate(phone):
                    if position >= STATES_PER_PHONE or state.start != end or state.duration < 1:
                        raise DataError(
                            f"the aligner fails in {phone.name} at {end * STEP / RATE:.2f} s: expected "
                            f"{STATES_PER_PHONE} states one after another; compare its transcript with the recording"
                        )
                    end += state.duration
                    labels[state.start : end] = first + position
                    scores[state.start : end] = state.score / state.duration
        if abs(end - frames) > _END_FRAMES:
            raise DataError(
                f"the aligner ends at frame {end}: expected the {frames} frames of the recording; compare its "
                "transcript with it"
            )
        labels[end:] = labels[min(end, frames) - 1]
        return labels, scores

    def _enter(self, words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The dictionary entries of the words, and the phones from spelling rules."""
        entries, spelled, unknown = [], {}, []
        for word in words:
            if word in self.lexicon:
                entries.append(self._add(f"{word}@lexicon", self.lexicon[word]))
            elif self._decoder.lookup_word(word) is not None:
                entries.append(word)
            else:
                said, by_rule = pronounce(word, self._decoder.lookup_word, spell=self.spell)
                if said is None:
                    unknown.append(word)
                    continue
                entries.append(self._add(f"{word}@spelled", [said]))
                if by_rule:
                    spelled[word] = said
        if unknown:
            several = "words are" if len(unknown) > 1 else "word is"
            digits = " (write numbers as they are spoken)" if any(map(str.isdigit, "".join(unknown))) else ""
            raise DataError(
                f"{several} in no dictionary: {', '.join(dict.fromkeys(unknown))}; put into --lexicon{digits}"
            )
        return entries, spelled

    def _add(self, entry: str, pronunciations: Sequence[str]) -> str:
        if entry not in self._added:
            for i, phones in enumerate(pronunciations):
                self._decoder.add_word(f"{entry}({i + 1})" if i else entry, phones, i == len(pronunciations) - 1)
            self._added[entry] = min(pronunciations, key=lambda phones: len(phones.split()))
        return entry

    def _shortest(self, entry: str) -> int:
        said = self._added.get(entry) or self._decoder.lookup_word(entry) or ""
        return len(said.split())
