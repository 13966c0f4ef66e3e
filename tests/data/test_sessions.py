import numpy as np
import pandas as pd
import pytest

from pmx.data.sessions import NEVER, Sessions, missed_by_row


def table(dates, **gaps):
    """Closes of 1, NaN where a gap says so: a condition on the dates."""
    closes = pd.DataFrame(1.0, dates, list(gaps))
    for symbol, gap in gaps.items():
        closes.loc[gap(dates), symbol] = np.nan
    return closes


def counted(closes):
    rows = missed_by_row(closes.index, closes.to_numpy())
    return pd.DataFrame(rows, closes.index, closes.columns)


def weekend(dates):
    return dates.day_of_week >= 5


def test_a_share_on_a_table_with_weekends_misses_its_weekdays_alone():
    """Closed from 11 to 16 September 2001: four sessions, though six rows went by."""
    dates = pd.date_range("2001-06-01", "2001-09-20")
    closes = table(
        dates,
        SHARE=lambda days: weekend(days) | ((days >= "2001-09-11") & (days <= "2001-09-16")),
        COIN=lambda days: days == "2001-09-15",
    )
    missed = counted(closes)
    assert missed.loc["2001-09-07":"2001-09-17", "SHARE"].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 4, 4, 0]
    assert missed["COIN"].sum() == 1


@pytest.mark.parametrize("weeks", [1, 2, 8])
def test_a_first_week_is_enough_to_know_a_weekend(weeks):
    dates = pd.date_range("2001-09-10", periods=7 * weeks + 7) - pd.Timedelta(days=7 * weeks)
    halted = table(dates, SHARE=lambda days: weekend(days) | (days >= "2001-09-11"))
    expected = [0, 1, 2, 3, 4, 4, 4]
    assert counted(halted)["SHARE"].iloc[-7:].tolist() == expected


def test_of_the_first_weekend_nothing_is_known_yet():
    missed = counted(table(pd.date_range("2024-01-01", periods=8), SHARE=weekend))
    assert missed["SHARE"].tolist() == [0, 0, 0, 0, 0, 1, 2, 0]


def test_where_every_row_is_a_session_every_row_counts():
    dates = pd.bdate_range("2024-01-01", periods=60)
    missed = counted(table(dates, A=lambda days: days >= days[40]))
    assert missed["A"].tolist() == [0] * 40 + list(range(1, 21))


def test_monthly_rows_count_whatever_day_they_fall_on():
    dates = pd.date_range("2020-01-31", periods=30, freq="ME")
    missed = counted(table(dates, A=lambda days: days >= days[20]))
    assert missed["A"].tolist() == [0] * 20 + list(range(1, 11))


def test_holidays_and_one_odd_session_do_not_change_the_week():
    dates = pd.date_range("2024-01-01", periods=90)
    odd = {pd.Timestamp("2024-01-20")}  # a session on a Saturday, one in eight
    holidays = {pd.Timestamp("2024-02-19"), pd.Timestamp("2024-01-15")}
    gone = pd.Timestamp("2024-03-06")
    closes = table(
        dates, A=lambda days: (weekend(days) & ~days.isin(list(odd))) | days.isin(list(holidays)) | (days >= gone)
    )
    expected = np.cumsum([day.day_of_week < 5 for day in dates[dates >= gone]])
    assert counted(closes).loc[gone:, "A"].tolist() == expected.tolist()


def test_what_trades_once_a_week_misses_once_a_week():
    dates = pd.bdate_range("2024-01-01", periods=100)
    closes = table(dates, FUND=lambda days: (days.day_of_week != 2) | (days >= days[70]))
    missed = counted(closes)["FUND"]
    assert missed.iloc[10:70].max() == 0
    assert missed.iloc[-1] == (dates[70:].day_of_week == 2).sum()


def test_times_of_day_outside_its_hours_are_no_sessions():
    dates = pd.date_range("2024-01-01", periods=24 * 30, freq="h")

    def shut(days):
        return weekend(days) | (days.hour < 9) | (days.hour > 16)

    halt = pd.Timestamp("2024-01-23")
    closes = table(dates, SHARE=lambda days: shut(days) | (days >= halt))
    missed = counted(closes)["SHARE"]
    assert missed.loc["2024-01-23 23:00"] == 8
    assert missed.loc["2024-01-29 23:00"] == 8 * 5  # Tuesday to Friday, and Monday
    assert missed.loc["2024-01-15":"2024-01-22"].max() == 0


def test_no_close_yet():
    dates = pd.date_range("2024-01-01", periods=20)
    missed = counted(table(dates, A=lambda days: days < days[5], B=lambda days: days < days[0]))
    assert missed["A"].tolist() == [NEVER] * 5 + [0] * 15


def test_what_is_counted_rests_on_the_rows_so_far_and_on_nothing_else():
    rng = np.random.default_rng(4)
    dates = pd.date_range("2024-01-01", periods=200)
    closes = np.where(rng.random((200, 6)) < np.array([0.0, 0.1, 0.3, 0.6, 0.9, 0.97]), np.nan, 1.0)
    closes[weekend(dates), :3] = np.nan
    rows = missed_by_row(dates, closes)
    for n in (1, 2, 9, 63, 140, 200):
        assert Sessions().missed(dates[:n], closes[:n]).tolist() == rows[n - 1].tolist()
    jumping = Sessions()
    for n in (50, 120, 121, 30, 200, 200):  # forwards in leaps, back, and the same row again
        assert jumping.missed(dates[:n], closes[:n]).tolist() == rows[n - 1].tolist()


def test_against_the_definition():
    """Each count, from the definition in words, symbol by symbol."""
    rng = np.random.default_rng(8)
    dates = pd.date_range("2024-01-01", periods=150)
    closes = np.where(rng.random((150, 4)) < np.array([0.1, 0.4, 0.7, 0.95]), np.nan, 1.0)
    closes[weekend(dates), :2] = np.nan
    rows = missed_by_row(dates, closes)
    for column in range(4):
        priced = np.flatnonzero(np.isfinite(closes[:, column]))
        for row in range(150):
            before = priced[priced <= row]
            if len(before) == 0:
                assert rows[row, column] == NEVER
                continue
            last = before[-1]
            window = [k for k in range(priced[0], last + 1) if dates[k] >= dates[last] - pd.Timedelta(days=60)]
            share = {}
            for weekday in range(7):
                of_day = [k for k in window if dates[k].day_of_week == weekday]
                if of_day:
                    share[weekday] = np.mean([np.isfinite(closes[k, column]) for k in of_day])
            most = max(share.values())
            sessions = {weekday for weekday in range(7) if share.get(weekday, 1.0) >= 0.25 * most}
            assert rows[row, column] == sum(dates[k].day_of_week in sessions for k in range(last + 1, row + 1))
