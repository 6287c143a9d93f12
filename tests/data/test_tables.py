"""Tables: reading, encoding, and errors."""

import datetime
import gzip
import json
import sys

import numpy as np
import pytest

from handgrad.data.table_files import read_table
from handgrad.data.tables import Table, TableEncoder
from handgrad.errors import ConfigError, DataError


def table(**columns):
    return Table.from_frame(columns)


def written(tmp_path, text, name="t.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


# -- the encoder ------------------------------------------------------------------------------------------------------


def test_numbers_are_kept_filled_and_flagged_and_categories_become_one_hot():
    training = table(
        age=[20.0, None, 40.0, 33.0], colour=["red", "blue", "red", ""], size=[1, 2, 3, 4], place=["x", "y", "y", "x"]
    )
    encoder = TableEncoder.fit(training)
    assert encoder.features == (
        *("age", "age is missing", "colour is missing", "colour=blue", "colour=red", "size", "place=x", "place=y"),
    )
    x, notes = encoder.transform(training)
    assert x.dtype == np.float32
    assert x.tolist() == [
        [20, 0, 0, 0, 1, 1, 1, 0],
        [33, 1, 0, 1, 0, 2, 0, 1],  # the median of 20, 40 and 33
        [40, 0, 0, 0, 1, 3, 0, 1],
        [33, 0, 1, 0, 0, 4, 1, 0],
    ]
    assert notes == []
    assert encoder.numbers.tolist() == [True, False, False, False, False, True, False, False]


def test_what_training_did_not_have_is_handled_and_said():
    encoder = TableEncoder.fit(table(age=[1.0, 2.0, 6.0], colour=["red", "blue", "red"]))
    x, notes = encoder.transform(table(colour=["green", "", "blue"], age=[5, None, 1], more=["a", "b", "c"]))
    assert x.tolist() == [[5, 0, 0], [2, 0, 0], [1, 1, 0]]
    assert "1 missing values, and training had none; filled with 2" in notes[0]
    assert "2 values that did not occur in training ('green', '(missing)'); encoded as all zeros" in notes[1]


def test_it_is_fitted_on_the_training_rows_alone():
    encoder = TableEncoder.fit(table(a=[1.0, 3.0, 100.0], b=["x", "y", "z"]), np.array([0, 1]))
    assert encoder.columns[0].fill == 2
    assert encoder.columns[1].values == ("x", "y")


def test_it_comes_back_from_json():
    encoder = TableEncoder.fit(table(a=[1.0, None], b=["x", "y"], y=[0, 1], empty=["", ""]), target=("y",))
    assert encoder.left_out == ("empty",)
    assert encoder.target == ("y",)
    assert TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder
    assert encoder.to_dict()["columns"] == [
        {"name": "a", "kind": "number", "fill": 1.0, "flag": True},
        {"name": "b", "kind": "category", "values": ["x", "y"]},
    ]


def test_numbers_that_are_names_are_categories_where_asked():
    encoder = TableEncoder.fit(table(zip=[1010, 8010, 1010]), categories=("zip",))
    assert encoder.features == ("zip=1010", "zip=8010")
    # the same numbers, as floats since one is missing
    x, _ = encoder.transform(table(zip=[8010.0, None]))
    assert x.tolist() == [[0, 1], [0, 0]]


TEXTS = [f"a sentence of its own, number {i}" for i in range(60)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2026-11-29", "2026-11-30"], r"column 'c' of .* contains dates \('2026-11-29'\).*--ignore c"),
        (["29.11.2026", "1.12.2026"], "contains dates"),
        (["Nov 29, 2026", ""], "contains dates"),
        ([datetime.date(2026, 11, 29), None], "contains dates"),
        (np.array(["2026-11-29"], "M8[D]"), "contains dates"),
        (TEXTS, r"column 'c' of .* has 60 different texts in 60 rows.*free text or a name.*--ignore c"),
        (["x" * 300, "y"], r"contains free text \(300 characters in row 1\)"),
        (
            ["1", "2", "three", "4"],
            r"column 'c' of .* mixes types: 3 numbers and 1 other cell, the first 'three' in row 3",
        ),
        (["173,6", "186,1", ""], r"decimal comma \('173,6'\).*semicolons.*--categories c.*--ignore c"),
        (
            ["173,6", "1.186,1"],
            r"decimal comma \('173,6'\) and a thousands separator \('1.186,1'\): write plain",
        ),
        (["$6,335.00", "$5"], r"a currency \('\$6,335.00'\): write plain numbers"),
        (["21\u202f208,50 €"], "a currency"),
        (["5%", "12.5 %"], r"a percent sign \('5%'\)"),
        ([f"{i} kg" for i in range(60)], r"the unit 'kg' \('0 kg'\): write the numbers alone"),
        ([1.0, np.inf], r"column 'c' of .* contains inf in row 2: expected finite"),
        ([1.0, 1e300], r"contains 1e\+300 in row 2"),
        ([[1], [2]], "has shape"),
        ([b"x", b"y"], "dtype=.S1"),
        ([{}, {}], "of type dict"),
        ([1j, 2j], "dtype=complex128"),
    ],
)
def test_a_column_that_is_no_input_is_refused_by_name(values, message):
    with pytest.raises(DataError, match=message):
        TableEncoder.fit(table(c=values))


def test_other_tables_than_the_one_of_training_are_refused():
    encoder = TableEncoder.fit(table(age=[1.0, 2.0], colour=["red", "blue"]))
    with pytest.raises(DataError, match="lacks the column 'age', which the network was trained on: it has 'colour'"):
        encoder.transform(table(colour=["red"]))
    with pytest.raises(DataError, match=r"column 'age' of .* contains 'old' in row 2: expected a number"):
        encoder.transform(table(age=["1", "old"], colour=["red", "red"]))
    with pytest.raises(DataError, match=r"column 'age' of .* contains dates: expected numbers, as in training"):
        encoder.transform(table(age=np.array(["2026-11-29"], "M8[D]"), colour=["red"]))
    with pytest.raises(DataError, match="no column left to learn from"):
        TableEncoder.fit(table(y=[1, 2]), target=("y",))


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    columns = {"n": [1.5, None, 2.5], "s": ["a", None, "b"], "b": [True, False, True], "i": [1, 2, 3]}
    frames = [
        *(pandas.DataFrame(columns), pandas.DataFrame(columns).convert_dtypes(), polars.DataFrame(columns), columns),
        pandas.DataFrame(columns).astype({"s": "category"}),
    ]
    results = [TableEncoder.fit(Table.from_frame(frame)) for frame in frames]
    assert all(encoder == results[0] for encoder in results)
    assert results[0].features == (*("n", "n is missing", "s is missing", "s=a", "s=b", "b=False", "b=True", "i"),)
    with pytest.raises(DataError, match="has the column 'a' 2 times"):
        Table.from_frame(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "semicolon.csv", "utf16.csv", "bom.csv", "t.parquet"])
def test_the_same_table_in_every_kind_of_file(tmp_path, name):
    path = tmp_path / name
    text = 'a,"b, c",d\n1,x,2.5\n,"y,y",NA\n3,x,-1e3\n'
    if name == "t.tsv":
        text = "a\tb, c\td\n1\tx\t2.5\n\ty,y\tNA\n3\tx\t-1e3\n"
    elif name == "semicolon.csv":
        text = "a;b, c;d\n1;x;2,5\n;y,y;NA\n3;x;-1000,0\n"
    if name == "t.parquet":
        duckdb = pytest.importorskip("duckdb")
        rows = """VALUES (1, 'x', 2.5::DOUBLE), (NULL, 'y,y', NULL), (3, 'x', -1e3)"""
        with duckdb.connect() as connection:
            connection.sql(f'SELECT * FROM ({rows}) t(a, "b, c", d)').write_parquet(str(path))
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_bytes(text.encode({"utf16.csv": "utf-16", "bom.csv": "utf-8-sig"}.get(name, "utf-8")))
    read = read_table(path)
    np.testing.assert_array_equal(read.columns["a"], [1, np.nan, 3])
    assert read.columns["b, c"].tolist() == ["x", "y,y", "x"]
    np.testing.assert_array_equal(read.columns["d"], [2.5, np.nan, -1000])


def test_text_after_many_numbers_makes_a_column_of_text(tmp_path):
    path = written(tmp_path, "a,b\n" + "1,2\n" * 10_001 + "x,3\n")
    read = read_table(path)
    assert read.columns["a"].tolist() == ["1"] * 10_001 + ["x"]
    assert read.columns["b"].sum() == 2 * 10_001 + 3


def test_targets_stay_as_they_are_written(tmp_path):
    assert read_table(written(tmp_path, "a,b\n007,1.0\n"), {"a", "b"}).columns["a"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: expected a header"),
        ("a,b\n", "0 rows: expected a row for each sample"),
        ("a,b\n1,2\n1\n", "line 3, has 1 cells: expected 2, as in the header"),
        ("a,b\n1,2,3\n", "line 2, has 3 cells: expected 2"),
        ("a,a,b\n1,2,3\n", "has the column 'a' 2 times"),
        ("a,b\n1,2\na, b\n3,4\n", "line 3, repeats the header: expected it once; remove this line"),
        (",\n1,2\n", "has no name for column 1"),
        ("PK\3\4...", "Excel workbook"),
        ("<!DOCTYPE html>\n", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ('[{"a": 1}]\n', "is JSON"),
        ("a;b\n12.345;1,5\n1.250;2,5\n", "a point separates thousands"),
        ("1.5,2\n1,2\n", r"begins with numbers \(1.5, 2\), not with a header"),
        ("5.1,3.5,setosa\n1,2,x\n", "not with a header"),
        ('a,b\n"1,2\n3,4\n', "is a quote not closed"),
        ("a,b\n1,\0\n", "contains a byte 0"),
        ("a,b\n1," + "x" * 200_000 + "\n", "has a cell of more than 131,072 characters"),
    ],
)
def test_broken_text_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_table(written(tmp_path, text))


def test_a_line_without_an_end_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("handgrad.data.table_files.MAX_LINE", 1000)
    with pytest.raises(DataError, match="line 2, has more than 1,000 characters"):
        read_table(written(tmp_path, "a,b\n" + "1" * 5000))


def test_wrong_encodings_and_broken_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"not text in UTF-8 \(byte 0xe9.*iconv"):
        read_table(written(tmp_path, "a,b\ncafé,1\n", encoding="latin-1"))
    (tmp_path / "odd.csv").write_bytes("a,b\n1,2\n".encode("utf-16") + b"x")
    with pytest.raises(
        DataError, match=r"odd.csv begins as text in UTF-16 and is not \(truncated data\): expected UTF-8"
    ):
        read_table(tmp_path / "odd.csv")
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 100)
    (tmp_path / "cut.csv.gz").write_bytes(whole[:-10])
    with pytest.raises(DataError, match=r"not a complete gzip file .*: replace it with a whole one"):
        read_table(tmp_path / "cut.csv.gz")
    with pytest.raises(DataError, match="there is no file"):
        read_table(tmp_path / "none.csv")
    pytest.importorskip("duckdb")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(DataError, match="is not a Parquet file that can be read"):
        read_table(tmp_path / "broken.parquet")
    with pytest.raises(DataError, match="there is no file"):
        read_table(tmp_path / "none.parquet")


def test_parquet_without_duckdb(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(
        ConfigError, match=r"t.parquet: a .parquet file requires duckdb, .*\[parquet\]\", or write the tab"
    ):
        read_table(tmp_path / "t.parquet")


def test_a_column_without_a_name_is_left_out(tmp_path):
    read = read_table(written(tmp_path, "a,b,\n1,2,\n3,4,\n"))
    assert list(read.columns) == ["a", "b"]
    assert read.unnamed == ()
    assert read_table(written(tmp_path, ",a\n0,2\n1,4\n")).unnamed == (1,)


@pytest.mark.parametrize("header", ["par1,par2", "PAR1,PAR2", "pk,y", "bzh91ay,y"])
def test_a_header_like_the_beginning_of_another_format_is_read(tmp_path, header):
    assert ",".join(read_table(written(tmp_path, f"{header}\n1,2\n")).columns) == header


def test_gzip_without_its_suffix_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(DataError, match=r"compressed with gzip: name it with .gz"):
        read_table(tmp_path / "t.csv")


def test_utf_16_without_a_byte_order_mark_and_a_stated_separator(tmp_path):
    for encoding in ("utf-16-le", "utf-16-be", "utf-8"):
        read = read_table(written(tmp_path, "sep=;\na;b\n1,5;2\n", encoding=encoding))
        assert {name: column.tolist() for name, column in read.columns.items()} == {"a": [1.5], "b": [2.0]}
