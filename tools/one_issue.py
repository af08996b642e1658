"""One issue for one check: opened or brought up to date when it fails, closed when it passes.

    python tools/one_issue.py TITLE FOLDER success|failure [--print]

FOLDER holds what the check has left: JUnit files (*.xml), whose failing cells and tests become the
issue's text, and notes (*.md), which are taken as they are. `--print` shows the text and asks
nobody; without it the command gh does what is to be done, for the repository it finds in GH_REPO.
Plain Python and nothing else, because nothing is installed where the workflows run it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

COLOUR = re.compile(r"(?:\x1b|#x1B)\[[0-9;]*m")  # as pytest writes it into JUnit files
LONGEST = 1_500  # characters of one failure
LIMIT = 60_000  # of the whole text; GitHub takes 65,536
CLIPPED = "The rest is in the run's log.\n"


def run_address(environment):
    """Return the address of this run on GitHub, or "" elsewhere."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environment.get(name, "") for name in names)
    return f"{server}/{repository}/actions/runs/{run}" if run else ""


def read_cases(folder):
    """Return (cases passed or skipped, {where: [(name, text of its failure)]})."""
    good, failures = 0, {}
    for path in sorted(folder.rglob("*.xml")):
        for case in ElementTree.parse(path).iter("testcase"):
            faults = [e for e in case if e.tag in ("failure", "error")]
            where = case.get("classname") or path.stem
            if path.parent != folder:  # an artifact each for CPU and GPU
                where = f"{path.parent.name}: {where}"
            for fault in faults:
                text = COLOUR.sub("", fault.text or fault.get("message") or "").strip()
                failures.setdefault(where, []).append((case.get("name"), text))
            good += not faults
    return good, failures


def fenced(text):
    """Return a text as a block that nothing in it can end, cut where it gets long."""
    if len(text) > LONGEST:
        text = text[:LONGEST] + "\n..."
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def describe(folder, address=""):
    """Return the issue's text: what failed, where, and what the check noted."""
    good, failures = read_cases(folder)
    notes = [
        p.read_text(encoding="utf-8").strip() for p in sorted(folder.rglob("*.md"))
    ]
    number = sum(map(len, failures.values()))
    parts = []
    if number:
        what = f"{number} failed in {len(failures)} file{'s' * (len(failures) != 1)}"
        parts.append(f"{what}, {good} passed.")
    elif not any(notes):
        parts.append("It stopped before it reported anything: its log says why.")
    if address:
        parts.append(f"Run: {address}")
    parts += filter(None, notes)
    for where, found in failures.items():
        name, text = found[0]
        parts.append(f"### {where}")
        parts.append(f"**{name}**, the first of {len(found)}:\n\n{fenced(text)}")
        if len(found) > 1:
            others = ", ".join(f"`{name}`" for name, _ in found[1:])
            parts.append(f"Also, perhaps because of it: {others}")
    body = ""
    for part in parts:
        if len(body) + len(part) > LIMIT:
            return body + CLIPPED
        body += part + "\n\n"
    return body


def gh(*arguments, text=None):
    """Return what a gh command prints; its failure ends the program."""
    command = ["gh", "issue", *map(str, arguments)]
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, encoding="utf-8")
    if done.returncode:
        sys.exit(f"error: {' '.join(command)}: status {done.returncode}")
    return done.stdout


def settle(title, failed, body, address):
    """Open, update or close the one open issue of this title that a workflow has filed."""
    listing = gh("list", "--app", "github-actions", "--state", "open",
                 "--limit", 1000, "--json", "number,title")  # fmt: skip
    found = [i["number"] for i in json.loads(listing) if i["title"] == title]
    if failed and found:
        gh("edit", found[0], "--body-file", "-", text=body)
        print(f"updated issue {found[0]}")
    elif failed:
        print(gh("create", "--title", title, "--body-file", "-", text=body).strip())
    for number in found[failed:]:
        gh("close", number, "--comment", f"It passes again. {address}".strip())
        print(f"closed issue {number}")


def main(arguments):
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("title")
    parser.add_argument("folder", type=Path)
    parser.add_argument("result", choices=("success", "failure"))
    parser.add_argument("--print", action="store_true", dest="only_print")
    options = parser.parse_args(arguments)
    address = run_address(os.environ)
    failed = options.result == "failure"
    body = describe(options.folder, address) if failed else ""
    if options.only_print:
        print(body)
    else:
        settle(options.title, failed, body, address)


if __name__ == "__main__":
    main(sys.argv[1:])
