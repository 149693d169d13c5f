"""Events to rows, without a database."""

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import events
from pywhatsweb.contracts.subjects import EventSubject
from pywhatsweb_fleet.persistence.recording import Familiar
from pywhatsweb_fleet.persistence.rows import _KINDS, Rows, Told, rows_of
from pywhatsweb_fleet.storage.people import Sighting
from tests.integration.persistence import traffic

SUBJECT = EventSubject("acme", "s1", "message", "-")


def rows(*told: events.Event) -> Rows:
    """The rows of events on acme's subject."""
    return rows_of(Told(SUBJECT, event) for event in told)


def test_every_kind_of_event_is_dealt_with() -> None:
    """A new kind has to be put into the record, or left out on purpose."""
    assert set(events.EVENT_TYPES.values()) - set(_KINDS) == {events.PresenceEvent, events.PostEvent}


def test_the_subject_says_whose_it_is() -> None:
    """An event whose body names another tenant or session is still the subject's."""
    found = rows(traffic.message(1, tenant="evil"))
    (row,) = found.messages.values()
    assert (row.tenant, row.session) == ("acme", "s1")
    assert {one.tenant for one in found.sightings} | {one.tenant for one in found.activities.values()} == {
        "acme"
    }


def test_pairing_secrets_are_not_kept() -> None:
    """A QR code or a pairing code links a device: that one was shown is on record, not what it said."""
    qr = d.Qr(code="2@SECRET", image="data:SECRET", expires_at=events.timestamp(1))
    code = d.PairingCode(code="SECRET12", phone_number="+5511")
    found = rows(
        traffic.envelope(events.QrEvent, "q", qr), traffic.envelope(events.PairingCodeEvent, "p", code)
    )
    assert len(found.happenings) == 2
    assert "SECRET" not in str(found.happenings)
    assert "+5511" not in str(found.happenings)


def test_a_repeat_of_a_command_is_no_step_of_it() -> None:
    """The status event that answers a duplicate tells the first one's status: it moves nothing."""
    found = rows(traffic.status(1, "sent", duplicate=True), traffic.status(2, "sent"))
    assert [step.command_id for steps in found.outcomes.values() for step in steps] == ["cmd2"]
    assert len(found.statuses) == 2


def test_a_person_is_written_when_something_is_new() -> None:
    """The same name again is no news within the hour; another name, an older time or an hour later is."""
    familiar = Familiar()
    seen = Sighting("acme", "+551", None, "Ana", 10_000_000)
    assert familiar.news([seen]) == [seen]
    familiar.committed([seen])
    assert familiar.news([seen, seen._replace(at=seen.at + 60_000)]) == []
    for news in (
        seen._replace(name="Bia"),
        seen._replace(at=seen.at - 1),
        seen._replace(at=seen.at + 3_600_000),
    ):
        assert familiar.news([news]) == [news]
