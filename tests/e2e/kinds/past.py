"""Cases of what the account's phone has of the past, and tells when it is asked."""

from __future__ import annotations

from typing import Any

from tests.e2e.kinds.cases import case
from tests.e2e.kinds.stage import Stage
from tests.support import wait_until

ELDER = "+5511933330019"


@case("History on request", "in")
async def history_in(stage: Stage) -> None:
    ids = await stage.past(ELDER, "faz tempo", 7)
    nothing = await stage.program.ask("history.fetch", session_id=stage.session, to=ELDER)
    assert nothing["error"]["code"] == "E_MESSAGE_NOT_FOUND", "there is nothing to begin at"
    now = await stage.said(by=ELDER, text="voltei")
    await stage.recorded(now["id"], ELDER)
    got = await _fetched(stage, count=4)
    assert (got["messages"], got["more"], got["oldest"]["message_id"]) == (4, True, ids[3])
    rest = await _fetched(stage, before=got["oldest"])
    assert (rest["messages"], rest["more"]) == (3, False)
    # Asked once more, and from the very end: nothing is told twice.
    again = await _fetched(stage, before={"message_id": now["id"], "sent_at": now["sent_at"]})
    assert (again["messages"], again["more"]) == (7, False)
    assert (await _fetched(stage, before=again["oldest"]))["messages"] == 0
    asked = [one["request_id"] for one in (got, rest, again)]
    told = [await _part(stage, request) for request in asked]
    assert [part["messages"] for part in told] == [4, 3, 7]
    mine = [e for e in stage.program.of("message", stage.session) if e["data"]["id"] in ids]
    assert sorted(e["data"]["id"] for e in mine) == sorted(ids)
    assert {e["data"]["history"] for e in mine} == {True}
    assert {e["data"]["chat"]["key"] for e in mine} == {now["chat"]["key"]}
    for one in ids:
        await stage.recorded(one, ELDER, history=True)
    page = await stage.program.ok("chat.messages", to=ELDER, session_id=stage.session, limit=50)
    assert [message["id"] for message in page["messages"]] == [now["id"], *reversed(ids)]


async def _fetched(stage: Stage, **arguments: Any) -> dict[str, Any]:
    """A busy machine's phone may take its time: it is asked again."""

    async def answered() -> Any:
        answer = await stage.program.ask(
            "history.fetch", session_id=stage.session, to=ELDER, wait_s=8, **arguments
        )
        assert answer["ok"] or answer["error"]["code"] == "E_PHONE_SILENT", answer
        return answer.get("data")

    return dict(await wait_until(answered, 90, message="the phone answers"))


async def _part(stage: Stage, request: str) -> dict[str, Any]:
    def found() -> Any:
        parts = [e["data"] for e in stage.program.of("history", stage.session)]
        return next((part for part in parts if part["request_id"] == request), None)

    part: Any = await wait_until(found, 90, message=f"the answer to {request} is told")
    return dict(part)
