"""The fast header parser gives what nats-py's own gives."""

from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from pywhatsweb_runtime import headers

LINES = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda name, value: name.encode() + b":" + value.encode("utf-8", "surrogatepass"),
        st.text(alphabet="aZ-é \t", max_size=8),
        st.text(max_size=8),
    ),
)


@given(st.lists(LINES, max_size=6))
def test_it_agrees_with_the_client(lines: list[bytes]) -> None:
    """Whatever bytes a publisher put there."""
    raw = b"\r\n".join(lines)
    assert headers.parse(raw) == Client._parse_header_lines(raw)
