"""What an installed wheel carries."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_carries_three_roots_their_types_and_the_sidecar(tmp_path: Path) -> None:
    """Installed from a wheel, the fleet finds the sidecar's sources as pywhatsweb_fleet/_node."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("pywhatsweb-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for root in ("pywhatsweb", "pywhatsweb_runtime", "pywhatsweb_fleet"):
        assert f"{root}/__init__.py" in names
        assert f"{root}/py.typed" in names
    for carried in ("package.json", "package-lock.json", ".npmrc", "PROTOCOL.md"):
        assert f"pywhatsweb_fleet/_node/{carried}" in names
    assert any(name.startswith("pywhatsweb_fleet/_node/src/") for name in names)
    assert any(name.startswith("pywhatsweb_fleet/_node/sandbox/") for name in names)
    assert not any("node_modules" in name for name in names)
