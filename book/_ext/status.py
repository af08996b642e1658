"""When each chapter last ran, and what ran on a GPU, as two directives that make tables.

`{status}` reads the notebooks' metadata, in which `make execute` stores the date, the seconds and
the frameworks' versions; `{gpu-status}` reads what `make test-gpu` has stored. Nothing is imported
here, so the tables say what ran, not what is installed where the book is built.
"""

import json
from pathlib import Path

from docutils import nodes
from result_tables import table, table_row
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

HEAD = ("Chapter", "Last run", "Seconds", "With")
NOTHING = "—"
GPU = Path("book", "_data", "gpu.json")
OUTCOMES = "passed", "failure", "error", "skipped"  # as JUnit's files have them
NOT_YET = "Not run on a GPU yet."


def executed(path):
    """Return what `make execute` stored in the notebook at `path`; {} if it did not."""
    return json.loads(path.read_text(encoding="utf-8"))["metadata"].get("executed", {})


def cells(run):
    """Return the texts of one chapter's row, but for its name."""
    versions = (
        f"{name} {version}" for name, version in run.get("versions", {}).items()
    )
    seconds = run.get("seconds")
    return (
        run.get("date", NOTHING),
        f"{seconds or NOTHING}",
        ", ".join(versions) or NOTHING,
    )


class Status(SphinxDirective):
    """Put the table here."""

    def run(self):
        """Return the table, a row for each notebook of the contents, in their order."""
        rows = []
        for page in sorted(self.config.external_site_map):
            path = Path(self.env.srcdir, f"{page}.ipynb")
            if path.is_file():
                self.env.note_dependency(str(path))
                rows.append(
                    table_row(self.link(page, path.stem), *cells(executed(path)))
                )
        return [table(HEAD, rows, "status")]

    def link(self, page, text):
        """Return a link to a page, which Sphinx resolves and labels with the page's title."""
        target = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{page}"}
        link = pending_xref("", refexplicit=False, refwarn=True, **target)
        link += nodes.inline("", text)
        return link


class GpuStatus(SphinxDirective):
    """Put here what became of the book on a GPU."""

    def run(self):
        """Return a sentence with date and devices, and a table of outcomes; or NOT_YET."""
        path = Path(self.env.srcdir, GPU)
        self.env.note_dependency(str(path))
        if not path.is_file():
            return [nodes.paragraph("", "", nodes.strong("", NOT_YET))]
        run = json.loads(path.read_text(encoding="utf-8"))
        devices = "; ".join(
            f"{name} {version} on {', '.join(gpus) or 'the CPU alone'}"
            for name, (version, gpus) in run["frameworks"].items()
        )
        said = [f"{run['date']}, Python {run['python']}: {devices}."]
        said += [f"Not run: {reason}." for reason in run["skipped"]]
        rows = [
            table_row(name, *(str(counts.get(kind, 0)) for kind in OUTCOMES))
            for name, counts in run["outcomes"].items()
        ]
        head = ("File", "Passed", "Failed", "Errors", "Skipped")
        return [
            *(nodes.paragraph("", text) for text in said),
            table(head, rows, "status"),
        ]


def setup(app):
    """Add the directives."""
    app.add_directive("status", Status)
    app.add_directive("gpu-status", GpuStatus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
