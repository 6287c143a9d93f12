"""The images that `predict` accepts, and its remarks about images that differ from the training images."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image

import handgrad
from handgrad.cli import main
from handgrad.errors import ConfigError
from handgrad.training import InputWarning, load_run

#: Ten digits of the test set, and what a good network says of them.
LOOK = slice(-12, None)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("predict") / "run"
    flags = ["--hidden-units", "64", "--max-steps", "800", "--eval-freq", "800", "--quiet"]
    assert main(["train", *flags, "--run-dir", str(path)]) == 0
    return load_run(path)


@pytest.fixture(scope="module")
def digits():
    return handgrad.data.load("digits").inputs[LOOK]


@pytest.fixture(scope="module")
def colour(tmp_path_factory, make_colour):
    """A run on small images with three channels, and some of them."""
    base = tmp_path_factory.mktemp("colour")
    inputs = make_colour(base)
    settings = {"hidden_units": (8,), "max_steps": 20, "eval_freq": 20, "batch_size": 4}
    return handgrad.train(dataset="cifar10", data_dir=str(base), run_dir=base / "run", **settings), inputs


@pytest.fixture(scope="module")
def make_colour():
    def make(base):
        rng = np.random.default_rng(0)
        folder = base / "cifar-10-batches-bin"
        folder.mkdir(parents=True)
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            records = rng.integers(0, 256, (4, 3073), dtype=np.uint8)
            records[:, 0] %= 10
            (folder / f"{name}.bin").write_bytes(records.tobytes())
        return records[:, 1:].reshape(-1, 3, 32, 32)

    return make


# -- arrays -----------------------------------------------------------------------------------------------------------


def test_channels_last_is_recognised(colour):
    run, inputs = colour
    expected = run.predict(inputs)
    np.testing.assert_array_equal(run.predict(inputs.transpose(0, 2, 3, 1)), expected)
    np.testing.assert_array_equal(run.predict(inputs.reshape(len(inputs), -1)), expected)


def test_shapes_of_one_channel(run, digits):
    expected = run.predict(digits)
    for shape in ((-1, 8, 8), (-1, 8, 8, 1), (-1, 64)):
        np.testing.assert_array_equal(run.predict(digits.reshape(shape)), expected)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((2, 3, 1024), ""), ((2, 32, 3, 32), ""), ((3072,), "inputs.None."), ((32, 32, 3), "inputs.None."),
     ((3, 32, 32), "inputs.None."), ((1, 2, 3, 32, 16), ""), ((6, 512), ""), ((), "")],
)  # fmt: skip
def test_other_shapes_are_refused(colour, shape, hint):
    run, _ = colour
    with pytest.raises(ConfigError, match=rf"inputs: shape=.* expected numbers \(N, 3, 32, 32\).*{hint}"):
        run.predict(np.zeros(shape, np.uint8))


def test_values_of_another_scale_are_refused(run, digits):
    unit = digits / 16
    for inputs in (unit, unit.astype(np.float32), (unit > 0.5).astype(np.uint8), (unit - 0.3) / 0.37, digits * 15.9):
        with pytest.raises(
            ConfigError, match=r"inputs contain values from .*, the training data 0 to 16: expected raw"
        ):
            run.predict(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run.predict(digits * np.float32(1)).shape == (len(digits), 10)
        assert run.predict(np.zeros((0, 1, 8, 8))).shape == (0, 10)


def test_inverted_digits_are_named(run, digits):
    with pytest.warns(
        InputWarning, match=r"12 of 12 inputs have a light background and the training images a dark one"
    ):
        run.predict(16 - digits)


def test_values_that_training_did_not_see_are_named(tmp_path, make_colour):
    make_colour(tmp_path)
    for path in (tmp_path / "cifar-10-batches-bin").iterdir():
        records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073).copy()
        records[:, 1:] //= 2
        path.write_bytes(records.tobytes())
    run = handgrad.train(dataset="cifar10", data_dir=str(tmp_path), run_dir=tmp_path / "run", max_steps=2, batch_size=4)
    with pytest.warns(InputWarning, match="inputs contain values from 200 to 200, the training data 0 to 127: check"):
        run.predict(np.full((1, 3, 32, 32), 200, np.uint8))


def test_the_scale_of_ones_own_data_counts(tmp_path):
    """If the training values were 0 and 1, the values 0 and 1 are valid."""
    import gzip

    rng = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for part, n in (("train", 40), ("t10k", 10)):
        for name, shape, most in (("images-idx3", (n, 28, 28), 2), ("labels-idx1", (n,), 10)):
            header = bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)
            content = header + rng.integers(0, most, shape, np.uint8).tobytes()
            (tmp_path / "mnist" / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(content))
    run = handgrad.train(dataset="mnist", data_dir=str(tmp_path), run_dir=tmp_path / "run", max_steps=2, batch_size=8)
    run.predict(rng.integers(0, 2, (3, 1, 28, 28)))


# -- pictures ---------------------------------------------------------------------------------------------------------


def predicted(capsys, run, path):
    assert main(["predict", str(run.path), str(path), "--json"]) == 0
    captured = capsys.readouterr()
    return np.array(json.loads(captured.out)["probabilities"]), captured.err


def pixels(image):
    return np.round(image[0] * (255 / 16)).astype(np.uint8)


def as_picture(kind, image):
    """The image of a digit in many formats, and the remark about each."""
    grey = Image.fromarray(pixels(image))
    white, black = Image.new("L", grey.size, 255), Image.new("L", grey.size, 0)
    if kind == "white on transparent":
        return Image.merge("LA", (white, grey)), {}, "transparent: put on a black background"
    if kind == "white on transparent, in colour":
        return Image.merge("RGBA", (white, white, white, grey)), {}, "transparent: put on a black background"
    if kind == "black on transparent":
        return Image.merge("RGBA", (black, black, black, grey)), {}, "inverted: its background is light"
    if kind == "opaque alpha":
        return Image.merge("RGBA", (grey, grey, grey, white)), {}, ""
    if kind == "palette":
        return grey.convert("P", palette=Image.Palette.ADAPTIVE), {}, ""
    if kind == "palette with a transparent entry":
        palette = Image.fromarray(pixels(image))
        palette.putpalette([value for level in range(256) for value in (level, level, level)])
        return palette, {"transparency": 0}, "transparent: put on a black background"
    if kind == "16 bits":
        return Image.fromarray(pixels(image).astype(np.uint16) * 257), {}, ""
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise
        return grey.transpose(Image.Transpose.ROTATE_90), {"exif": exif}, "rotated according to its EXIF orientation"
    if kind == "inverted":
        return (
            Image.fromarray(255 - pixels(image)),
            {},
            "inverted: its background is light, that of the training images",
        )
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    ["white on transparent", "white on transparent, in colour", "black on transparent", "opaque alpha", "palette",
     "palette with a transparent entry", "16 bits", "turned", "inverted"],
)  # fmt: skip
def test_a_digit_is_the_same_however_it_is_stored(capsys, tmp_path, run, digits, kind):
    for image in digits[:6]:
        Image.fromarray(pixels(image)).save(tmp_path / "plain.png")
        picture, options, said = as_picture(kind, image)
        picture.save(tmp_path / "other.png", **options)
        plain, nothing = predicted(capsys, run, tmp_path / "plain.png")
        other, notes = predicted(capsys, run, tmp_path / "other.png")
        assert nothing == ""
        assert said in notes
        assert (notes == "") == (said == "")
        np.testing.assert_allclose(other, plain, atol=1e-5)


def test_a_picture_of_the_training_set_is_never_inverted(run):
    digits = handgrad.data.load("digits")
    assert not run.inverted(digits.inputs[digits.indices("train")]).any()
    assert run.inverted(16 - digits.inputs).mean() > 0.95


def test_a_run_from_before_these_figures_were_kept_still_predicts(tmp_path, run, digits):
    import shutil

    from handgrad.training.run import read_arrays, write_arrays

    shutil.copytree(run.path, tmp_path / "old")
    arrays, about = read_arrays(run.path / "preprocessing.safetensors")
    about = {name: value for name, value in about.items() if name not in ("seen", "ground", "format")}
    write_arrays(tmp_path / "old" / "preprocessing.safetensors", arrays, about)
    np.testing.assert_array_equal(load_run(tmp_path / "old").predict(digits), run.predict(digits))


def test_notes_of_an_array_are_printed_too(capsys, tmp_path, run, digits):
    np.save(tmp_path / "inverted.npy", 16 - digits)
    _, notes = predicted(capsys, run, tmp_path / "inverted.npy")
    assert "are they inverted?" in notes
