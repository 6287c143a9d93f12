"""`handgrad speech prepare|predict|evaluate|label`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from handgrad.cli.common import Device, Engine, Json, default_text, help_page, new_app
from handgrad.cli.common import Weights as WeightsOf
from handgrad.speech.corpus import LeftOut
from handgrad.speech.prepare import PrepareConfig, Progress
from handgrad.speech.prepare import prepare as prepare_speech

if TYPE_CHECKING:
    from handgrad.speech.evaluation import FrameFigures

Weights = Annotated[Literal["last", "best"], WeightsOf]

app = new_app(
    "speech",
    "Classify speech frame by frame: make training data from recordings with transcripts, then evaluate and use a "
    "network.",
    """
    handgrad speech prepare recordings --out frames
    handgrad train --dataset speech --data-dir frames --run-dir runs/frames
    handgrad speech evaluate runs/frames
    handgrad speech label runs/frames recording.wav
    """,
)

_DEFAULT = PrepareConfig()


@app.command(
    help=help_page(
        "Make labelled frames, training data for handgrad train --dataset speech, from recordings with transcripts.",
        """
        handgrad speech prepare recordings --out frames
        handgrad speech prepare recordings --out frames --split speaker
        """,
        "Requires the extra speech. An interrupted preparation is resumed by the same command.",
    )
)
def prepare(
    folders: Annotated[
        list[Path],
        Parameter(
            name="DIR", help="folder of audio files, each with a transcript in a .txt file, or Kaldi data directory"
        ),
    ],
    /,
    *,
    out: Annotated[Path, Parameter(help="folder to write")],
    split: Annotated[
        Literal["utterance", "speaker"], Parameter(help="utterance: splits may share speakers; speaker: they do not")
    ] = _DEFAULT.split,
    dev: Annotated[float, Parameter(help="share of the data in the development set")] = _DEFAULT.dev,
    test: Annotated[float, Parameter(help="share of the data in the test set")] = _DEFAULT.test,
    dev_speakers: Annotated[
        str,
        Parameter(
            help="speakers of the development set, separated by commas", show_default=default_text("drawn by --seed")
        ),
    ] = "",
    test_speakers: Annotated[
        str,
        Parameter(help="speakers of the test set, separated by commas", show_default=default_text("drawn by --seed")),
    ] = "",
    seed: Annotated[int, Parameter(help="seed of the split")] = _DEFAULT.seed,
    normalize: Annotated[
        Literal["none", "utterance", "speaker"],
        Parameter(help="scale features to zero mean and unit variance over each utterance or speaker"),
    ] = _DEFAULT.normalize,
    layout: Annotated[
        Literal["objects", "flat"],
        Parameter(help="objects: object arrays, as in the speech competition; flat: one array and its offsets"),
    ] = _DEFAULT.layout,
    lexicon: Annotated[
        Path | None, Parameter(help="pronunciation dictionary: a file of words and their phones")
    ] = None,
    unknown: Annotated[
        Literal["spell", "left-out"],
        Parameter(help="words in no dictionary: spell them by rule, or leave the utterance out"),
    ] = _DEFAULT.unknown,
    processes: Annotated[
        int | None, Parameter(help="number of aligner processes", show_default=default_text("one per core"))
    ] = None,
    overwrite: Annotated[
        bool, Parameter(negative="", help="replace the files of an earlier preparation", show_default=False)
    ] = False,
    json_: Json = False,
) -> int:
    config = PrepareConfig(
        split=split,
        dev=dev,
        test=test,
        dev_speakers=_names(dev_speakers),
        test_speakers=_names(test_speakers),
        seed=seed,
        normalize=normalize,
        layout=layout,
        unknown=unknown,
        processes=processes,
    )
    try:
        with _Shown() as shown:
            prepared = prepare_speech(folders, out, config, lexicon=lexicon, overwrite=overwrite, progress=shown)
    except KeyboardInterrupt:
        print("handgrad: interrupted; the same command resumes", file=sys.stderr)
        return 130
    if json_:
        print(json.dumps(prepared.as_dict()))
        return 0
    for name, utterances in prepared.utterances.items():
        minutes = prepared.frames[name] / 6000
        print(f"{name:<6}{utterances:>8,} utterances {prepared.frames[name]:>12,} frames {minutes:>8.1f} minutes")
    if prepared.left_out:
        print(f"left out: {len(prepared.left_out)} (why: {out / 'report.txt'})")
    print(f"{out}: handgrad train --dataset speech --data-dir {out}")
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


class _Shown(Progress):
    """Progress on stderr: a bar on a terminal, else plain lines; and a line for each skipped or noted utterance."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, soft_wrap=True)
        columns = (BarColumn(bar_width=32), MofNCompleteColumn(), TextColumn("utterances"))
        columns = (*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        self.bar = Bar(*columns, console=self.console, disable=not self.console.is_terminal)
        self.task = self.bar.add_task("", total=None)
        self.total = self.done = 0

    def __enter__(self) -> _Shown:
        return self

    def __exit__(self, *_) -> None:
        self.bar.stop()

    def started(self, utterances: int, resumed: int) -> None:
        self.total, self.done = utterances, resumed
        self.bar.start()
        self.bar.update(self.task, total=utterances, completed=resumed)
        if resumed:
            self._say(f"resuming: {resumed:,} of {utterances:,} utterances are already aligned")

    def advanced(self) -> None:
        self.done += 1
        self.bar.update(self.task, completed=self.done)
        if self.bar.disable and 10 * self.done // self.total > 10 * (self.done - 1) // self.total:
            self._say(f"{self.done:,} of {self.total:,} utterances")

    def left_out(self, item: LeftOut) -> None:
        self._say(f"{item.name} is left out: {item.reason}")

    def noticed(self, name: str, note: str) -> None:
        self._say(f"{name}: {note}")

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)


@app.command(
    help=help_page(
        "Write the most likely state of every frame to a CSV file: id,label, one line per frame, in order.",
        """
        handgrad speech predict runs/frames frames/test.npy
        handgrad speech predict runs/frames frames/test.npy --weights last
        """,
    )
)
def predict(
    run: Annotated[Path, Parameter(help="run folder")],
    utterances: Annotated[Path, Parameter(name="UTTERANCES", help=".npy file of utterances, such as test.npy")],
    /,
    *,
    out: Annotated[Path, Parameter(help="CSV file to write")] = Path("submission.csv"),
    weights: Weights = "best",
    engine: Engine = None,
    device: Device = None,
) -> int:
    from handgrad.speech.prediction import write_submission
    from handgrad.training import load_run

    console = Console(stderr=True)
    columns = (BarColumn(bar_width=32), MofNCompleteColumn(), TextColumn("frames"), TimeRemainingColumn())
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        frames = write_submission(
            load_run(run), utterances, out, weights, engine=engine, device=device,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    print(f"{out}: {frames:,} frames")
    return 0


@app.command(
    help=help_page(
        "Evaluate a run on every split: frame accuracy with and without silence, phone accuracy, and which phones are "
        "confused most often.",
        """
        handgrad speech evaluate runs/frames
        handgrad speech evaluate runs/frames --confusion confusion.png
        """,
    )
)
def evaluate(
    run: Annotated[Path, Parameter(help="run folder")],
    /,
    *,
    weights: Weights = "best",
    data_dir: Annotated[
        str | None,
        Parameter(
            help="folder of the run's data, if it has moved", show_default=default_text("the one used in training")
        ),
    ] = None,
    confusion: Annotated[
        Path | None, Parameter(help="draw the confusion matrix of the phones to this PNG file")
    ] = None,
    engine: Engine = None,
    device: Device = None,
    json_: Json = False,
) -> int:
    from handgrad.speech.evaluation import evaluate_frames
    from handgrad.training import load_run

    figures = evaluate_frames(load_run(run), weights, data_dir=data_dir, engine=engine, device=device)
    known = {split: figure for split, figure in figures.items() if figure is not None}
    for split in figures.keys() - known.keys():
        print(f"the {split} split has no labels: nothing is evaluated on it", file=sys.stderr)
    judged = known.get("test") or known["validation"]
    if confusion is not None:
        _draw(judged, confusion, f"{run}, {'test' if 'test' in known else 'validation'} set")
    if json_:
        print(json.dumps({split: figure.as_dict() for split, figure in known.items()}))
        return 0
    _print(known)
    for phone, other, frames, share in judged.mistakes(5):
        print(f"{phone} classified as {other}: {frames:,} frames, {share:.0%} of {phone}")
    return 0


def _draw(figures: FrameFigures, path: Path, title: str) -> None:
    from handgrad.errors import ConfigError
    from handgrad.figures import confusion
    from handgrad.training.run import write_figure

    if not figures.phones:
        count = len(figures.classes)
        raise ConfigError(
            f"the confusion matrix requires phones of three states each, and there are {count} states: name them in "
            "states.txt, one per line"
        )
    why_not = write_figure(path, lambda: confusion(figures.phone_confusion.tolist(), figures.phones, title=title))
    if why_not:
        print(why_not, file=sys.stderr)


def _print(figures: dict[str, FrameFigures]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in ("split", "frames", "accuracy", "without silence", "phone accuracy"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, figure in figures.items():
        shares = (figure.accuracy, figure.accuracy_without_silence, figure.phone_accuracy)
        cells = ("unknown" if share is None else f"{share:.4f}" for share in shares)
        table.add_row(split, f"{figure.frames:,}", *cells)
    Console().print(table)


@app.command(
    help=help_page(
        "Label a recording with the phones that a network recognises: print them, and draw them over the spectrogram.",
        """
        handgrad speech label runs/frames recording.wav
        handgrad speech label runs/frames recording.wav --textgrid recording.TextGrid
        """,
        "Requires the extra speech.",
    )
)
def label(
    run: Annotated[Path, Parameter(help="run folder")],
    audio: Annotated[
        Path, Parameter(name="AUDIO", help="recording, of any format and sampling rate that soundfile reads")
    ],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(help="PNG file to draw", show_default=default_text("AUDIO's name with .png, in the current folder")),
    ] = None,
    textgrid: Annotated[Path | None, Parameter(help="write the phones to this TextGrid file, for Praat")] = None,
    normalize: Annotated[
        Literal["none", "utterance", "speaker"] | None,
        Parameter(help="normalisation of the features", show_default=default_text("that of the training data")),
    ] = None,
    weights: Weights = "best",
    engine: Engine = None,
    device: Device = None,
    json_: Json = False,
) -> int:
    from handgrad.figures import labelled_spectrogram
    from handgrad.speech.label import FIRST_SECOND
    from handgrad.speech.label import label as label_audio
    from handgrad.speech.textgrid import textgrid as praat
    from handgrad.training import load_run
    from handgrad.training.run import write_figure, write_text

    labelled = label_audio(load_run(run), audio, weights, normalize=normalize, engine=engine, device=device)
    for note in labelled.notes:
        print(f"{audio}: {note}", file=sys.stderr)
    out = Path(f"{audio.stem}.png") if out is None else out
    why_not = write_figure(
        out,
        lambda: labelled_spectrogram(labelled.features, labelled.phones, first=FIRST_SECOND, title=audio.name),
        advice="Free some space or choose another --out",
    )
    if textgrid is not None:
        tiers = {"phones": labelled.phones}
        write_text(textgrid, praat(tiers, labelled.seconds), advice="Free some space or choose another --textgrid")
    if json_:
        print(json.dumps(labelled.as_dict()))
    else:
        for start, end, phone in labelled.phones:
            print(f"{start:8.3f} {end:8.3f}  {phone}")
    print(why_not or f"{out}: the phones over the spectrogram", file=sys.stderr)
    return 0
