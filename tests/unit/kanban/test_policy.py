"""The board's rules, one at a time; then any interleaving of what can happen."""

from __future__ import annotations

import random
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pywhatsweb.contracts.event_data import Chat
from pywhatsweb.contracts.kanban_data import Deadline, Hours, Policy
from pywhatsweb.contracts.rule_data import AddTagsAction, AlertAction, Rule, Trigger
from pywhatsweb_fleet.kanban.board import (
    Attendant,
    AttendantLeft,
    Card,
    MessageIn,
    MessageOut,
    Move,
    Refused,
    Stimulus,
    Team,
    Timer,
    Transition,
)
from pywhatsweb_fleet.kanban.policy import deadlines, decide, next_due

CHAT = Chat(key="c1", pn="+5511999990001")
HOUR = 3_600_000


def said(at: int, name: str | None = None) -> MessageIn:
    return MessageIn(name or f"in-{at}", at, CHAT)


def sent(at: int, by: str | None = None, *, human: bool = False) -> MessageOut:
    return MessageOut(f"out-{at}", at, CHAT, by, human)


def move(verb: Any, at: int, by: str | None = "ana", **more: Any) -> Move:
    return Move(id=more.pop("id", f"{verb}-{at}"), at=at, chat=CHAT, verb=verb, by=by, **more)


def team(*names: str, **fields: Any) -> Team:
    return {name: Attendant(id=name, **fields) for name in names}


def play(
    policy: Policy, *stimuli: Stimulus, people: Team | None = None
) -> tuple[Card | None, list[Transition]]:
    """The card after all of them, and every transition."""
    card: Card | None = None
    told: list[Transition] = []
    for stimulus in stimuli:
        decision = decide(card, policy, stimulus, people or {}, "s1")
        card = decision.card
        told += decision.transitions
    return card, told


def names(told: list[Transition]) -> list[str]:
    return [one.change for one in told]


def test_an_inbound_message_opens_and_reopens() -> None:
    """NEW at first, and again after DONE, with the reason that users know."""
    card, told = play(Policy(), said(1), said(2), move("done", 3), said(4))
    assert names(told) == ["opened", "done", "reopened"]
    assert card is not None
    assert (card.status, told[-1].reason, told[-1].by) == ("new", "cliente_respondeu", "system")


def test_a_chat_that_was_only_tagged_opens_like_any_other() -> None:
    """With its tags, and somebody to answer it."""
    card, told = play(
        Policy(assignment="round_robin"), move("tag", 1, add=("vip",)), said(2), people=team("ana")
    )
    assert names(told) == ["tagged", "opened", "assigned"]
    assert card is not None
    assert (card.tags, card.owner, card.opened_at) == (("vip",), "ana", 2)


def test_our_own_messages_never_open_anything() -> None:
    """Neither a chat that is not on the board nor one that is done."""
    assert play(Policy(reply_starts="anyone"), sent(1, human=True)) == (None, [])
    card, told = play(Policy(reply_starts="anyone"), said(1), move("done", 2), sent(3, "ana"), sent(4))
    assert names(told) == ["opened", "done"]
    assert card is not None
    assert card.status == "done"


@pytest.mark.parametrize(
    ("policy", "reply", "starts"),
    [
        (Policy(), sent(3, "ana"), True),
        (Policy(), sent(3, human=True), True),
        (Policy(), sent(3, "bia"), False),
        (Policy(), sent(3), False),
        (Policy(reply_starts="anyone"), sent(3), True),
    ],
)
def test_a_reply_by_the_owner_starts_work(policy: Policy, reply: MessageOut, starts: bool) -> None:
    """By the owner or on the account's phone, not by a robot; unless the policy says that anybody's counts."""
    policy = replace(policy, assignment="round_robin")
    card, _ = play(policy, said(1), people=team("ana"))
    card, told, _ = decide(card, policy, reply, team("ana"))
    assert names(list(told)) == (["started"] if starts else [])
    assert card is not None
    assert card.owner == "ana"


def test_moves_that_do_not_fit_are_refused() -> None:
    """A done chat is neither assigned nor snoozed, somebody's chat not taken, an active one not reopened."""
    done, _ = play(Policy(), said(1), move("done", 2))
    mine, _ = play(Policy(), said(1), move("take", 2))
    for card, wrong in (
        (done, move("assign", 3, owner="bia")),
        (done, move("snooze", 3)),
        (mine, move("take", 3, "bia")),
        (mine, move("reopen", 3)),
        (mine, move("snooze", 3, until=2)),
    ):
        with pytest.raises(Refused):
            decide(card, Policy(), wrong)


def test_round_robin_least_loaded_sticky_skill_and_capacity() -> None:
    """Each way of choosing, and nobody when all are full."""
    people = {
        "ana": Attendant(id="ana", open=2, assigned_at=1, skills=("pt",)),
        "bia": Attendant(id="bia", open=3, assigned_at=0, skills=("en",)),
        "caio": Attendant(id="caio", open=0, assigned_at=2, available=False),
    }

    def owner(card: Card | None = None, **fields: Any) -> str | None:
        decision = decide(card, Policy(**fields), said(9), people, "s1")
        return decision.card.owner if decision.card else None

    assert owner(assignment="round_robin") == "bia"
    assert owner(assignment="least_loaded") == "ana"
    assert owner(assignment="least_loaded", capacity=2) is None
    assert owner(assignment="round_robin", by_skill=True, session_tags={"s1": ["pt", "vip"]}) == "ana"
    before, _ = play(Policy(), said(1), move("take", 2, "ana"), move("done", 3, "ana"))
    assert owner(before, assignment="round_robin") == "ana"
    assert owner(before, assignment="round_robin", sticky=False) == "bia"
    assert owner() is None


def test_who_leaves_gives_back() -> None:
    """To the queue, and from there to somebody else."""
    policy = Policy(assignment="least_loaded")
    people = team("ana")
    card, _ = play(policy, said(1), people=people)
    gone = {"ana": replace(people["ana"], available=False), **team("bia")}
    for stimulus in (AttendantLeft(2, "ana"), Timer(2)):
        decision = decide(card, policy, stimulus, gone)
        assert names(list(decision.transitions)) == ["released", "assigned"]
        assert decision.card is not None
        assert (decision.card.status, decision.card.owner) == ("new", "bia")


def test_an_idle_chat_ends_and_an_active_conversation_does_not() -> None:
    """24 hours after the last word, unless it is snoozed."""
    card, _ = play(Policy(), said(1), move("take", 2), said(HOUR))
    assert card is not None
    assert next_due(card, Policy(), 0) == 25 * HOUR
    assert decide(card, Policy(), Timer(25 * HOUR - 1)).transitions == ()
    done = decide(card, Policy(), Timer(25 * HOUR))
    assert [(one.change, one.reason) for one in done.transitions] == [("done", "inatividade_24h")]
    snoozed, _ = play(Policy(), said(1), move("take", 2), move("snooze", 3))
    assert decide(snoozed, Policy(), Timer(99 * HOUR)).transitions == ()
    assert next_due(snoozed or card, Policy(), 0) is None


def test_a_snooze_ends_at_its_time_or_with_a_reply() -> None:
    """Whichever comes first."""
    card, _ = play(Policy(), said(1), move("snooze", 2, until=50))
    assert names(list(decide(card, Policy(), Timer(49)).transitions)) == []
    assert names(list(decide(card, Policy(), Timer(50)).transitions)) == ["woken"]
    assert names(list(decide(card, Policy(), said(9)).transitions)) == ["woken"]


def test_deadlines_warn_escalate_once_and_stop() -> None:
    """A warning, an escalation to the supervisor, and neither after the first answer."""
    policy = Policy(
        first_response=Deadline(minutes=10),
        resolution=Deadline(minutes=60),
        supervisor="chefe",
        hours=Hours(),
    )
    card, _ = play(policy, said(0 + HOUR))
    assert card is not None
    assert deadlines(card, policy)["first_response"] == (HOUR + 480_000, HOUR + 600_000)
    assert next_due(card, policy, 0) == HOUR + 480_000
    card, told, _ = decide(card, policy, Timer(HOUR + 480_000))
    assert [one.alert and one.alert["kind"] for one in told] == ["deadline_near"]
    assert decide(card, policy, Timer(HOUR + 480_001)).transitions == ()
    late, told, _ = decide(card, policy, Timer(HOUR + 600_000))
    assert [one.alert and one.alert["kind"] for one in told] == ["is_taking_too_long"]
    assert late is not None
    assert (late.is_taking_too_long, late.escalated_to) == (True, "chefe")
    answered, _, _ = decide(card, policy, sent(HOUR + 500_000, "ana"))
    assert answered is not None
    assert set(deadlines(answered, policy)) == {"resolution"}


EVERY_RULE = [
    Rule(id="tag", on=[*get_args(Trigger)], do=AddTagsAction(tags=["seen"])),
    Rule(id="tell", on=[*get_args(Trigger)], do=AlertAction(message="look")),
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["in", "out", "robot", "phone", "timer", "left", "assign", "take", "release", "done", "reopen", "tag",
             "note", "snooze", "again"]
        ),
        st.integers(0, 40 * HOUR),
        st.sampled_from(["ana", "bia", "caio"]),
    ),
    max_size=40,
)  # fmt: skip
POLICIES = st.builds(
    Policy,
    assignment=st.sampled_from(["manual", "round_robin", "least_loaded"]),
    sticky=st.booleans(),
    capacity=st.sampled_from([None, 1, 5]),
    done_from=st.sampled_from(["active", "open"]),
    reopen=st.booleans(),
    reply_starts=st.sampled_from(["owner", "anyone"]),
    first_response=st.sampled_from([None, Deadline(minutes=30)]),
    resolution=st.sampled_from([None, Deadline(minutes=300)]),
    hours=st.sampled_from([Hours(), Hours(monday=[["09:00", "18:00"]])]),
    rules=st.sampled_from([[], EVERY_RULE]),
)


def stimulus(number: int, kind: str, at: int, who: str) -> Stimulus:
    simple: dict[str, Stimulus] = {
        "in": MessageIn(f"i{number}", at, CHAT),
        "out": MessageOut(f"o{number}", at, CHAT, who),
        "robot": MessageOut(f"r{number}", at, CHAT),
        "phone": MessageOut(f"p{number}", at, CHAT, human=True),
        "timer": Timer(at),
        "left": AttendantLeft(at, who),
    }
    if kind in simple:
        return simple[kind]
    more = {"until": at + HOUR} if kind == "snooze" else {"add": (who,)} if kind == "tag" else {}
    return Move(id=f"m{number}", at=at, chat=CHAT, verb=kind, by=who, owner=who, text="x", **more)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(STEPS, POLICIES, st.randoms(use_true_random=False))
def test_any_interleaving_keeps_the_invariants_and_equals_its_replay(
    steps: list[tuple[str, int, str]], policy: Policy, chance: random.Random
) -> None:
    """Redeliveries change nothing, versions count transitions, and the log of stimuli gives the same card again."""
    people = team("ana", "bia")
    card, now = None, 1
    log: list[Stimulus] = []
    told: list[Transition] = []
    fired: list[tuple[str, str]] = []
    for number, (kind, delta, who) in enumerate(steps):
        now += delta
        if kind == "again":
            known = [one for one in log[-20:] if not isinstance(one, Timer | AttendantLeft)]
            if known:
                assert decide(card, policy, chance.choice(known), people, "s1").transitions == ()
            continue
        what = stimulus(number, kind, now, who)
        try:
            decision = decide(card, policy, what, people, "s1")
        except Refused:
            continue
        told += decision.transitions
        fired += [(one.rule.id, one.occasion) for one in decision.fired]
        card = decision.card
        if card is None:
            continue  # no card remembers it; in a stream, its sequence does
        log.append(what)
        invariants(card, policy, now)
    assert [one.card.version for one in told] == list(range(1, len(told) + 1))
    assert len(set(fired)) == len(fired)
    assert [one.card.changed_at for one in told] == sorted({one.card.changed_at for one in told})
    assert play(policy, *log, people=people) == (card, told)


def invariants(card: Card, policy: Policy, now: int) -> None:
    assert (card.status == "done") == (card.completed_at > 0)
    assert not (card.status == "active" and card.owner is None and policy.reply_starts == "owner")
    assert not (card.status == "done" and card.snoozed)
    assert len(card.recent) <= 32
    due = next_due(card, policy, now)
    assert card.status != "done" or due is None
    if due is not None and due <= now:
        # What is due does something, and then it is due no more.
        after = decide(card, policy, Timer(now), team("ana", "bia"))
        assert after.transitions
        assert after.card is not None
        again = next_due(after.card, policy, now)
        assert again is None or again > now
