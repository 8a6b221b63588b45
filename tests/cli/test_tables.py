"""What people have: tables of every form and make, images, texts; and what is said about them."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from dataval.cli.columns import make_features
from dataval.cli.errors import UsageError
from dataval.cli.formats import read_numbers
from dataval.cli.main import main
from dataval.cli.samples import Wanted, read_samples

RNG = np.random.default_rng(0)
KINDS = np.array(["rose", "tulip"])[np.arange(40) % 2]
FRAME = pd.DataFrame(
    {
        "size": np.round(RNG.normal(size=40) + 3 * (np.arange(40) % 2), 3),
        "hue": ["a", "b", "c", "d"] * 10,
        "y": KINDS,
    }
)


def text_of(frame=FRAME, **options):
    return frame.to_csv(index=False, **options)


def pack_zip(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("inner.csv", content)
    return stream.getvalue()


def pack_zst(content):
    pa = pytest.importorskip("pyarrow")
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The features of the table as CSV."""
    path = tmp_path_factory.mktemp("plain") / "d.csv"
    path.write_text(text_of())
    return read_samples(path, Wanted())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.txt", text_of(sep="\t").encode()),
        ("d.dat", text_of(sep=" ").encode()),
        ("d.csv", text_of(sep="~").encode()),
        ("d.csv", text_of(sep=";", decimal=",").encode()),
        ("d.csv", text_of().encode("utf-16")),
        ("d.csv.gz", gzip.compress(text_of().encode())),
        ("d.zip", None),
        ("d.csv.zip", pack_zip(text_of())),
        ("d.csv.zst", None),
        ("d.jsonl", FRAME.to_json(orient="records", lines=True).encode()),
        ("d.json", FRAME.to_json(orient="records").encode()),
        ("d.jsonl.gz", gzip.compress(FRAME.to_json(orient="records", lines=True).encode())),
    ],
)
def test_the_same_table_in_every_text_form(plain, tmp_path, name, content):
    if name == "d.csv.zst":
        content = pack_zst(text_of().encode())
    if name == "d.zip":
        name, content = "d.tsv.zip", pack_zip(text_of(sep="\t"))
    (tmp_path / name).write_bytes(content)
    found = read_samples(tmp_path / name, Wanted())
    np.testing.assert_array_equal(found.X, plain.X)
    assert found.labels == plain.labels


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".xlsx"])
def test_the_same_table_with_types(plain, tmp_path, suffix):
    pytest.importorskip("pyarrow")
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    path = tmp_path / f"d{suffix}"
    {
        ".parquet": FRAME.to_parquet,
        ".feather": FRAME.to_feather,
        ".xlsx": lambda p: FRAME.to_excel(p, index=False),
    }[suffix](path)
    found = read_samples(path, Wanted())
    np.testing.assert_allclose(found.X, plain.X, rtol=1e-6)  # float32
    assert found.labels == plain.labels


def test_embeddings_nested_fields_and_an_index(tmp_path):
    pytest.importorskip("pyarrow")
    vectors = RNG.normal(size=(40, 3)).astype(np.float32)
    frame = pd.DataFrame(
        {"vector": list(vectors), "meta": [{"w": i % 7, "h": i % 5} for i in range(40)], "y": KINDS},
        index=pd.Index([f"s{i:03d}" for i in range(40)], name="key"),
    )
    frame.to_parquet(tmp_path / "d.parquet")
    found = read_samples(tmp_path / "d.parquet", Wanted())
    assert found.X.shape == (40, 5)
    # Standardised in float32.
    np.testing.assert_allclose(found.X[:, :3], (vectors - vectors.mean(0)) / vectors.std(0), atol=1e-5)
    assert list(found.columns) == ["key", "vector", "meta.w", "meta.h", "y"]
    assert "(1 of lists, 2 of numbers)" in found.understood


@pytest.mark.parametrize(
    ("texts", "comma", "numbers"),
    [
        (["1,234", "12,000,000"], False, [1234, 12_000_000]),
        (["1,234", "7"], True, [1.234, 7]),
        (["1,5", "1,25"], False, [1.5, 1.25]),
        (["1.234,5", "2.000"], False, [1234.5, 2000]),
        (["1,234.50", "3.5"], False, [1234.5, 3.5]),
        (["1 234", "12\u00a0345,5"], False, [1234, 12345.5]),
        (["1'234.5", "2"], False, [1234.5, 2]),
        (["10%", "2.5 %"], False, [0.1, 0.025]),
        (["$5", "-$1,200.50", "$-3"], False, [5, -1200.5, -3]),
        (["5 €", "EUR 1.200,50"], False, [5, 1200.5]),
        (["(1,200)", "30"], False, [-1200, 30]),
        (["\u22125", "3"], False, [-5, 3]),
        (["007", "1e5"], False, [np.nan, np.nan]),
        (["3_7", "1.2.3"], False, [np.nan, np.nan]),
    ],
)
def test_numbers_as_people_write_them(texts, comma, numbers):
    np.testing.assert_allclose(read_numbers(texts, comma=comma)[0], numbers, rtol=1e-12)  # float64


def test_another_encoding_is_said(tmp_path):
    (tmp_path / "d.csv").write_bytes(text_of(FRAME.replace("a", "blau\u00e4")).encode("cp1252"))
    found = read_samples(tmp_path / "d.csv", Wanted())
    assert "blau\u00e4" in found.columns["hue"].tolist()
    assert any("cp1252" in note for note in found.notes)


TEXTS = [
    f"{('what a dull and tedious mess it was', 'such a lovely and charming film')[i % 2]} number {i} of many"
    for i in range(40)
]


def test_texts_become_features_of_their_words():
    found = make_features(pd.DataFrame({"review": TEXTS, "other": [str(i % 3) for i in range(40)]}, dtype=str))
    assert found.kinds == {"texts": ["review"], "numbers": ["other"]}
    # The first component parts the two kinds of review.
    first = found.X[:, :5]
    parts = [abs(np.corrcoef(column, np.arange(40) % 2)[0, 1]) for column in first.T]
    assert max(parts) > 0.95


def test_names_are_read_as_text_on_request():
    names = pd.DataFrame({"name": [f"Mr {'Smith' if i % 2 else 'Miller'} {i}" for i in range(40)]}, dtype=str)
    with pytest.raises(UsageError, match="different in every row"):
        make_features(names)
    assert make_features(names, text=["name"]).kinds == {"texts": ["name"]}


@pytest.mark.parametrize("name", ["id", "user_id", "PassengerId", "Unnamed: 0", "customer key"])
def test_ids_are_left_out_unless_they_are_kept(name):
    frame = pd.DataFrame({name: RNG.permutation(40) + 1000, "a": np.arange(40) % 7})
    assert make_features(frame).kinds == {"numbers": ["a"]}
    assert make_features(frame, keep=[name]).kinds == {"numbers": [name, "a"]}


def test_columns_by_name(tmp_path):
    frame = FRAME.assign(
        **{"a, b": np.arange(40) % 6, "note": np.arange(40) % 5, "who": [f"w{i}" for i in range(40)]}
    )
    (tmp_path / "d.csv").write_text(text_of(frame))
    wanted = Wanted(drop=("size,note", "a, b"), id="who")
    found = read_samples(tmp_path / "d.csv", wanted)
    assert found.understood.startswith("40 rows, 1 columns to learn from (1 of categories)")
    assert next(iter(found.columns)) == "who"


def test_all_that_is_wrong_is_said_at_once(tmp_path, refused):
    (tmp_path / "d.csv").write_text("a,b,y\n" + f"{'9' * 400},1,u\n1,2,u\n" * 3)
    said = refused("detect", "d.csv", "--drop", "c,d", "--keep", "e")
    for problem in ("no column 'c', 'd'", "no column 'e'", "two classes or more", "column 'a' holds numbers"):
        assert problem in said
    (tmp_path / "d.csv").write_text("a,a,y\n1,2,u\n1,2\n3,4,u,5\n" + "1,2\n" * 9)
    said = refused("detect", "d.csv")
    for problem in ("same name 'a'", "row 2 has 2 cells", "row 3 has 4 cells", "and 6 more such rows"):
        assert problem in said


@pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.parquet", "d.xlsx"])
def test_without_pandas_the_extra_is_named(refused, tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(text_of().encode())
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "pip install 'dataval[tables]'" in refused("detect", name)


def test_excel_without_openpyxl(refused, tmp_path, monkeypatch):
    (tmp_path / "d.xlsx").write_bytes(b"PK")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert "pip install 'dataval[excel]'" in refused("detect", "d.xlsx")


def test_the_result_as_parquet(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    (tmp_path / "d.csv").write_text(text_of(FRAME.assign(code=["=1", "x"] * 20)))
    target = tmp_path / "found.parquet"
    for _ in range(2):  # over the earlier one
        assert main(["detect", str(tmp_path / "d.csv"), "--out", str(target)]) == 0
    found = pd.read_parquet(target)
    assert list(found)[:6] == ["rank", "row", "label", "value", "probability_wrong", "suggested_label"]
    assert found["probability_wrong"].between(0, 1).all()
    assert set(found["code"]) == {"=1", "x"}  # only a spreadsheet would run it
    FRAME.to_parquet(target)
    assert main(["detect", str(tmp_path / "d.csv"), "--out", str(target)]) == 2
    assert "no earlier result" in capsys.readouterr().err


# ---- images ----------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """A folder of images a class, of different sizes."""
    image = pytest.importorskip("PIL.Image")
    for i in range(12):
        folder = tmp_path / "images" / ("dark", "light")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 90, (9 + i, 12)).astype(np.uint8) + np.uint8(150 * (i % 2))
        image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "images"


def test_a_folder_a_class(pictures):
    found = read_samples(pictures, Wanted())
    assert found.X.shape == (12, 1, 32, 32)
    assert found.classes == ("dark", "light")
    assert found.columns["path"][0] == "dark/0.png"
    with pytest.raises(UsageError, match="no table: leave out --drop"):
        read_samples(pictures, Wanted(drop=("a",)))


def test_a_table_of_paths(pictures):
    paths = sorted(str(path.relative_to(pictures.parent)) for path in pictures.rglob("*.png"))
    frame = pd.DataFrame({"file": paths, "label": [path.split("/")[1] for path in paths]})
    frame.to_csv(pictures.parent / "paths.csv", index=False)
    found = read_samples(pictures.parent / "paths.csv", Wanted())
    assert found.X.shape == (12, 1, 32, 32)
    # A tenth, within which dark and light images lie apart by far.
    assert found.X[0].mean() < 0.3 < found.X[-1].mean()
    frame.loc[[2, 5], "file"] = "images/none.png"
    frame.to_csv(pictures.parent / "paths.csv", index=False)
    with pytest.raises(UsageError, match=r"can't be read as images: .*none.png, .*none.png"):
        read_samples(pictures.parent / "paths.csv", Wanted())


def test_a_data_set_of_hugging_face(pictures, tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"n": datasets.Value("float32"), "label": datasets.ClassLabel(names=["u", "v"])}
    )
    rows = datasets.Dataset.from_dict({"n": list(range(12)), "label": [0, 1] * 6}, features=features)
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(str(tmp_path / "table"))
    found = read_samples(tmp_path / "table", Wanted())
    assert (found.classes, found.X.shape) == (("u", "v"), (12, 1))
    assert any("only 'train' is ranked" in note for note in found.notes)
    paths = [str(path) for path in sorted(pictures.rglob("*.png"))]
    images = datasets.Dataset.from_dict({"image": paths, "label": [0, 1] * 6}).cast_column(
        "image", datasets.Image()
    )
    images.save_to_disk(str(tmp_path / "photos"))
    assert read_samples(tmp_path / "photos", Wanted()).X.shape == (12, 1, 32, 32)
