"""When each chapter last ran, as a directive: `{status}`, a table from the notebooks' metadata.

`make execute` stores the date, the seconds and the frameworks' versions in them; nothing is
imported here, so the table says what ran, not what is installed where the book is built.
"""

import json
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

HEAD = ("Chapter", "Last run", "Seconds", "With")
NOTHING = "—"


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


def row(*contents):
    """Return a table row; each content is a text or an inline node."""
    line = nodes.row()
    for content in contents:
        inline = content if isinstance(content, nodes.Node) else nodes.Text(content)
        line += nodes.entry("", nodes.paragraph("", "", inline))
    return line


class Status(SphinxDirective):
    """Put the table here."""

    def run(self):
        """Return the table, a row for each notebook of the contents, in their order."""
        group = nodes.tgroup(
            "", *[nodes.colspec(colwidth=1) for _ in HEAD], cols=len(HEAD)
        )
        group += nodes.thead("", row(*HEAD))
        body = nodes.tbody()
        for page in sorted(self.config.external_site_map):
            path = Path(self.env.srcdir, f"{page}.ipynb")
            if path.is_file():
                self.env.note_dependency(str(path))
                body += row(self.link(page, path.stem), *cells(executed(path)))
        group += body
        return [nodes.table("", group, classes=["status"])]

    def link(self, page, text):
        """Return a link to a page, which Sphinx resolves and labels with the page's title."""
        target = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{page}"}
        link = pending_xref("", refexplicit=False, refwarn=True, **target)
        link += nodes.inline("", text)
        return link


def setup(app):
    """Add the directive."""
    app.add_directive("status", Status)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
