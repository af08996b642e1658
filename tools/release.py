"""What a release is made of: its notes, and the built site as a zip that works offline.

    python tools/release.py zip          _build/html as one file in _build, for `make zip`
    python tools/release.py notes v1.2.3 the changelog's section, if CITATION.cff has that version

Plain Python and nothing else.
"""

import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "same-is-not-the-same"
DATE = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same site makes the same zip
# A page opened as a file may not fetch a font ahead of its style sheet: Chromium calls it an error.
PRELOADED_FONT = re.compile(rb'<link rel="preload" as="font"[^>]*>\n?')


def citation(field):
    """Return a field of CITATION.cff that stands on a line of its own."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    return re.search(rf"^{field}: (\S+)$", text, re.MULTILINE)[1]


def notes(tag):
    """Return the section of CHANGELOG.md about a tag; exit where tag and CITATION.cff differ."""
    version, date = citation("version"), citation("date-released")
    if tag != f"v{version}":
        sys.exit(f"error: the tag is {tag}, and CITATION.cff has version {version}")
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    pattern = rf"^## {re.escape(version)}, {date}\n+(.*?)(?=^## |\Z)"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        sys.exit(f"error: CHANGELOG.md has no section '## {version}, {date}'")
    return found[1].strip()


def pack(site, target):
    """Write the site as a zip with one folder in it."""
    folder = target.stem
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in site.rglob("*") if path.is_file()):
            data = path.read_bytes()
            if path.suffix == ".html":
                data = PRELOADED_FONT.sub(b"", data)
            name = f"{folder}/{path.relative_to(site).as_posix()}"
            archive.writestr(zipfile.ZipInfo(name, DATE), data, zipfile.ZIP_DEFLATED)


def main(arguments):
    """Do what the arguments say."""
    match arguments:
        case ["zip"]:
            site = ROOT / "_build" / "html"
            if not (site / "index.html").is_file():
                sys.exit("error: there is no built site: make book")
            target = ROOT / "_build" / f"{NAME}-{citation('version')}.zip"
            pack(site, target)
            print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1e6:.1f} MB")
        case ["notes", tag]:
            print(notes(tag))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
