"""Files as vendors, spreadsheets and pandas write them give the same table, or say what they are."""

# ruff: noqa: PD010, PD013

import io

import numpy as np
import pandas as pd
import pytest

from pmx.data import check_prices, read_cash_rate, read_covariance, read_prices, read_targets, read_weights
from pmx.errors import DataError, PmxWarning

DATES = pd.DatetimeIndex(["2020-01-02", "2020-01-03", "2020-01-31"], name="date")
CLOSES = pd.DataFrame({"AAPL": [300.35, 297.43, 309.51], "MSFT": [1160.5, 1158.25, 1170.125]}, index=DATES)
#: Fields of two tickers as yfinance returns them; the adjusted closes are half the closes.
FIELDS = pd.concat(
    {"Adj Close": CLOSES / 2, "Close": CLOSES, "High": CLOSES + 1, "Volume": CLOSES * 1e4},
    axis=1,
    names=["Price", "Ticker"],
).rename_axis("Date")
ONE = pd.DataFrame(
    {"Open": CLOSES["AAPL"] - 1, "High": CLOSES["AAPL"] + 1, "Low": CLOSES["AAPL"] - 2, "Close": CLOSES["AAPL"],
     "Volume": [1e6, 2e6, 3e6]}
).rename_axis("Date")  # fmt: skip
LONG = CLOSES.stack().rename("close").rename_axis(["date", "symbol"])


def write(folder, content, name="prices.csv"):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def text_of(frame, **how):
    out = io.StringIO()
    frame.to_csv(out, **how)
    return out.getvalue()


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def same(read, wanted=CLOSES):
    pd.testing.assert_frame_equal(read, wanted, check_names=False, check_column_type=False)


EUROPEAN = (
    "Datum;AAPL;MSFT\r\n02.01.2020;300,35;1.160,50\r\n03.01.2020;297,43;1.158,25\r\n31.01.2020;309,51;1.170,125\r\n"
)
QUIET = {
    "semicolons": text_of(CLOSES, sep=";"),
    "semicolons and decimal commas": text_of(CLOSES, sep=";", decimal=","),
    "a european spreadsheet": EUROPEAN.encode("utf-8-sig"),
    "a spreadsheet's unicode text": EUROPEAN.replace(";", "\t").encode("utf-16"),
    "a first line that names the delimiter": "sep=;\n" + text_of(CLOSES, sep=";", decimal=","),
    "tabs": text_of(CLOSES, sep="\t"),
    "grouped thousands": text_of(CLOSES).replace("1160.5", '"1,160.50"'),
    "row numbers": text_of(CLOSES.reset_index()),
    "row numbers that pandas named": text_of(CLOSES.reset_index()).replace(",date", "Unnamed: 0,date", 1),
    "dates last": text_of(CLOSES.reset_index()[["AAPL", "MSFT", "date"]], index=False),
    "an index without a name": text_of(CLOSES.rename_axis(None)),
    "blank lines and a column of nothing": "\n".join(f"{line}," for line in text_of(CLOSES).split()) + "\n,,,\n\n",
    "dates in the header": text_of(CLOSES.T),
    "long": text_of(LONG.reset_index(), index=False),
    "long with row numbers": text_of(LONG.reset_index()),
    "long, out of order, other names": text_of(
        LONG.reset_index().set_axis(["Date", "Ticker", "Price"], axis=1)[["Ticker", "Date", "Price"]], index=False
    ),
    "days first": text_of(CLOSES, date_format="%d/%m/%Y"),
    "months first": text_of(CLOSES, date_format="%m/%d/%Y"),
    "dates without a separator": text_of(CLOSES, date_format="%Y%m%d"),
    "midnights of a time zone": text_of(CLOSES.tz_localize("America/New_York")),
    "closes alone by ticker": text_of(FIELDS[["Close"]]),
}


@pytest.mark.parametrize("kind", QUIET)
def test_prices_are_the_same_however_they_are_written(tmp_path, kind):
    same(read_prices(write(tmp_path, QUIET[kind])))


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("header", ["three lines", "two lines"])
def test_yfinance_files_give_adjusted_closes_by_ticker_and_say_so(tmp_path, swapped, header):
    table = FIELDS.swaplevel(axis=1) if swapped else FIELDS
    text = text_of(table if header == "three lines" else table.rename_axis(None))
    with pytest.warns(PmxWarning, match="several fields of each ticker, of which Adj Close was taken"):
        same(read_prices(write(tmp_path, text)), CLOSES / 2)
    with pytest.warns(PmxWarning, match="of which Close was taken"):
        same(read_prices(write(tmp_path, text_of(table.drop(columns="Adj Close", level=1 if swapped else 0)))))


def test_a_yfinance_file_of_one_ticker(tmp_path):
    text = "Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,\n2020-01-02,300.35,3,2,2,5\n"
    with pytest.warns(PmxWarning, match="of which Close was taken"):
        assert read_prices(write(tmp_path, text)).loc["2020-01-02"].to_dict() == {"AAPL": 300.35}


@pytest.mark.parametrize("swapped", [False, True])
def test_fields_by_ticker_in_a_dataframe_or_parquet(tmp_path, swapped):
    table = FIELDS.swaplevel(axis=1) if swapped else FIELDS
    with pytest.warns(PmxWarning, match="Adj Close was taken"):
        same(check_prices(table), CLOSES / 2)
    table.to_parquet(tmp_path / "a.parquet")
    with pytest.warns(PmxWarning, match="Adj Close was taken"):
        same(read_prices(tmp_path / "a.parquet"), CLOSES / 2)


@pytest.mark.parametrize("columns", [["Open", "High", "Low", "Close", "Volume"], ["Close", "Volume"], ["Close"]])
def test_one_share_is_never_several_symbols(tmp_path, columns):
    table = ONE[columns]
    words = "one share's open, high, low, close and volume table, not one column a symbol; keep its column Close: "
    remedy = "df[['Close']].rename(columns={'Close': 'TICKER'})"
    assert words + remedy in refusal(check_prices, table)
    for name in ("prices.csv", "PRICES.csv"):
        message = refusal(read_prices, write(tmp_path, text_of(table), name))
        assert words + remedy in message
        assert "name the file after its ticker, such as AAPL.csv" in message
    same(check_prices(table[["Close"]].rename(columns={"Close": "AAPL"})), CLOSES[["AAPL"]])  # the remedy


def test_one_share_is_named_after_its_file(tmp_path):
    with pytest.warns(PmxWarning, match=r"read as the share AAPL, after the file's name; its column Close was taken"):
        same(read_prices(write(tmp_path, text_of(ONE), "AAPL.csv")), CLOSES[["AAPL"]])
    adjusted = ONE.assign(**{"Adj Close": ONE["Close"] / 4})
    adjusted.to_parquet(tmp_path / "005930.KS.parquet")
    with pytest.warns(PmxWarning, match=r"share 005930.KS, .* Adj Close was taken"):
        assert read_prices(tmp_path / "005930.KS.parquet")["005930.KS"].tolist() == (CLOSES["AAPL"] / 4).tolist()


@pytest.mark.parametrize(
    "text",
    [
        '"Date","Price","Open","High","Low","Vol.","Change %"\n"01/02/2020","1,300.35","1","2","1","12.3M","0.5%"\n'
        '"01/31/2020","1,309.51","1","2","1","9.1M","-0.5%"\n',
        "Date,Close/Last,Volume,Open,High,Low\n01/02/2020,$1300.35,5,$1,$2,$1\n01/31/2020,$1309.51,5,$1,$2,$1\n",
        "Datum;Erster;Hoch;Tief;Schlusskurs;Stuecke;Volumen\n02.01.2020;1;2;1;1.300,35;5;5\n31.01.2020;1;2;1;1.309,51;5;5\n",
        "timestamp,open,high,low,close,volume\n2020-01-31,1,2,1,1309.51,5\n2020-01-02,1,2,1,1300.35,5\n",
        "Date,Open,High,Low,Close*,Adj. Close**,Volume\n2020-01-02,1,2,1,9,1300.35,5\n2020-01-31,1,2,1,9,1309.51,5\n",
    ],
)
def test_one_share_as_portals_write_it(tmp_path, text):
    with pytest.warns(PmxWarning, match="read as the share MSFT, after the file's name"):
        read = read_prices(write(tmp_path, text, "MSFT.csv"))
    assert read["MSFT"].tolist() == [1300.35, 1309.51]
    assert read.index.tolist() == [pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-31")]


def test_tickers_that_are_words_of_a_table_stay_tickers(tmp_path):
    table = CLOSES.assign(OPEN=1.0, LOW=2.0)
    same(read_prices(write(tmp_path, text_of(table))), table)
    same(check_prices(CLOSES.rename(columns={"AAPL": "CODE"})), CLOSES.rename(columns={"AAPL": "CODE"}))


def test_long_prices_with_fields_take_the_close(tmp_path):
    table = pd.concat(dict.fromkeys(("AAPL", "MSFT"), ONE), names=["Name"]).reset_index()
    with pytest.warns(PmxWarning, match="one row for each Date and Name; the column Close was taken"):
        read = read_prices(write(tmp_path, text_of(table, index=False)))
    same(read, pd.DataFrame({"AAPL": ONE["Close"], "MSFT": ONE["Close"]}))


def test_a_long_parquet_by_date_and_symbol(tmp_path):
    LONG.to_frame().to_parquet(tmp_path / "long.parquet")
    same(read_prices(tmp_path / "long.parquet"))


def test_a_number_that_begins_with_0_groups_no_thousands(tmp_path):
    comma = read_prices(write(tmp_path, "date;A\n2020-01-02;0,125\n2020-01-03;0,250\n"))
    assert comma["A"].tolist() == [0.125, 0.25]
    point = read_prices(write(tmp_path, "date;A\n2020-01-02;0.125\n2020-01-03;1.250\n"))
    assert point["A"].tolist() == [0.125, 1.25]


def test_a_pair_that_a_long_table_lacks_is_no_price(tmp_path):
    read = read_prices(write(tmp_path, text_of(LONG.reset_index().drop(index=1), index=False)))
    assert read.isna().sum().to_dict() == {"AAPL": 0, "MSFT": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("date,symbol,close\n2020-01-02,AAPL,1\n2020-01-02,AAPL,2\n", "line 3: AAPL on 2020-01-02 has two rows"),
        ("date,symbol,close\n2020-01-02,AAPL,x\n", "AAPL at 2020-01-02: 'x' is not a number"),
        ("date,symbol,close\n2020-01-02,,1\n", "line 2 has no symbol"),
        ("date,symbol,bid,ask\n2020-01-02,A,1,2\n", "and bid, ask beside them; keep one column of values"),
        ("date;A\n2020-01-02;1.234\n2020-01-03;2.345\n", "'1.234' may group thousands or have a decimal mark"),
        ('date,A\n2020-01-02,"1,234"\n', "'1,234' may group thousands or have a decimal mark"),
        ("date;A\n2020-01-02;1,5\n2020-01-03;1.5\n", "'1,5' has a decimal comma and '1.5' a decimal point"),
        ("date,A\n02/03/2020,1\n03/03/2020,1\n", "'02/03/2020' is not a date without doubt: day or month may"),
        ("date,A\n31.02.2020,1\n", "'31.02.2020' is not a date"),
        ("2020-01-02,300.35,1160.5\n2020-01-03,297.43,1158.25\n", "line 1 holds values and no names"),
    ],
)  # fmt: skip
def test_what_may_mean_two_things_is_refused(tmp_path, text, words):
    assert words in refusal(read_prices, write(tmp_path, text))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (LONG.reset_index(), "df.pivot(index='date', columns='symbol', values='close')"),
        (LONG.to_frame(), "the rows are labelled by date and symbol, not by date; turn the symbols into"),
        (LONG.to_frame().assign(volume=1.0)[["volume", "close"]], "df['close'].unstack()"),
        (CLOSES.reset_index(), "the dates are in the column date, not in the index; set it: df.set_index('date')"),
        (pd.concat({"a": CLOSES, "b": CLOSES}, axis=1), "the columns have 2 levels, ('a', 'AAPL') first"),
    ],
)  # fmt: skip
def test_a_dataframe_in_another_layout_is_refused_with_the_line_that_converts_it(table, words):
    assert words in refusal(check_prices, table)


def test_the_remedies_of_dataframes_convert_them():
    same(check_prices(LONG.reset_index().pivot(index="date", columns="symbol", values="close")))
    same(check_prices(LONG.to_frame()["close"].unstack()))


def test_numbers_as_tickers_are_their_text(tmp_path):
    table = CLOSES.set_axis([5930, 660], axis=1)
    wanted = CLOSES.set_axis(["5930", "660"], axis=1)
    same(check_prices(table), wanted)
    same(
        read_prices(write(tmp_path, text_of(CLOSES.set_axis(["5930", "0700"], axis=1)))),
        CLOSES.set_axis(["5930", "0700"], axis=1),
    )
    long = table.stack().rename("close").rename_axis(["date", "symbol"])
    same(read_prices(write(tmp_path, text_of(long.reset_index(), index=False))), wanted)
    long.to_frame().to_parquet(tmp_path / "long.parquet")
    same(read_prices(tmp_path / "long.parquet"), wanted)
    weights = pd.Series([0.5, 0.25], index=pd.Index([5930, 660], name="symbol"), name="weight")
    weights.to_frame().to_parquet(tmp_path / "w.parquet")
    for file in (
        tmp_path / "w.parquet",
        write(tmp_path, '[{"symbol": 5930, "weight": 0.5}, {"symbol": 660, "weight": 0.25}]', "w.json"),
    ):
        assert read_weights(file).to_dict() == {"5930": 0.5, "660": 0.25}
    matrix = pd.DataFrame([[0.04, 0.01], [0.01, 0.09]], index=[5930, 660], columns=["5930", "660"])
    matrix.to_parquet(tmp_path / "c.parquet")
    assert read_covariance(tmp_path / "c.parquet").loc["5930", "660"] == 0.01


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("symbol;weight\nSPY;0,6\nBIL;-0,25\n", "w.csv"),
        ("symbol,weight\nSPY,60%\nBIL,-25 %\n", "w.csv"),
        ("Ticker\tWeights\nSPY\t60,0 %\nBIL\t-25,0 %\n", "w.csv"),
        (",weights\nSPY,0.6\nBIL,-0.25\n", "w.csv"),
        (",0\nSPY,0.6\nBIL,-0.25\n", "w.csv"),
        ("SPY,0.6\nBIL,-0.25\n", "w.csv"),
        ("SPY,60%\nBIL,-25%\n", "w.csv"),
        ('{"SPY": "60%", "BIL": "-25%"}', "w.json"),
        ('{"SPY": "0,60", "BIL": -0.25}', "w.json"),
    ],
)
def test_weights_are_the_same_however_they_are_written(tmp_path, text, name):
    if name == "w.json" and "0,60" in text:
        assert "decimal comma" in refusal(read_weights, write(tmp_path, text, name))
        return
    assert read_weights(write(tmp_path, text, name)).to_dict() == {"SPY": 0.6, "BIL": -0.25}


def test_targets_are_the_same_however_they_are_written(tmp_path):
    wanted = pd.DataFrame({"SPY": [0.5, 0.125], "BIL": [0.25, 0.0]}, index=DATES[:2])
    texts = (
        text_of(wanted),
        text_of(wanted, sep=";", decimal=","),
        "date,SPY,BIL\n2020-01-02,50%,25%\n2020-01-03,12.5%,0\n",
        text_of(wanted.stack().rename("weight").rename_axis(["date", "symbol"]).reset_index(), index=False),
    )
    for text in texts:
        same(read_targets(write(tmp_path, text)), wanted)
    long = "date,bucket,symbol,target\n2020-01-02,core,SPY,0.5\n2020-01-02,tail,SPY,0.25\n"
    assert read_targets(write(tmp_path, long)).to_dict("records") == [{("core", "SPY"): 0.5, ("tail", "SPY"): 0.25}]
    assert "one share's" in refusal(read_targets, write(tmp_path, text_of(ONE)))


def test_a_rate_and_a_covariance_with_decimal_commas(tmp_path):
    assert read_cash_rate(write(tmp_path, "Datum;Satz\n02.01.2020;0,0001\n")).tolist() == [0.0001]
    assert read_cash_rate(write(tmp_path, "date,rate\n2020-01-02,0.01%\n")).tolist() == [0.0001]
    matrix = read_covariance(write(tmp_path, "symbol;A;B\nA;0,04;0,01\nB;0,01;0,09\n"))
    assert np.array_equal(matrix, [[0.04, 0.01], [0.01, 0.09]])
