"""Ask every external link of the built site, by linkinator; what is broken is in _build/links.

Ends with status 1 where something is. tests/links.txt names what is not asked, with the reason;
linkinator comes with `npm ci --prefix tests`, exactly as tests/package-lock.json has it by hash.
Plain Python and nothing else.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "_build" / "links"
LINE = re.compile(r"(?P<pattern>\S+)\s+# (?P<reason>.+)")


def exclusions(text):
    """Return {pattern: reason} of the links that are not asked; ValueError for one without."""
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            match = LINE.fullmatch(line)
            if not match:
                raise ValueError(f"tests/links.txt: {line!r} gives no reason")
            re.compile(match["pattern"])
            found[match["pattern"]] = match["reason"]
    return found


def own_address(site):
    """Return the pattern of the address that the site will have; its pages are checked here."""
    listing = site / "sitemap.xml"
    text = listing.read_text(encoding="utf-8") if listing.exists() else ""
    first = re.search(r"<loc>(.*?)book/", text)
    return ["^" + re.escape(first[1])] if first else []


def ask(site, skipped):
    """Return what linkinator found: a dictionary for each link that it asked or left out."""
    program = (
        ROOT / "tests" / "node_modules" / "linkinator" / "build" / "src" / "cli.js"
    )
    if not shutil.which("node") or not program.exists():
        sys.exit("error: linkinator is missing: npm ci --prefix tests")
    command = ["node", program, site, "--recurse", "--format", "json"]
    command += ["--concurrency", "4", "--timeout", "30000", "--retry"]
    command += ["--retry-errors", "--retry-errors-count", "3"]
    command += [x for code in ("403", "429") for x in ("--status-code", f"{code}:warn")]
    command += [x for pattern in skipped for x in ("--skip", pattern)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8")
    return json.loads(done.stdout)["links"]


def describe(links, site):
    """Return (how many external links were asked, the broken ones as text): each with its pages."""
    asked, broken = set(), {}
    for link in links:
        if link["state"] != "SKIPPED" and link["url"].startswith("http"):
            asked.add(link["url"])
        if link["state"] == "BROKEN":
            page = os.path.relpath(link.get("parent") or site, site)
            page = "index.html" if page == "." else page
            broken.setdefault((link["url"], link["status"]), set()).add(page)
    lines = [
        f"- <{url}> ({status or 'no answer'}) on {', '.join(sorted(pages))}"
        for (url, status), pages in sorted(broken.items())
    ]
    return len(asked), "\n".join(lines)


def main():
    """Ask, write the report, and say how it went."""
    site = Path(os.environ.get("SITE") or ROOT / "_build" / "html")
    text = (ROOT / "tests" / "links.txt").read_text(encoding="utf-8")
    links = ask(site, [*exclusions(text), *own_address(site)])
    asked, broken = describe(links, site)
    shutil.rmtree(REPORT, ignore_errors=True)
    REPORT.mkdir(parents=True)
    (REPORT / "links.md").write_text(broken, encoding="utf-8")
    print(f"{asked} external links were asked.", broken or "None is broken.", sep="\n")
    return 1 if broken or not asked else 0


if __name__ == "__main__":
    sys.exit(main())
