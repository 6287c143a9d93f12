"""Reading corpora: Kaldi data directories, and audio folders with transcripts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from handgrad.errors import DataError

#: Audio file name extensions: the formats that libsndfile supports.
AUDIO_ENDINGS = frozenset(
    {
        *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".snd", ".sph"),
        *(".voc", ".w64", ".wav", ".wave"),
    }
)


@dataclass(frozen=True)
class Utterance:
    """A recording, or a part of one, with its transcript.

    Arguments:
        name: unique among all utterances, without spaces.
        path: the audio file.
        text: the transcript as in the corpus.
        speaker: the speaker.
        start, end: the part of the file in seconds; None for its end.
    """

    name: str
    path: Path
    text: str
    speaker: str
    start: float = 0.0
    end: float | None = None


@dataclass(frozen=True)
class LeftOut:
    """A skipped utterance with the reason."""

    name: str
    reason: str


def read_corpus(folders: Iterable[Path]) -> tuple[list[Utterance], list[LeftOut]]:
    """The utterances of all folders, sorted by name within each, and the skipped ones.

    A folder with `wav.scp` is a Kaldi data directory: `wav.scp` (recording, path relative to the directory), `text`,
    and optionally `utt2spk` and `segments`. Any other folder is searched recursively for audio files with a `.txt` file
    of the same name; the folder of a file is the name of its speaker.

    Raises: DataError if a folder does not exist or has no utterances, or a file cannot be read.
    """
    utterances: dict[str, Utterance] = {}
    left_out: list[LeftOut] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}: expected a Kaldi data directory, or audio with texts")
        kaldi = (folder / "wav.scp").is_file()
        found, without = _read_kaldi(folder) if kaldi else _read_folder(folder)
        if not found and not without:
            raise DataError(
                f"{folder} has no utterances: expected wav.scp and text, or audio files with a .txt of the same name"
            )
        left_out += without
        for utterance in found:
            if (first := utterances.get(utterance.name)) is not None:
                left_out.append(LeftOut(utterance.name, f"{utterance.path}: {first.path} has the same name"))
            else:
                utterances[utterance.name] = utterance
    return list(utterances.values()), left_out


def _read_kaldi(folder: Path) -> tuple[list[Utterance], list[LeftOut]]:
    recordings = _table(folder / "wav.scp")
    texts = _table(folder / "text")
    speakers = _table(folder / "utt2spk") if (folder / "utt2spk").is_file() else {}
    segmented = (folder / "segments").is_file()
    segments = _table(folder / "segments") if segmented else {name: name for name in recordings}
    found, left_out = [], []
    for name in sorted({*segments, *texts}):
        try:
            if name not in segments:
                raise DataError(
                    f"it has a text but no {'line in segments' if segmented else 'recording in wav.scp'}: add one"
                )
            recording, start, end = _segment(segments[name]) if segmented else (name, 0.0, None)
            if recording not in recordings:
                raise DataError(f"recording={recording} of segments is not in wav.scp")
            place = recordings[recording]
            if place.endswith("|") or place.startswith("|"):
                raise DataError(f"wav.scp gives a command ({place}), which is not run: write its output to a file")
            if name not in texts:
                raise DataError("it has no text: add a line to the file text")
            speaker = speakers.get(name, folder.resolve().name)
            found.append(Utterance(name, folder / place, texts[name], speaker, start, end))
        except DataError as error:
            left_out.append(LeftOut(name, str(error)))
    return found, left_out


def _segment(text: str) -> tuple[str, float, float | None]:
    try:
        recording, start, end = text.split()
        first, last = float(start), float(end)
    except ValueError:
        raise DataError(f"segments says {text!r}: expected a recording, start and end in seconds") from None
    if last == -1:
        return recording, first, None
    if not 0 <= first < last:
        raise DataError(f"segments has start={start}, end={end}: expected 0 <= start < end")
    return recording, first, last


def _read_folder(folder: Path) -> tuple[list[Utterance], list[LeftOut]]:
    found, left_out = [], []
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    audio = [path for path in paths if path.suffix.lower() in AUDIO_ENDINGS]
    spoken = {path.with_suffix("") for path in audio}
    for path in audio:
        name = _name(folder, path)
        try:
            text = path.with_suffix(".txt").read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            left_out.append(LeftOut(name, f"{path} has no text: expected {path.with_suffix('.txt').name} next to it"))
        except (OSError, UnicodeDecodeError) as error:
            left_out.append(LeftOut(name, f"{path.with_suffix('.txt')} cannot be read: {error}"))
        else:
            found.append(Utterance(name, path, " ".join(text.split()), path.parent.resolve().name))
    if audio:
        alone = [path for path in paths if path.suffix.lower() == ".txt" and path.with_suffix("") not in spoken]
        left_out += [LeftOut(_name(folder, path), f"{path} has no recording of the same name") for path in alone]
    return found, left_out


def _name(folder: Path, path: Path) -> str:
    return "_".join("/".join(path.relative_to(folder).with_suffix("").parts).split())


def _table(path: Path) -> dict[str, str]:
    """A Kaldi file with a key and a value on each line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"there is no {path}: a Kaldi data directory needs wav.scp and text") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    table: dict[str, str] = {}
    for i, line in enumerate(lines, 1):
        key, _, rest = line.strip().partition(" ") if "\t" not in line else line.strip().partition("\t")
        if key in table:
            raise DataError(f"{path}, line {i}: {key} occurs twice; keep one of the two lines")
        if key:
            table[key] = rest.strip()
    return table
