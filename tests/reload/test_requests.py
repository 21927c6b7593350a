"""What is asked of a session: small files that are taken, answered, or taken back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.reload.errors import ReloadError
from engine.reload.requests import ANSWERS, Answer, Request, ask, new_id, take


def test_a_request_is_taken_answered_and_read_by_whoever_asked(tmp_path: Path) -> None:
    request = Request(id=new_id(), action="end")
    served: list[Request] = []

    def sleep(_: float) -> None:
        served.extend(take(tmp_path))
        answer = tmp_path / ANSWERS / f"{request.id}.json"
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.write_bytes(msgspec.json.encode(Answer(id=request.id, done=True, line="done")))

    assert ask(tmp_path, request, sleep=sleep).line == "done"
    assert served == [request]


def test_a_request_is_taken_once(tmp_path: Path) -> None:
    folder = tmp_path / "reload" / "requests"
    folder.mkdir(parents=True)
    (folder / "7.json").write_bytes(msgspec.json.encode(Request(id="7", action="end")))
    assert [request.id for request in take(tmp_path)] == ["7"]
    assert not list(take(tmp_path))


def test_a_request_that_nobody_takes_is_taken_back(tmp_path: Path) -> None:
    times = iter(range(100))
    with pytest.raises(Exception, match="no session answers"):
        ask(tmp_path, Request(id="1", action="end"), timeout_s=3, clock=lambda: next(times), sleep=lambda _: None)
    assert not list(take(tmp_path))


def test_a_session_that_does_not_answer_is_named_by_its_process(tmp_path: Path) -> None:
    times = iter(range(100))
    request = Request(id="1", action="rollback")
    with pytest.raises(ReloadError, match="process 77, does not answer") as refused:
        ask(tmp_path, request, process=77, timeout_s=3, clock=lambda: next(times), sleep=lambda _: None)
    assert "ps -o stat,time,args -p 77" in refused.value.help


def test_what_is_no_request_is_answered_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "reload" / "requests"
    folder.mkdir(parents=True)
    (folder / "7.json").write_bytes(b"{}")
    (folder / "8.json").write_bytes(b'{"id": "../../9", "action": "end"}')
    (folder / "9.json").write_bytes(b'{"id": "9", "action": "end"}' + b" " * 64 * 1024)
    assert not list(take(tmp_path))
    for number in "789":
        answer = msgspec.json.decode((tmp_path / ANSWERS / f"{number}.json").read_bytes(), type=Answer)
        assert not answer.done


def test_an_answer_that_cannot_be_written_holds_nobody_up(tmp_path: Path) -> None:
    folder = tmp_path / "reload" / "requests"
    folder.mkdir(parents=True)
    (tmp_path / ANSWERS).write_bytes(b"no folder")
    (folder / "7.json").write_bytes(b"{}")
    request = Request(id=new_id(), action="end")
    (folder / f"{request.id}.json").write_bytes(msgspec.json.encode(request))
    assert list(take(tmp_path)) == [request]


def test_who_does_not_wait_for_an_answer_takes_the_request_back(tmp_path: Path) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, Request(id="1", action="end"), sleep=interrupt)
    assert not list(take(tmp_path))
