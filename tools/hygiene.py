"""Look through the project's files for what must not be committed, and report those that grew too long.

Forbidden: addresses of package registries, paths of somebody's machine, secrets. A line that must hold such
a thing (a documented example) says `hygiene: allow`.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONG = 400
SOURCES = {".py", ".ts"}

# The patterns are spelled so that they do not match themselves.
FORBIDDEN: dict[str, re.Pattern[str]] = {
    "registry address": re.compile(
        r"(?i)//[^\s\"'/]*(?:[p]ypi|[p]ythonhosted|[n]pmjs|[y]arnpkg|[r]ubygems)[^\s\"'/]*\."
        r"|\b(?:registry|files|proxy|index|deb)\.(?:[n]pmjs|[p]ythonhosted|[g]olang|[c]rates|[d]ebian)\b"
        r"|\"[r]esolved\": *\"http"
        r"|--(?:extra-)?[i]ndex-url[ =]\S"
    ),
    "path of a machine": re.compile(
        r"(?<![\w.~$}-])/(?:[r]oot/\.pyenv|[w]ork/(?:main|shared)|[U]sers/\w+|[h]ome/(?!pww\b|node\b)[a-z]\w*)/"
    ),
    "secret": re.compile(
        r"-----BEGIN (?:[A-Z]+ )*[P]RIVATE KEY-----"
        r"|\b[A]KIA[0-9A-Z]{16}\b"
        r"|\bgh[pousr]_[A-Za-z0-9]{36}\b"
        r"|\b[x]ox[abpr]-[A-Za-z0-9-]{20,}"
        r"|\bS[AOU][A-Z2-7]{56}\b"
    ),
}


def main() -> int:
    """Print what is forbidden, then what is long; 0 when nothing is forbidden."""
    findings = 0
    long: list[tuple[int, str]] = []
    for name in project_files():
        path = ROOT / name
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for number, what in forbidden(text):
            print(f"{name}:{number}: {what}")
            findings += 1
        lines = text.count("\n")
        if path.suffix in SOURCES and lines > LONG:
            long.append((lines, name))
    for lines, name in sorted(long, reverse=True):
        print(f"     note: {name} has {lines} lines (split by concept from about {LONG})")
    return 1 if findings else 0


def project_files() -> list[str]:
    """Every file that git tracks or would add."""
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sorted(set(filter(None, told.split("\0"))))


def forbidden(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the kind of everything in the text that must not be committed."""
    for number, line in enumerate(text.splitlines(), 1):
        if "hygiene: allow" in line:
            continue
        for what, pattern in FORBIDDEN.items():
            if pattern.search(line):
                yield number, what


if __name__ == "__main__":
    sys.exit(main())
