"""A port of the embedded ClickHouse in, a client of it out; queries that the tests share."""

import httpx

from tests.support import services

ONE_AND_TWO = bytes([1, *[0] * 7, 2, *[0] * 7])
COUNT = "SELECT count(), sum(a) FROM x.t"


def http(port: int) -> httpx.Client:
    return httpx.Client(base_url=services.front_url(port), headers={"Accept-Encoding": "identity"}, timeout=30)


def ask(client: httpx.Client, sql: str = COUNT) -> str:
    answer = client.post("/", content=sql)
    assert answer.status_code == 200, answer.text
    return answer.text
