"""The audit of a model's file as a directive: `{audit}`, for one page.

The page gets the script right after the markup, not deferred; no other page loads it. The law in it
is cut from the explorer's `padding.js` when the site is built: the functions named in LAW, word for
word. The table that the page begins with, and all that a reader without scripts sees, is what the
script makes of the sample, drawn beforehand into `sample.html` (tests/test_audit_page.py compares
it, and draws it anew).
"""

import base64
import re
from pathlib import Path

from docutils import nodes
from explorer import FOLDER as EXPLORER
from explorer import joined, minified
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

FOLDER = Path(__file__).resolve().parents[1] / "_audit"
PADDING = EXPLORER / "padding.js"
LAW = ("effectiveKernelSize", "outputSize", "samePadding")
READING = ("readers.js", "rows.js")  # these need no page
SCRIPTS = (*READING, "audit.js")
STYLE = "audit.css"
SAMPLE = "sample.onnx"


class audit(nodes.General, nodes.Element):
    """The place of the audit in a page."""


class Audit(SphinxDirective):
    """Put the audit here."""

    def run(self):
        """Return the node."""
        for name in ("audit.html", "sample.html", SAMPLE):
            self.env.note_dependency(str(FOLDER / name))
        return [audit()]


def law():
    """Return the functions of the law as a script, as the explorer's file has them."""
    text = PADDING.read_text(encoding="utf-8")
    found = [
        re.search(rf"^function {name}\(.*?^\}}\n", text, re.M | re.S)[0] for name in LAW
    ]
    return "".join(found)


def script(scripts=SCRIPTS, more=""):
    """Return what the page runs; the tests add `more`, by which they reach into it."""
    parts = [(FOLDER / name).read_text(encoding="utf-8") for name in scripts]
    return minified("audit.js", joined(law(), *parts, more))


def visit_audit(self, node):
    """Write the markup with the sample's table in it, then the script."""
    page = self.builder.get_target_uri(self.builder.current_docname)
    explorer = relative_uri(page, self.builder.get_target_uri("book/explorer"))
    source = relative_uri(page, "_static/audit/audit.js")
    data = base64.b64encode((FOLDER / SAMPLE).read_bytes()).decode()
    markup, sample = (
        (FOLDER / name).read_text(encoding="utf-8")
        for name in ("audit.html", "sample.html")
    )
    sample = sample.replace('href="?', f'href="{explorer}?')
    markup = markup.replace("SAMPLE", sample.strip())
    self.body.append(
        f'<div class="audit" data-explorer="{explorer}" data-sample="{data}">\n'
        f'{markup}</div>\n<script src="{source}"></script>\n'
    )
    raise nodes.SkipNode


def add_style(app, page, template, context, doctree):
    """Link the style sheet from the page that has the audit."""
    if doctree and next(doctree.findall(audit), None):
        app.add_css_file(f"audit/{STYLE}")


def copy_files(app, exception):
    """Put the script, the style sheet and the sample into the site."""
    if exception or app.builder.format != "html":
        return
    target = Path(app.outdir, "_static", "audit")
    target.mkdir(exist_ok=True)
    (target / "audit.js").write_text(script(), encoding="utf-8")
    style = (FOLDER / STYLE).read_text(encoding="utf-8")
    (target / STYLE).write_text(minified(STYLE, style), encoding="utf-8")
    (target / SAMPLE).write_bytes((FOLDER / SAMPLE).read_bytes())


def setup(app):
    """Connect the above to Sphinx."""
    app.add_node(audit, html=(visit_audit, None))
    app.add_directive("audit", Audit)
    app.connect("html-page-context", add_style)
    app.connect("build-finished", copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
