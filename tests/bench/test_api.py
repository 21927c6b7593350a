"""The benchmark of the API on few requests: it measures what it says, and notices answers that are none."""

from __future__ import annotations

import asyncio

import pytest

from bench import api


def test_every_figure_is_there() -> None:
    report = api.measure(requests=60, rounds=1, connections=2)
    names = [figure.name for figure in report.figures]
    assert names == [
        "decide over HTTP",
        "decide over HTTP, p50",
        "decide over HTTP, p99",
        "by the server's processor time",
    ]
    assert all(figure.value > 0 for figure in report.figures)


def test_an_answer_that_is_no_decision_fails_the_measurement() -> None:
    async def run() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 422 No\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with server:
            await api.load(server.sockets[0].getsockname()[1], api.requests_of(2), 1)

    with pytest.raises(RuntimeError, match="422 No"):
        asyncio.run(run())
