"""The Python file of a network that was trained on a table takes the table itself."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest
from tests.export import networks

from handgrad.data.tables import MISSING as TABLE_MISSING
from handgrad.data.tables import Table, TableEncoder
from handgrad.export.onnx import onnx_model
from handgrad.export.python import MISSING, python_file
from handgrad.export.torch import torch_module

NAMES = ("age", "town", 'odd "name"', "children", "member")
ROWS = [
    ["31", "Ulm", "0.5", "2", "True"],
    ["", "Köln", "1e3", "0", "False"],
    ["57.25", "", "-3", "NA", "True"],
    ["44", "Ulm", "2.5", "1", ""],
]


def columns(rows):
    table = {}
    for name, cells in zip(NAMES, zip(*rows, strict=True), strict=True):
        column = np.array(cells, object)
        table[name] = column
    return Table("rows", table)


ENCODER = TableEncoder.fit(columns(ROWS), categories=("children",))
FEATURES = len(ENCODER.features)


def network(**fields):
    values = {
        "architecture": networks.mlp((FEATURES,), (), 3),
        "table": {**ENCODER.to_dict(), "target": ["kind"]},
        "shift": np.linspace(-1, 1, FEATURES).astype(np.float32),
        "scale": np.full(FEATURES, 0.01, np.float32),
        "input_shape": (FEATURES,),
    }
    made = networks.trained("no-hidden-layer", **{**values, **fields})
    rng = np.random.default_rng(0)
    state = {"0.weight": rng.normal(size=(3, FEATURES)).astype(np.float32), "0.bias": np.zeros(3, np.float32)}
    made.state.clear()
    made.state.update(state)
    return made


def load(network):
    module = types.ModuleType("net")
    exec(compile(python_file(network, file_name="net.py", training=True), "net.py", "exec"), module.__dict__)
    return module


def expected(made, rows=ROWS):
    x, _ = ENCODER.transform(columns(rows))
    return made.user_values(made.network().forward((x - made.shift) * made.scale))


def dictionaries(rows=ROWS):
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


def test_the_file_encodes_rows_as_training_did(close):
    made = network()
    module = load(made)
    encoded, _ = ENCODER.transform(columns(ROWS))
    np.testing.assert_array_equal(module.encode(dictionaries()), encoded)
    close(module.predict(dictionaries()), expected(made), 1e-6)
    close(module.predict(encoded), expected(made), 1e-6)  # numbers that are encoded already
    unseen = [["1", "Oz", "?", "7", "maybe"]]
    with pytest.warns(UserWarning, match="did not occur in training; encoded as all zeros") as seen:
        close(module.predict(dictionaries(unseen)), expected(made, unseen), 1e-6)
    unknown = [str(warning.message).partition(" did")[0] for warning in seen]
    assert unknown == ["column town: 'Oz'", "column children: '7'", "column member: 'maybe'"]


def test_numbers_none_and_nan_are_taken_as_well(close):
    made = network()
    rows = [
        {"age": 31, "town": "Ulm", 'odd "name"': 0.5, "children": 2.0, "member": True},
        {"age": None, "town": None, 'odd "name"': np.float32(7), "children": np.nan, "member": np.bool_(False)},
    ]
    same = [["31", "Ulm", "0.5", "2", "True"], ["", "", "7", "", "False"]]
    with pytest.warns(UserWarning, match="column children: '' did not occur in training"):
        close(load(made).predict(rows), expected(made, same), 1e-6)


def test_a_data_frame(close):
    pandas = pytest.importorskip("pandas")
    made = network()
    close(load(made).predict(pandas.DataFrame(dictionaries())), expected(made), 1e-6)


@pytest.mark.parametrize(("end", "separator"), [(".csv", ","), (".csv", ";"), (".tsv", "\t"), (".csv.gz", ",")])
def test_its_command_line_takes_the_table(end, separator, tmp_path, close):
    import csv
    import gzip

    made = network(task="regression", loss="mse")
    (tmp_path / "net.py").write_text(python_file(made, file_name="net.py"), "utf-8")
    opened = gzip.open if end.endswith(".gz") else open
    with opened(tmp_path / f"table{end}", "wt", encoding="utf-8-sig", newline="") as file:
        rows = [[cell.replace("0.5", "0,5") if separator == ";" else cell for cell in row] for row in ROWS]
        csv.writer(file, delimiter=separator).writerows([NAMES, *rows])
    command = [sys.executable, "net.py", f"table{end}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True)
    header, *lines = list(csv.reader(done.stdout.splitlines()))
    assert header == ["row", *made.classes]
    close([[float(value) for value in line[1:]] for line in lines], expected(made), 1e-5)


def test_its_command_line_warns_of_an_unknown_category_once(tmp_path):
    (tmp_path / "net.py").write_text(python_file(network(), file_name="net.py"), "utf-8")
    (tmp_path / "t.csv").write_text('age,town,"odd ""name""",children,member\n' + "1,Oz,1,2,True\n" * 3, "utf-8")
    command = [sys.executable, "net.py", "t.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True)
    assert done.stderr == "column town: 'Oz' did not occur in training; encoded as all zeros\n"
    assert len(done.stdout.splitlines()) == 4


def test_names_with_commas_are_quoted_in_lists_and_targets_are_called_targets():
    text = python_file(network(classes=("a, b", "c", "d")), file_name="net.py")
    assert 'Output: classes "a, b", c, d.' in text
    assert "from net import predict, CLASSES" in text
    text = python_file(network(task="regression", loss="mse"), file_name="net.py")
    assert "from net import predict, TARGETS" in text
    assert "CLASSES" not in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age,town\n1,Ulm\n", "row 1: there is no column 'odd \"name\"'"),
        ('age,town,"odd ""name""",children,member\nold,Ulm,1,2,True\n', "row 1, column age: 'old' is not a number"),
        ('age,town,"odd ""name""",children,member\n1,Ulm,1\n', "line 2 does not have 5 cells"),
    ],
)
def test_its_command_line_refuses_another_table(text, message, tmp_path):
    (tmp_path / "net.py").write_text(python_file(network(), file_name="net.py"), "utf-8")
    (tmp_path / "table.csv").write_text(text)
    command = [sys.executable, "net.py", "table.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_other_forms_name_the_features():
    import onnx

    made = network()
    assert made.feature_names == ENCODER.features
    model = onnx.load_from_string(onnx_model(made, with_preprocessing=True))
    about = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(about["features"]) == list(ENCODER.features)
    text = torch_module(made, file_name="net.py")
    assert "FEATURES = (" in text
    assert "town=Ulm" in text


def test_what_stands_for_a_missing_number_is_what_the_reader_takes_for_it():
    assert set(MISSING) == TABLE_MISSING


def test_its_command_line_reads_names_and_cells_of_several_lines_and_keeps_its_input(tmp_path):
    (tmp_path / "net.py").write_text(python_file(network(), file_name="net.py"), "utf-8")
    text = 'age,"no\nted",town,"odd ""name""",children,member\n1,"x\ny",Ulm,1,2,True\n'
    (tmp_path / "t.csv").write_text(text, "utf-8")
    done = subprocess.run([sys.executable, "net.py", "t.csv"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    command = [sys.executable, "net.py", "t.csv", "--out", "t.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "would be overwritten" in done.stderr
    assert (tmp_path / "t.csv").read_text("utf-8") == text
