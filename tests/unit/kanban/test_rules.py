"""A policy's rules: what they answer to, how often, and that they set nothing off."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from pywhatsweb.contracts import codec, events, ids, subjects
from pywhatsweb.contracts.content import Text
from pywhatsweb.contracts.event_data import Chat, Message, Person
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.contracts.kanban_data import Deadline, Hours, Policy, check_policy
from pywhatsweb.contracts.rule_data import COMMAND_PREFIX, AddTagsAction, AlertAction, Rule, Trigger
from pywhatsweb.contracts.statuses import Origin
from pywhatsweb.errors import ContractError
from pywhatsweb_fleet.kanban.board import Card, Fired, MessageIn, MessageOut, Move, Stimulus, Timer
from pywhatsweb_fleet.kanban.handlers import stimulus_of
from pywhatsweb_fleet.kanban.policy import decide

CHAT = Chat(key="c1", pn="+5511999990001")
HOUR = 3_600_000
MONDAY = 1_795_500_000_000 - 1_795_500_000_000 % (7 * 24 * HOUR) + 4 * 24 * HOUR
"""00:00 in UTC: the day 0 of 1970 was a Thursday."""


def rule(*on: str, name: str = "r", do: Any = None, **more: Any) -> Rule:
    return Rule(
        id=name, on=[cast("Trigger", one) for one in on], do=do or AlertAction(message="look"), **more
    )


def play(policy: Policy, *stimuli: Stimulus, session: str = "s1") -> tuple[Card, list[Fired]]:
    card: Card | None = None
    fired: list[Fired] = []
    for stimulus in stimuli:
        decision = decide(card, policy, stimulus, {}, session)
        card = decision.card
        fired += decision.fired
    assert card is not None
    return card, fired


def said(at: int) -> MessageIn:
    return MessageIn(f"in-{at}", at, CHAT)


def move(verb: Any, at: int) -> Move:
    return Move(id=f"{verb}-{at}", at=at, chat=CHAT, verb=verb, by="ana", owner="ana")


@pytest.mark.parametrize(
    ("trigger", "stimuli", "times"),
    [
        ("opened", [said(1), said(2), said(3)], 1),
        ("reopened", [said(1), move("done", 2), said(3), said(4)], 1),
        ("assigned", [said(1), move("assign", 2)], 1),
        ("started", [said(1), move("take", 2), MessageOut("o", 3, CHAT, "ana")], 1),
        ("done", [said(1), move("done", 2), said(3), move("done", 4)], 2),
        ("warning", [said(HOUR), Timer(HOUR + 540_000), Timer(HOUR + 540_001)], 1),
        ("overdue", [said(HOUR), Timer(HOUR + 600_000), Timer(HOUR + 660_000)], 1),
        ("outside_hours", [said(1)], 0),
    ],
)
def test_each_trigger_fires_once_for_what_happened(trigger: str, stimuli: list[Stimulus], times: int) -> None:
    """And again when it happens again; a repeat of the same stimulus is none."""
    policy = Policy(rules=[rule(trigger)], first_response=Deadline(minutes=10))
    card, fired = play(policy, *stimuli)
    assert [one.trigger for one in fired] == [trigger] * times
    assert len({one.occasion for one in fired}) == times
    last = stimuli[-1]
    if not isinstance(last, Timer):
        assert decide(card, policy, last).fired == ()


def test_a_rule_may_want_a_session_or_a_deadline() -> None:
    """Others do not concern it."""
    policy = Policy(rules=[rule("opened", sessions=["s2"])])
    assert play(policy, said(1))[1] == []
    assert len(play(policy, said(1), session="s2")[1]) == 1
    both = Policy(
        first_response=Deadline(minutes=10),
        resolution=Deadline(minutes=10),
        rules=[rule("overdue", deadline="resolution"), rule("overdue", name="any")],
    )
    assert sorted(one.rule.id for one in play(both, said(HOUR), Timer(2 * HOUR))[1]) == ["any", "any", "r"]


def test_a_rule_may_want_tags_and_may_be_off() -> None:
    """Those that a rule before it added count; one that is off does nothing, also outside the hours."""
    tagging = rule("opened", "reopened", name="tag", do=AddTagsAction(tags=["vip"]))
    tell = rule("opened", "outside_hours", name="tell", tags=["vip"])
    closed = Hours(timezone="UTC", monday=[["09:00", "18:00"]])

    def fired(*rules: Rule) -> list[str]:
        return [one.rule.id for one in play(Policy(rules=[*rules], hours=closed), said(MONDAY))[1]]

    assert fired(tagging, tell) == ["tag", "tell"]
    assert fired(tell, tagging) == ["tag"]
    assert fired(tagging, replace(tell, tags=["vip", "late"])) == ["tag"]
    assert fired(replace(tagging, enabled=False), replace(tell, tags=None, enabled=False)) == []


def test_outside_hours_is_once_until_the_next_opening() -> None:
    """However much the customer writes; open hours and own messages are none of it."""
    policy = Policy(
        hours=Hours(timezone="UTC", monday=[["09:00", "18:00"]], tuesday=[["09:00", "18:00"]]),
        rules=[rule("outside_hours")],
    )
    night = MONDAY + 20 * HOUR
    card, fired = play(
        policy, said(MONDAY + 10 * HOUR), said(night), said(night + HOUR), said(night + 12 * HOUR)
    )
    assert [one.at for one in fired] == [night]
    assert decide(card, policy, said(MONDAY + 34 * HOUR)).fired == ()
    assert len(decide(card, policy, said(MONDAY + 44 * HOUR)).fired) == 1
    assert decide(card, policy, MessageOut("o", MONDAY + 44 * HOUR, CHAT, human=True)).fired == ()


def test_tags_are_added_in_the_same_step_and_set_nothing_off() -> None:
    """One transition more, and none when the card has them."""
    do = AddTagsAction(tags=["novo", "vip"])
    policy = Policy(rules=[rule("opened", "reopened", do=do)])
    decision = decide(None, policy, said(1), {}, "s1")
    assert [one.change for one in decision.transitions] == ["opened", "tagged"]
    assert decision.card is not None
    assert decision.card.tags == ("novo", "vip")
    done = decide(decision.card, policy, move("done", 2)).card
    again = decide(done, policy, said(3))
    assert [one.change for one in again.transitions] == ["reopened"]
    assert again.fired == ()


def test_what_a_rule_sends_is_nobodys_answer() -> None:
    """It neither starts the chat nor counts as activity, even where anybody's message would."""

    def event(command_id: str | None) -> bytes:
        data = Message(
            id="W1", chat=CHAT, from_=Person(), origin=Origin.OUTBOUND, from_self=True, type="text",
            text=Text(body="oi"), sent_at=events.timestamp(), command_id=command_id,
        )  # fmt: skip
        return codec.encode(
            events.MessageEvent(
                id="e1", tenant_id="acme", session_id="s1", timestamp=events.timestamp(), data=data
            )
        )

    subject = subjects.event(TenantId("acme"), SessionId("s1"), "message", ChatKey("c1"))
    assert stimulus_of(subject, event(f"{COMMAND_PREFIX}{ids.new_event_id()}")) is None
    assert stimulus_of(subject, event("order-1")) is not None
    assert stimulus_of(subject, event(None)) is not None


def test_rules_have_ids_of_their_own_and_old_policies_none() -> None:
    """An id twice is refused; a policy that was stored before rules were known is one without."""
    with pytest.raises(ContractError):
        check_policy(Policy(rules=[rule("opened"), rule("done")]))
    assert msgspec.json.decode(b'{"assignment": "manual"}', type=Policy).rules == []
    policy = Policy(rules=[rule("opened", do=AddTagsAction(tags=["a"])), rule("done", name="x")])
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy
    assert replace(policy, rules=[]).rules == []
