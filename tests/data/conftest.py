"""Small files in the formats of the data sets, and the location of the real ones."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest


def _idx(values: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return header + values.astype(np.uint8).tobytes()


@pytest.fixture(scope="session")
def idx_bytes():
    """Writes an array as an IDX file: array -> bytes."""
    return _idx


@pytest.fixture(scope="session")
def make_mnist():
    """Writes the four files of a small MNIST to a folder: (folder, n_train, n_test, packed) -> {file name: array}."""

    def make(folder: Path, n_train: int = 20, n_test: int = 10, packed: bool = True) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {}
        for part, n in (("train", n_train), ("t10k", n_test)):
            arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, n, dtype=np.uint8)
        for name, values in arrays.items():
            content = _idx(values)
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
            else:
                (folder / name).write_bytes(content)
        return arrays

    return make


@pytest.fixture(scope="session")
def make_cifar10():
    """Writes a small CIFAR-10 in both layouts below a folder: (base, n) -> (inputs, labels) in the files' order."""

    def make(base: Path, n: int = 4) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        binary, pickled = base / "cifar-10-batches-bin", base / "cifar-10-batches-py"
        binary.mkdir(parents=True, exist_ok=True)
        pickled.mkdir(parents=True, exist_ok=True)
        inputs, labels = [], []
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            data, classes = rng.integers(0, 256, (n, 3072), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8)
            (binary / f"{name}.bin").write_bytes(np.concatenate([classes[:, None], data], axis=1).tobytes())
            content = {b"batch_label": name.encode(), b"labels": classes.tolist(), b"data": data, b"filenames": [b"a"]}
            (pickled / name).write_bytes(pickle.dumps(content, protocol=4))
            inputs.append(data)
            labels.append(classes)
        return np.concatenate(inputs).reshape(-1, 3, 32, 32), np.concatenate(labels)

    return make


@pytest.fixture(autouse=True)
def no_user_folders(monkeypatch, tmp_path):
    """Tests do not use the folders or the proxy of the user who runs them."""
    monkeypatch.delenv("HANDGRAD_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    monkeypatch.setenv("no_proxy", "*")
