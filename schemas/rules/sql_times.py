"""The SQL of a text in; the SQL of its epoch milliseconds out, from the year 1 to 9999, NULL where it is no time.

The twin of ``schemas.times.value_ms``. ClickHouse's own times end in 1900 and 2299, so days are counted here.
"""

from schemas.times import END_MS, FIRST_MS, ISO_VALUE

_EPOCH_DAYS = 719_468
"""From 0000-03-01 to 1970-01-01."""
_PATTERN = f"^{ISO_VALUE}$"
_YEAR, _MONTH, _DAY = (f"toInt64OrZero(g[{n}])" for n in (1, 2, 3))
_HOUR, _MINUTE, _SECOND = (f"toInt64OrZero(g[{n}])" for n in (5, 6, 8))
_FRACTION = "toInt64OrZero(substring(rightPad(g[10], 3, '0'), 1, 3))"
_ZONE = "(toInt64OrZero(g[13]) * 60 + toInt64OrZero(g[15])) * if(g[12] = '-', -60000, 60000)"
_MARCH_YEAR = f"({_YEAR} - ({_MONTH} <= 2))"
_DAYS = (
    f"{_MARCH_YEAR} * 365 + intDiv({_MARCH_YEAR}, 4) - intDiv({_MARCH_YEAR}, 100) + intDiv({_MARCH_YEAR}, 400)"
    f" + intDiv(153 * ({_MONTH} + if({_MONTH} > 2, -3, 9)) + 2, 5) + {_DAY} - 1 - {_EPOCH_DAYS}"
)
_IS_LEAP = f"(({_YEAR} % 4 = 0 AND {_YEAR} % 100 != 0) OR {_YEAR} % 400 = 0)"
_LAST_DAY = f"multiIf({_MONTH} = 2, 28 + {_IS_LEAP}, {_MONTH} IN (4, 6, 9, 11), 30, 31)"
_MS = f"(({_DAYS}) * 24 + {_HOUR}) * 3600000 + {_MINUTE} * 60000 + {_SECOND} * 1000 + {_FRACTION} - {_ZONE}"
_IS_DAY = f"length(g) > 0 AND {_YEAR} > 0 AND {_DAY} <= {_LAST_DAY}"


def text_ms(text: str) -> str:
    parts = f"if(match({text}, '{_PATTERN}'), extractGroups({text}, '{_PATTERN}'), [])"
    return f"arrayMap(g -> if({_IS_DAY}, {_MS}, NULL), [{parts}])[1]"


def in_range(ms: str) -> str:
    return f"({ms} >= {FIRST_MS} AND {ms} < {END_MS})"
