"""Which of a policy's rules answer to what has happened: pure, and the same for the same. `acting` does them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
    deadline = transition.details.get("deadline")
    for rule in _of(policy, trigger, session):
        if rule.deadline is None or deadline is None or rule.deadline == deadline:
            yield rule, trigger


def outside_hours(policy: Policy, session: str) -> Iterator[tuple[Rule, Trigger]]:
    for rule in _of(policy, "outside_hours", session):
        yield rule, "outside_hours"


def fits(rule: Rule, tags: Collection[str]) -> bool:
    """Whether a chat with these tags is one that the rule wants."""
    return set(rule.tags or ()) <= set(tags)


def _of(policy: Policy, trigger: Trigger, session: str) -> Iterator[Rule]:
    for rule in policy.rules:
        if rule.enabled and trigger in rule.on and (rule.sessions is None or session in rule.sessions):
            yield rule
