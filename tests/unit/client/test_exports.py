"""What `pywhatsweb` offers by name."""

import pywhatsweb


def test_every_name_is_there() -> None:
    """What is declared for type checkers is what is found at run time."""
    assert set(pywhatsweb.__all__) == {*pywhatsweb._NAMES, "__version__"}
    assert all(getattr(pywhatsweb, name) is not None for name in pywhatsweb.__all__)
    assert set(dir(pywhatsweb)) >= set(pywhatsweb.__all__)
