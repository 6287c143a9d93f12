"""The built-in data sets with their sources and download locations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """One official file: its name, SHA-256 (hexadecimal) and size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Entry:
    """A data set of the catalogue.

    Arguments:
        name: as in `load(name)`.
        title: a line for lists.
        format: the module that reads it: "digits", "idx", "cifar10" or "speech".
        sizes: the number of samples of "train" and "test" in the official files, which is the maximum; empty for the
            user's own files.
        input_shape: (C, H, W), or (F,) if a sample is a window of frames with F features each.
        classes: names of the classes; empty if the number is determined by the files.
        value_range: the largest raw value.
        preprocessing: the default of `load`.
        licence, source: terms of use and origin.
        mirrors: base URLs of the downloads, tried in turn.
        downloads: the official files.
        contents: checksums of the uncompressed content of official files: (name without .gz, algorithm, hexadecimal
            digits).
        torchvision: the folder in which torchvision stores it, if any.
    """

    name: str
    title: str
    format: str
    sizes: dict[str, int]
    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    value_range: float
    preprocessing: str
    licence: str
    source: str
    mirrors: tuple[str, ...] = ()
    downloads: tuple[Download, ...] = ()
    contents: tuple[tuple[str, str, str], ...] = ()
    torchvision: str = ""


_DIGITS = tuple("0123456789")

_ENTRIES = (
    Entry(
        name="digits",
        title="8x8 handwritten digits, inside the package",
        format="digits",
        sizes={"train": 1438, "test": 359},
        input_shape=(1, 8, 8),
        classes=_DIGITS,
        value_range=16.0,
        preprocessing="unit",
        licence="CC BY 4.0",
        source="E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI, doi:10.24432/C50P49",
    ),
    Entry(
        name="mnist",
        title="28x28 handwritten digits",
        format="idx",
        sizes={"train": 60_000, "test": 10_000},
        input_shape=(1, 28, 28),
        classes=_DIGITS,
        value_range=255.0,
        preprocessing="unit",
        torchvision="MNIST",
        licence="CC BY-SA 3.0",
        source="Y. LeCun, C. Cortes and C. J. C. Burges (1998), The MNIST database of handwritten digits",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        downloads=(
            Download(
                "train-images-idx3-ubyte.gz",
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                9_912_422,
            ),
            Download(
                "train-labels-idx1-ubyte.gz",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                28_881,
            ),
            Download(
                "t10k-images-idx3-ubyte.gz",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                1_648_877,
            ),
            Download(
                "t10k-labels-idx1-ubyte.gz",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                4_542,
            ),
        ),
        contents=(
            (
                "train-images-idx3-ubyte",
                "sha256",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            (
                "train-labels-idx1-ubyte",
                "sha256",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            (
                "t10k-images-idx3-ubyte",
                "sha256",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            (
                "t10k-labels-idx1-ubyte",
                "sha256",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    ),
    Entry(
        name="fashion-mnist",
        title="28x28 pictures of clothes",
        format="idx",
        sizes={"train": 60_000, "test": 10_000},
        input_shape=(1, 28, 28),
        classes=(
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        value_range=255.0,
        preprocessing="unit",
        torchvision="FashionMNIST",
        licence="MIT",
        source="H. Xiao, K. Rasul and R. Vollgraf (2017), Fashion-MNIST, arXiv:1708.07747",
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        downloads=(
            Download(
                "train-images-idx3-ubyte.gz",
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                26_421_880,
            ),
            Download(
                "train-labels-idx1-ubyte.gz",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                29_515,
            ),
            Download(
                "t10k-images-idx3-ubyte.gz",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                4_422_102,
            ),
            Download(
                "t10k-labels-idx1-ubyte.gz",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                5_148,
            ),
        ),
        contents=(
            (
                "train-images-idx3-ubyte",
                "sha256",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            (
                "train-labels-idx1-ubyte",
                "sha256",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            (
                "t10k-images-idx3-ubyte",
                "sha256",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            (
                "t10k-labels-idx1-ubyte",
                "sha256",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
    ),
    Entry(
        name="cifar10",
        title="32x32 colour pictures of animals and vehicles",
        format="cifar10",
        sizes={"train": 50_000, "test": 10_000},
        input_shape=(3, 32, 32),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        value_range=255.0,
        preprocessing="standard",
        licence="none stated; cite the source",
        source="A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images",
        mirrors=(
            "https://www.cs.toronto.edu/~kriz/",
            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
        ),
        downloads=(
            Download(
                "cifar-10-binary.tar.gz",
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                170_052_171,
            ),
        ),
        contents=(  # of the binary files as MXNet publishes them, of the pickled ones as torchvision does
            ("data_batch_1.bin", "sha1", "aadd24acce27caa71bf4b10992e9e7b2d74c2540"),
            ("data_batch_2.bin", "sha1", "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795"),
            ("data_batch_3.bin", "sha1", "1dd00a74ab1d17a6e7d73e185b69dbf31242f295"),
            ("data_batch_4.bin", "sha1", "aab85764eb3584312d3c7f65fd2fd016e36a258e"),
            ("data_batch_5.bin", "sha1", "26e2849e66a845b7f1e4614ae70f4889ae604628"),
            ("test_batch.bin", "sha1", "67eb016db431130d61cd03c7ad570b013799c88c"),
            ("data_batch_1", "md5", "c99cafc152244af753f735de768cd75f"),
            ("data_batch_2", "md5", "d4bba439e000b95fd0a9bffe97cbabec"),
            ("data_batch_3", "md5", "54ebc095f3ab1f0389bbae665268c751"),
            ("data_batch_4", "md5", "634d18415352ddfa80567beed471001a"),
            ("data_batch_5", "md5", "482c414d41f54cd18b22e5b47cb7c3cb"),
            ("test_batch", "md5", "40351d587109b95175f43aff81a1287e"),
        ),
    ),
    Entry(
        name="speech",
        title="speech frames of 10 ms, each labelled with a phoneme state: the files of the competition, or your own "
        "recordings",
        format="speech",
        sizes={},
        input_shape=(40,),
        classes=(),
        value_range=1.0,
        preprocessing="standard",
        licence="that of the recordings",
        source="the format: Carnegie Mellon University, Introduction to Deep Learning (2019), homework 1, part 2",
    ),
)

DATASETS = {entry.name: entry for entry in _ENTRIES}
