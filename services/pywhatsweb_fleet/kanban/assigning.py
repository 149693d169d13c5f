"""Who gets a chat: pure, and the same for the same team."""

from __future__ import annotations

from pywhatsweb.contracts.kanban_data import Policy
from pywhatsweb_fleet.kanban.board import Attendant, Card, Team


def choose(card: Card, policy: Policy, team: Team, avoid: str | None = None) -> str | None:
    """The attendant whom the policy gives the card to; None when nobody can take it now, or the policy is manual."""
    if policy.assignment == "manual":
        return None
    able = [one for one in team.values() if one.id != avoid and has_room(one, policy)]
    if policy.by_skill:
        needed = set(card.tags) & {skill for one in team.values() for skill in one.skills}
        able = [one for one in able if needed <= set(one.skills)]
    if policy.sticky and any(one.id == card.last_owner for one in able):
        return card.last_owner
    if policy.assignment == "least_loaded":
        return min(able, key=lambda one: (one.open, one.assigned_at, one.id)).id if able else None
    return min(able, key=lambda one: (one.assigned_at, one.id)).id if able else None


def has_room(one: Attendant, policy: Policy) -> bool:
    capacity = policy.capacity if one.capacity is None else one.capacity
    return one.available and (capacity is None or one.open < capacity)
