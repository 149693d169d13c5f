"""Which of a policy's rules answer to what has happened: pure, and the same for the same. `acting` does them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pywhatsweb.contracts.kanban_data import Policy
from pywhatsweb.contracts.rule_data import Rule, Trigger
from pywhatsweb_fleet.kanban.board import Transition

_TRIGGERS: Final[dict[str, Trigger]] = {
    "opened": "opened",
    "reopened": "reopened",
    "assigned": "assigned",
    "taken": "started",
    "started": "started",
    "done": "done",
    "warned": "warning",
    "escalated": "overdue",
}


def answering_to(policy: Policy, transition: Transition, session: str) -> Iterator[tuple[Rule, Trigger]]:
    trigger = _TRIGGERS.get(transition.change)
    if trigger is None:
        return
    for rule in policy.rules:
        other = rule.deadline is not None and rule.deadline != transition.details.get(
            "deadline", rule.deadline
        )
        if trigger in rule.on and in_session(rule, session) and not other:
            yield rule, trigger


def outside_hours(policy: Policy, session: str) -> Iterator[tuple[Rule, Trigger]]:
    for rule in policy.rules:
        if "outside_hours" in rule.on and in_session(rule, session):
            yield rule, "outside_hours"


def in_session(rule: Rule, session: str) -> bool:
    return rule.sessions is None or session in rule.sessions
