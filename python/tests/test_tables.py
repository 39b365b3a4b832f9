"""The same rows by any road are the same bytes."""

from __future__ import annotations

import decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from conftest import CONFIG, columns, digest, numbers

import sisa

ARRAYS = numbers()
FRAME = pd.DataFrame(columns(ARRAYS))


def chunked(table: pa.Table, rows: int) -> pa.Table:
    empty = table.slice(0, 0)
    return pa.concat_tables([empty, *(table.slice(at, rows) for at in range(0, len(table), rows)), empty])


def by_csv(folder: Path) -> object:
    FRAME.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def by_npz(folder: Path) -> object:
    np.savez(folder / "t.npz", **ARRAYS)
    return str(folder / "t.npz")


def by_parquet(folder: Path) -> object:
    FRAME.to_parquet(folder / "t.parquet", index=False)
    return [folder / "t.parquet"]


ROADS = {
    "npz": by_npz,
    "parquet": by_parquet,
    "pandas": lambda _: FRAME,
    "pandas in doubles": lambda _: FRAME.astype({f"x{at}": "float64" for at in range(4)}),
    "pandas of arrow": lambda _: FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "pandas with an index": lambda _: FRAME.set_index(np.arange(len(FRAME)) * 7 + 3),
    "polars": lambda _: pl.from_pandas(FRAME),
    "pyarrow": lambda _: pa.Table.from_pandas(FRAME, preserve_index=False),
    "pyarrow in chunks": lambda _: chunked(pa.Table.from_pandas(FRAME, preserve_index=False), 41),
    "pyarrow of views": lambda _: pa.Table.from_pandas(FRAME.astype({"id": "str"}), preserve_index=False).cast(
        pa.schema([(name, pa.string_view() if name == "id" else pa.float32() if name[0] == "x" else pa.int64()) for name in FRAME])
    ),
    "duckdb": lambda _: duckdb.sql("select * from FRAME order by id"),
    "numpy": lambda _: ARRAYS,
    "numpy in columns": lambda _: {**ARRAYS, "X": np.asfortranarray(ARRAYS["X"])},
    "numpy with strides": lambda _: {**ARRAYS, "X": np.repeat(ARRAYS["X"].astype(np.float64), 2, axis=1)[:, ::2]},
    "numpy, a name a column": lambda _: columns(ARRAYS),
    "numpy of small integers": lambda _: {**ARRAYS, "y": ARRAYS["y"].astype(np.int8), "ids": ARRAYS["ids"].astype(np.uint16)},
    "numpy of large integers": lambda _: {**ARRAYS, "ids": ARRAYS["ids"].astype(np.uint64)},
    "numpy of text": lambda _: {**ARRAYS, "ids": ARRAYS["ids"].astype(str), "subjects": ARRAYS["subjects"].astype(str).astype(object)},
    "several tables": lambda _: [FRAME[:100], pl.from_pandas(FRAME[100:300]), {k: v[300:] for k, v in ARRAYS.items()}],
}


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("csv")
    sisa.Workspace(folder / "ws").train(by_csv(folder), config=CONFIG.format(learner="boost"), seed=1)
    return digest(folder / "ws")


@pytest.mark.parametrize("road", ROADS)
def test_rows_are_the_same_bytes_by(road: str, csv: str, tmp_path: Path) -> None:
    ws = sisa.Workspace(tmp_path / "ws")
    ws.train(ROADS[road](tmp_path), config=CONFIG.format(learner="boost"), seed=1)
    assert digest(ws.path) == csv


MIXED = """
[data]
subject = "who"
record = ["id"]
missing = [""]
[label]
column = "y"
values = ["no", "yes"]
[columns]
dose = { kind = "number", range = [-8, 8] }
count = { kind = "number", range = [0, 100] }
ward = { kind = "category", values = ["east", "west", "north"] }
room = { kind = "category", values = ["1", "2", "3"] }
[learner]
kind = "forest"
"""


def test_nulls_and_categories_are_what_an_empty_cell_and_text_are(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(1), 500
    frame = pd.DataFrame({"id": np.arange(rows), "who": [f"p{at // 2}" for at in range(rows)]})
    frame["dose"] = pd.array(rng.integers(-500, 500, rows) / 64, dtype="Float64")
    frame["count"] = pd.array(rng.integers(0, 100, rows), dtype="Int64")
    frame["ward"] = pd.array(np.array(["east", "west", "north", "south"])[rng.integers(0, 4, rows)], dtype="string")
    frame["room"] = pd.array(rng.integers(1, 5, rows), dtype="Int64")
    frame["y"] = np.where(frame["dose"].to_numpy(float) > 0, "yes", "no")
    for at, name in enumerate(["dose", "count", "ward", "room"]):
        frame.loc[frame.index % 7 == at, name] = pd.NA
    frame.to_csv(tmp_path / "t.csv", index=False)
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    ward = arrow.schema.get_field_index("ward")
    # A dictionary with values that no row has, and one that stands twice.
    twice = pa.DictionaryArray.from_arrays(
        pa.array([None if w is None else ["none", "west", "east", "south", "north", "east"].index(w) + (3 if w == "east" and at % 2 else 0)
                  for at, w in enumerate(arrow["ward"].to_pylist())], pa.int32()),
        pa.array(["none", "west", "east", "south", "north", "east"]),
    )
    gaps = frame.astype({"dose": "float64", "count": "float64"})
    roads = {
        "csv": tmp_path / "t.csv",
        "nullable": frame,
        "arrow": arrow,
        "dictionary": chunked(arrow.set_column(ward, "ward", twice), 77),
        "views": arrow.set_column(ward, "ward", arrow["ward"].cast(pa.string_view())),
        "large": arrow.set_column(ward, "ward", arrow["ward"].cast(pa.large_string())),
        "gaps": gaps,
        "categorical": frame.astype({"ward": "category", "room": "category"}),
        "polars": pl.from_arrow(arrow).with_columns(pl.col("ward").cast(pl.Categorical)),
        "objects": {name: frame[name].astype(object).to_numpy() for name in frame},
    }
    digests = {}
    for name, table in roads.items():
        sisa.Workspace(tmp_path / name).train(table, config=MIXED, seed=1)
        digests[name] = digest(tmp_path / name)
    assert len(set(digests.values())) == 1, digests


VECTORS = """
[data]
subject = "subject"
record = ["id"]
missing = ["", "NaN"]
[label]
column = "y"
values = ["0", "1"]
[columns]
v = { kind = "embedding", size = 6, range = [-8, 8] }
x0 = { kind = "number", range = [-8, 8] }
[learner]
kind = "ridge"
map = { kind = "relu", dimension = 32 }
strength = 3e-3
"""


def test_vectors_are_the_same_bytes_by_any_road(tmp_path: Path) -> None:
    """Some of them are missing, and some numbers of others."""
    rng, rows = np.random.default_rng(2), 400
    v = (rng.integers(-1000, 1000, (rows, 6)) / 128).astype(np.float32)
    v[rng.random(v.shape) < 0.05] = np.nan
    v[::9] = np.nan
    others = {"x0": v[::-1, 2].copy(), "y": (rng.random(rows) > 0.5).astype(np.int64), "id": np.arange(rows), "subject": np.arange(rows) // 2}
    gone = np.zeros(v.shape, bool)
    gone[::9] = True
    items = pa.array(v.ravel(), mask=gone.ravel())
    nulls = pa.FixedSizeListArray.from_arrays(items, 6, mask=pa.array(gone[:, 0]))
    arrow = pa.table({**others, "v": nulls})
    pd.DataFrame({**others, **{f"v{at}": v[:, at] for at in range(6)}}).to_csv(tmp_path / "t.csv", index=False)
    np.savez(tmp_path / "t.npz", X=others["x0"][:, None], y=others["y"], ids=others["id"], subjects=others["subject"], v=v)
    lists = arrow.set_column(4, "v", arrow["v"].cast(pa.list_(pa.float32())))
    pa.feather.write_feather(arrow, tmp_path / "t.feather", compression="lz4")
    pa.feather.write_feather(lists, tmp_path / "lists.feather", compression="uncompressed")
    # As PyArrow, polars and DuckDB write them, with pages that end within a vector.
    pq.write_table(arrow, tmp_path / "t.parquet", data_page_size=64, row_group_size=150)
    pq.write_table(lists, tmp_path / "lists.parquet", data_page_version="2.0", compression="zstd", use_dictionary=False)
    pl.from_arrow(arrow).cast({"v": pl.Array(pl.Float32, 6)}).write_parquet(tmp_path / "polars.parquet")
    duckdb.sql(f"copy (select x0, y, id, subject, v::FLOAT[] as v from arrow order by id) to '{tmp_path}/duckdb.parquet'")
    frame = pd.DataFrame({**others, "v": [None if none else vector for none, vector in zip(gone[:, 0], v)]})
    roads = {
        "csv": tmp_path / "t.csv",
        "npz": tmp_path / "t.npz",
        "numpy": {**others, "v": v},
        "numpy in columns, doubles": {**others, "v": np.asfortranarray(v.astype(np.float64))},
        "arrow": arrow,
        "arrow in chunks": chunked(arrow, 37),
        "arrow of doubles": arrow.set_column(4, "v", arrow["v"].cast(pa.list_(pa.float64(), 6))),
        "arrow of lists": chunked(lists, 37),
        "feather": tmp_path / "t.feather",
        "feather of lists": tmp_path / "lists.feather",
        "parquet": tmp_path / "t.parquet",
        "parquet of lists": tmp_path / "lists.parquet",
        "parquet by polars": tmp_path / "polars.parquet",
        "parquet by duckdb": tmp_path / "duckdb.parquet",
        "pandas of arrays": frame,
        "polars of lists": pl.from_arrow(lists),
        "polars": pl.from_arrow(arrow).cast({"v": pl.Array(pl.Float32, 6)}),
        "duckdb": duckdb.sql("select x0, y, id, subject, v::FLOAT[6] as v from arrow order by id"),
    }
    digests, answers = {}, {}
    for name, table in roads.items():
        ws = sisa.Workspace(tmp_path / name)
        ws.train(table, config=VECTORS, seed=1)
        answers[name] = [ws.predict_proba(asked).tobytes() for asked in roads.values()]
        digests[name] = digest(ws.path)
        if name != "csv" and not isinstance(table, Path):
            told = ws.propose(table, label="y")
            assert '\nv = { kind = "embedding", size = 6, range = [-7.5, 7.5] }' in told, told
    assert len(set(digests.values())) == 1, digests
    assert len({one for some in answers.values() for one in some}) == 1
    with pytest.raises(sisa.InputError, match="no column `v5`, which the schema declares as a number of an embedding"):
        sisa.Workspace(tmp_path / "numpy").predict({**others, "v": v[:, :5]})


def test_without_pyarrow_a_frame_is_read_by_its_arrays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, csv: str) -> None:
    import builtins

    real = builtins.__import__

    def without(name: str, *args: object, **named: object) -> object:
        if name == "pyarrow":
            raise ImportError(name)
        return real(name, *args, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    ws = sisa.Workspace(tmp_path / "ws")
    ws.train(FRAME, config=CONFIG.format(learner="boost"), seed=1)
    assert digest(ws.path) == csv


def test_dates_and_decimals_are_their_text(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=60).date
    table = pa.table({"day": days, "price": [decimal.Decimal(at) / 4 for at in range(60)], "y": ["a", "b"] * 30})
    config = "[data]\n[label]\ncolumn='y'\nvalues=['a','b']\n[columns]\nday={kind='date',order='year-month-day',range=[0,20000]}\n"
    config += "price={kind='number',range=[0,20]}\n[learner]\nkind='forest'\n"
    pd.DataFrame({name: table[name].to_pylist() for name in table.column_names}).to_csv(tmp_path / "t.csv", index=False)
    for name, road in {"arrow": table, "csv": tmp_path / "t.csv"}.items():
        sisa.Workspace(tmp_path / name).train(road, config=config, seed=1)
    assert digest(tmp_path / "arrow") == digest(tmp_path / "csv")


@pytest.mark.parametrize(
    ("table", "error", "says"),
    [
        (7, TypeError, "int is not read as a table"),
        ({"X": np.zeros((2, 2, 2))}, TypeError, "3 dimensions"),
        ({"X": np.zeros((2, 4), ">f8")}, TypeError, "cast it to float64"),
        ({"X": np.zeros((2, 4), complex)}, TypeError, "complex128"),
        ({"x0": np.array([1, "a"], object)}, TypeError, "object of type int"),
        ({"x0": np.zeros(3), "x1": np.zeros(2)}, sisa.InputError, "2 rows where the first has 3"),
        (pd.DataFrame({"x0": [1.0, np.inf]}).assign(x1=0.0, x2=0.0, x3=0.0), sisa.InputError, "infinite"),
        (pa.table({f"x{at}": pa.array([[1]]) for at in range(4)}), sisa.InputError, "items of type List"),
        (pa.table({"v": pa.array([[1.0]])}), sisa.InputError, "no column `x0`"),
        ("no such file.csv", sisa.InputError, "no such file.csv"),
    ],
)
def test_what_is_no_table_is_named(trained: sisa.Workspace, table: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says.replace("(", r"\(")):
        trained.predict(table)


def test_ids_are_text_or_whole_numbers(trained: sisa.Workspace) -> None:
    for wrong in (True, 1.0, [None], [b"1"]):
        with pytest.raises(TypeError, match="ids are text or whole numbers"):
            trained.delete(wrong)
    assert trained.delete(np.arange(2))["effective"]["outcomes"][0]["in_slices"] > 0
    # Floats of a frame with gaps are refused as ids, and no row is half read.
    with pytest.raises(sisa.InputError, match="ids are text or integers"):
        sisa.Workspace(trained.path + "2").train(FRAME.assign(id=FRAME["id"].astype(float)), config=CONFIG.format(learner="boost"))


def test_an_empty_table_has_no_answers(trained: sisa.Workspace) -> None:
    assert trained.predict(FRAME[:0]).shape == (0,)
    assert trained.predict_proba({"X": np.zeros((0, 4))}).shape == (0, 2)


def test_a_stream_is_asked_for_once_and_a_second_time_its_error_is_told(trained: sisa.Workspace) -> None:
    reader = pa.Table.from_pandas(FRAME, preserve_index=False).to_reader()
    assert len(trained.predict(reader)) == len(FRAME)

    def rows():
        yield pa.RecordBatch.from_pandas(FRAME[:10], preserve_index=False)
        raise RuntimeError("the well is dry")

    failing = pa.RecordBatchReader.from_batches(pa.Schema.from_pandas(FRAME, preserve_index=False), rows())
    with pytest.raises(TypeError, match="the well is dry"):
        trained.predict(failing)
