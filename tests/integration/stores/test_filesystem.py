"""0.5's folder, shared by processes and killed in the middle of a write."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pywhatsweb import Contact, FileSystemStore, Message, StorageError
from tests.support import block_until

ME, YOU = Contact(phone="5511888888888"), Contact(phone="5511999999999", name="Ana")
WRITER = textwrap.dedent(
    """
    import sys
    from pywhatsweb import Contact, FileSystemStore, Message
    store = FileSystemStore(sys.argv[1])
    me, you = Contact(phone="5511888888888"), Contact(phone="5511999999999")
    for n in range(int(sys.argv[3])):
        store.save_message(Message(id=f"{sys.argv[2]}-{n}", content="x", sender=you, recipient=me))
        print(n, flush=True)
    """
)


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), name, str(count)], stdout=subprocess.PIPE
    )


def test_the_folder_is_as_it_was(tmp_path: Path) -> None:
    """The files of the documentation, readable by the owner alone."""
    store = FileSystemStore(tmp_path / "data")
    store.save_message(Message(id="m1", content="oi", sender=YOU, recipient=ME))
    store.save_contact(YOU)
    store.save_contact(Contact(phone="120363@g.us", name="Turma", is_group=True))
    store.get_or_create_chat(YOU.phone)
    names = {str(path.relative_to(tmp_path / "data")) for path in (tmp_path / "data").rglob("*.json")}
    assert names == {
        "messages/chat_5511999999999.json", "messages/chat_5511888888888.json", "contacts/contacts.json",
        "groups/groups.json", "chats/chats.json",
    }  # fmt: skip
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data/contacts/contacts.json").stat().st_mode & 0o777 == 0o600


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    """Each message of both is there."""
    writers = [writer(tmp_path, name, 25) for name in "ab"]
    for one in writers:
        assert one.wait(120) == 0
    assert len(FileSystemStore(tmp_path).get_chat_messages(YOU.phone, limit=500)) == 50


def test_a_killed_writer_leaves_what_it_had_saved(tmp_path: Path) -> None:
    """SIGKILL in the middle: every save that returned is there, every file is whole, and the lock is free."""
    one = writer(tmp_path, "a", 100_000)
    file = tmp_path / "messages/chat_5511999999999.json"
    block_until(lambda: file.exists() and len(json.loads(file.read_text())) > 20, 60)
    one.kill()
    out, _ = one.communicate(timeout=20)
    store = FileSystemStore(tmp_path)
    saved = len(store.get_chat_messages(YOU.phone, limit=100_000))
    assert saved >= len(out.splitlines())
    store.save_message(Message(id="after", content="x", sender=YOU, recipient=ME))
    assert len(store.get_chat_messages(YOU.phone, limit=100_000)) == saved + 1


def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Never overwritten with less; lists of objects are read."""
    store = FileSystemStore(tmp_path)
    file = tmp_path / "contacts/contacts.json"
    file.parent.mkdir(parents=True)
    for text in ("{", "7", '["x"]'):
        file.write_text(text)
        with pytest.raises(StorageError):
            store.save_contact(YOU)
        assert file.read_text() == text
    file.write_text('[{"phone": "551100", "name": "Bia"}]')
    store.save_contact(YOU)
    found = store.get_contact("551100")
    assert found is not None
    assert found.name == "Bia"
    assert set(json.loads(file.read_text())) == {"551100", YOU.phone}
