"""An aligner process: `python -m handgrad.speech.worker`, controlled by `handgrad.speech.workers`.

It reads a line of JSON with its settings, then one per utterance. It responds to each with a line of JSON, followed by
the bytes of the features (T, 40) float32 and of the labels (T,) uint8 if `frames` is not 0.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.errors import DataError
from handgrad.speech.align import Aligner
from handgrad.speech.audio import read_audio
from handgrad.speech.features import log_mel
from handgrad.speech.lexicon import words_of


def main() -> None:
    # Ctrl-C is sent to the whole process group; the parent stops this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")  # redirect all other output to stdout, also from C code, to stderr
    os.dup2(2, 1)
    settings = json.loads(requests.readline())
    aligner = Aligner(settings["lexicon"], spell=settings["spell"])
    for line in iter(requests.readline, b""):
        answer, features, labels = _work(aligner, json.loads(line))
        answers.write(json.dumps(answer).encode() + b"\n")
        if features is not None and labels is not None:
            answers.write(features.astype("<f4", copy=False).tobytes() + labels.astype(np.uint8).tobytes())
        answers.flush()


def _work(aligner: Aligner, request: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray | None, np.ndarray | None]:
    try:
        samples, notes = read_audio(Path(request["path"]), request["start"], request["end"])
        alignment = aligner.align(samples, words_of(request["text"]))
    except DataError as error:
        return {"frames": 0, "error": str(error)}, None, None
    except Exception as error:  # an error of a library: skip this file and continue
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return {"frames": 0, "error": f"it cannot be aligned ({reason})"}, None, None
    notes += [f"spelled by rule: {word} = {phones}" for word, phones in alignment.spelled.items()]
    features = log_mel(samples)
    return {"frames": len(features), "score": alignment.score, "notes": notes}, features, alignment.labels


if __name__ == "__main__":
    main()
