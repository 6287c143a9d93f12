"""Gives a run's file that a test has changed on purpose the checksum that it would have been written with."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save_file

from handgrad.training import checksums


def seal(path: Path) -> None:
    """Replaces the checksum of a `.toml`, `.json`, `.jsonl` or `.safetensors` file of a run, or adds one."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("handgrad", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about.pop("sha256", None)
        save_file(arrays, path, metadata={"handgrad": checksums.header(arrays, about)})
        return
    text = path.read_text()
    if path.suffix == ".toml":
        path.write_text(checksums.toml_text(text.partition("# sha256 of the lines above")[0]))
    elif path.suffix == ".json":
        path.write_text(checksums.json_text({k: v for k, v in json.loads(text).items() if k != "sha256"}))
    else:
        records = [json.loads(line) for line in text.splitlines()]
        path.write_text("".join(checksums.line({k: v for k, v in r.items() if k != "crc32"}) for r in records))
