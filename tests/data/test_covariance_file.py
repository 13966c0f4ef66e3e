import pandas as pd
import pytest

from pmx.data import read_covariance
from pmx.errors import DataError

GOOD = "symbol,B,A\nA,0.01,0.04\nB,0.09,0.01\n"


def written(folder, text):
    file = folder / "covariance.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_columns_come_in_the_order_of_the_rows(tmp_path):
    matrix = read_covariance(written(tmp_path, GOOD))
    assert matrix.index.tolist() == matrix.columns.tolist() == ["A", "B"]
    assert matrix.to_numpy().tolist() == [[0.04, 0.01], [0.01, 0.09]]


@pytest.mark.parametrize("by_index", [True, False])
def test_parquet_gives_the_same(tmp_path, by_index):
    matrix = pd.DataFrame([[0.04, 0.01], [0.01, 0.09]], index=["A", "B"], columns=["A", "B"])
    (matrix if by_index else matrix.rename_axis("symbol").reset_index()).to_parquet(tmp_path / "c.parquet")
    assert read_covariance(tmp_path / "c.parquet").equals(read_covariance(written(tmp_path, GOOD)))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("symbol,A,B\nA,1,2\n", "B has a row or a column, but not both"),
        ("symbol,A,A\nA,1,2\nB,1,2\n", "A has two columns"),
        ("symbol,A\nA,1\nA,2\n", "A has two rows"),
        ("symbol,A\nA,\n", "covariance of A and A is not finite"),
        ("symbol,A\nA,x\n", "A at A: 'x' is not a number"),
        ("symbol\nA\n", "but not both"),
    ],
)
def test_wrong_matrices_are_refused(tmp_path, text, what):
    with pytest.raises(DataError, match=what):
        read_covariance(written(tmp_path, text))


def test_text_in_parquet_is_refused(tmp_path):
    pd.DataFrame({"A": ["x"]}, index=["A"]).to_parquet(tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"A: holds .* values, not numbers"):
        read_covariance(tmp_path / "c.parquet")
