"""The scan of what must not be committed finds it, and lets ordinary lines pass."""

import pytest

from tools.hygiene import forbidden

HOST = "py" + "pi" + ".org"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"index = https://{HOST}/simple", "registry address"),
        ('"reso' + 'lved": "https://example.test/a.tgz"', "registry address"),
        ("see /ho" + "me/somebody/project/file", "path of a machine"),
        ("cd /wo" + "rk/main/x", "path of a machine"),
        ("-----BEGIN EC PRI" + "VATE KEY-----", "secret"),
        ("seed = SU" + "A" * 56, "secret"),
    ],
)
def test_what_must_not_be_committed_is_found(line: str, kind: str) -> None:
    """Each kind is named with its line."""
    assert list(forbidden(f"first\n{line}\n")) == [(2, kind)]


@pytest.mark.parametrize(
    "line",
    [
        "https://wa.me/settings",
        "$HOME/project/",
        "/var/lib/pww/nats",
        "/ho" + "me/pww/data/",
        "a private key",
    ],
)
def test_ordinary_lines_pass(line: str) -> None:
    """Nothing that documentation needs is refused."""
    assert not list(forbidden(line))


def test_a_line_can_be_allowed() -> None:
    """A documented example says so itself."""
    assert not list(forbidden(f"https://{HOST}/simple  # hygiene: allow"))
