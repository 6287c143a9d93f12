"""Labelling a recording with a network: the path of phones, a TextGrid and a figure."""

import itertools
import json
import re

import numpy as np
import pytest
from tests.speech.synthesis import utterance
from tests.speech_files import write_set

from handgrad import training
from handgrad.cli import main
from handgrad.speech.label import best_path
from handgrad.speech.textgrid import textgrid

NAMES = ["A_0", "A_1", "A_2", "B_0", "B_1", "B_2"]


def allowed(a, b):
    return a == b or (a % 3 < 2 and b == a + 1) or (a % 3 == 2 and b % 3 == 0)


def worth(path, scores, cost):
    entries = sum(a % 3 == 2 and b % 3 == 0 for a, b in itertools.pairwise(path))
    return scores[np.arange(len(path)), path].sum() - cost * entries


@pytest.mark.parametrize("seed", range(5))
def test_the_best_path_is_the_best_of_all(seed):
    scores = np.random.default_rng(seed).normal(0, 3, (6, 6))
    every = (
        path
        for path in itertools.product(range(6), repeat=6)
        if all(itertools.starmap(allowed, itertools.pairwise(path)))
    )
    best = max(every, key=lambda path: worth(np.array(path), scores, 1.5))
    assert tuple(best_path(scores, NAMES, entry_cost=1.5)) == best


def test_a_path_of_one_frame():
    assert best_path(np.log([[0.1, 0.1, 0.5, 0.1, 0.1, 0.1]]), NAMES).tolist() == [2]


def test_a_textgrid_has_no_gaps_and_doubles_its_quotes():
    text = textgrid({"phones": [(0.1, 0.2, "A"), (0.2, 0.35, 'say "B"')]}, 0.5)
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 0.500000\n')
    found = re.findall(r'xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = "(.*)"\n', text)
    assert [(float(a), float(b), name) for a, b, name in found] == [
        (0.0, 0.1, ""),
        (0.1, 0.2, "A"),
        (0.2, 0.35, 'say ""B""'),
        (0.35, 0.5, ""),
    ]
    assert "intervals: size = 4" in text


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network on a dozen synthetic utterances, and their folder."""
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("soxr")
    folder = tmp_path_factory.mktemp("label")
    spoken = folder / "voice"
    spoken.mkdir()
    for i, words in enumerate([("see", "saw"), ("saw", "see"), ("see", "see", "saw")] * 4):
        soundfile.write(spoken / f"{i}.wav", utterance(*words, seed=i, pitch=100.0 + 5 * i)[0], 16_000)
        (spoken / f"{i}.txt").write_text(" ".join(words))
    data, run = folder / "data", folder / "run"
    assert main(["speech", "prepare", str(spoken), "--out", str(data), "--normalize", "utterance"]) == 0
    flags = ("--hidden-units", "32", "--context", "4", "--epochs", "30", "--eval-freq", "1000")
    assert main(["train", "--dataset", "speech", "--data-dir", str(data), "--run-dir", str(run), *flags]) == 0
    return folder


def test_what_a_network_hears(trained, tmp_path, capsys):
    import soundfile
    import soxr

    signal, times = utterance("saw", "see", seed=77)
    audio = tmp_path / "new.flac"
    soundfile.write(audio, soxr.resample(signal, 16_000, 22_050), 22_050)
    capsys.readouterr()
    places = ("--out", str(tmp_path / "new.png"), "--textgrid", str(tmp_path / "new.TextGrid"))
    assert main(["speech", "label", str(trained / "run"), str(audio), *places, "--json"]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert [phone["phone"] for phone in answer["phones"]] == [name for name, _, _ in times]
    starts = np.array([phone["start"] for phone in answer["phones"]])
    assert np.abs(starts - [start for _, start, _ in times]).max() < 0.05
    assert answer["phones"][-1]["end"] == answer["seconds"] == pytest.approx(len(signal) / 16_000, abs=1e-3)
    assert (tmp_path / "new.png").read_bytes().startswith(b"\x89PNG")
    assert 'text = "AO"' in (tmp_path / "new.TextGrid").read_text()
    assert "normalised" not in said.err
    assert main(["speech", "label", str(trained / "run"), str(audio), *places]) == 0
    assert re.match(r"   0\.000 +0\.\d{3}  SIL\n", capsys.readouterr().out)
    within = str(audio / "new.png")
    assert main(["speech", "label", str(trained / "run"), str(audio), "--out", within]) == 0
    said = capsys.readouterr()
    assert f"cannot write {within}: File exists" in said.err
    assert "SIL\n" in said.out


def test_labelling_says_what_is_wrong(trained, tmp_path, capsys):
    (tmp_path / "empty.wav").write_bytes(b"")
    assert main(["speech", "label", str(trained / "run"), str(tmp_path / "empty.wav")]) == 2
    assert "empty.wav: the file has 0 bytes" in capsys.readouterr().err
    write_set(tmp_path / "narrow", features=13)
    settings = {"data_dir": str(tmp_path / "narrow"), "hidden_units": (2,), "max_steps": 1}
    training.train(dataset="speech", run_dir=tmp_path / "run", **settings)
    assert main(["speech", "label", str(tmp_path / "run"), str(tmp_path / "empty.wav")]) == 2
    assert "run was trained on frames of 13 features, recordings give 40: label with a run" in capsys.readouterr().err
