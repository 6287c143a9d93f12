"""What tests read from the files of a run, and what they do to them."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save_file

from handgrad.training import checksums


def figures(run_dir: Path) -> list[dict]:
    """The evaluations of a run without their times."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("seconds", "crc32")} for line in lines]


def seal(path: Path) -> None:
    """Gives a file that was changed on purpose the checksum that it would have been written with.

    Replaces the checksum of a `.toml`, `.json`, `.jsonl` or `.safetensors` file of a run, or adds one.
    """
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
