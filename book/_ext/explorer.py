"""The padding explorer as a directive: `{explorer}`, or `{explorer} small` for the index.

Its page gets the script right after the markup, not deferred, so that the state in the address
is drawn before the first paint; no other page loads it. The sources are kept out of
html_static_path, all of whose scripts Jupyter Book adds to the head of every page; here they are
joined, for the small one without those of what it does not show. Without scripts a picture of its
default case stands in the place of the small one: inside <noscript>, so that nobody else loads it.
"""

import re
from pathlib import Path

import minify
from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from sphinx.util.images import get_image_size
from sphinx.util.osutil import relative_uri

FOLDER = Path(__file__).resolve().parents[1] / "_explorer"
STYLE = "explorer.css"
SHIPPED = {
    "explorer.js": ("padding.js", "code.js", "paste.js", "address.js", "explorer.js"),
    "small.js": ("padding.js", "address.js", "explorer.js"),
}
COMMENT_OR_INDENT = re.compile(r"^\s*/\*(?s:.*?)\*/\s*|^\s+", re.MULTILINE)
PICTURE = FOLDER.parent / "_static" / "six-by-six.png"  # drawn at twice its size
ALT = (
    "Two drawings of a 6 by 6 input with kernel 3 and stride 2. Left, TensorFlow SAME: no zero "
    "above or on the left, one row of zeros below, one column on the right; the first window "
    "starts at cell (0, 0). Right, padding=1: zeros on every side; the first window starts at "
    "(-1, -1). All nine windows differ by one cell in each direction."
)


class explorer(nodes.General, nodes.Element):
    """The place of an explorer in a page."""


class Explorer(SphinxDirective):
    """Put the explorer here."""

    optional_arguments = 1

    def run(self):
        """Return the node; anything but "small" or nothing is an error."""
        size = self.arguments[0] if self.arguments else ""
        if size not in ("", "small"):
            raise self.error(f"explorer takes 'small' or nothing, not {size!r}")
        self.env.note_dependency(str(FOLDER / "explorer.html"))
        return [explorer(size=size)]


def picture(page):
    """The small explorer's picture for readers without scripts."""
    width, height = (round(pixels / 2) for pixels in get_image_size(PICTURE))
    address = relative_uri(page, f"_static/{PICTURE.name}")
    return (
        "<noscript>"
        f'<img class="ex-picture" src="{address}" alt="{ALT}" width="{width}" height="{height}">'
        "</noscript>\n"
    )


def visit_explorer(self, node):
    """Write the markup with its default case drawn in it, then the script."""
    page = self.builder.get_target_uri(self.builder.current_docname)
    size = node["size"]
    script = relative_uri(page, f"_static/explorer/{size or 'explorer'}.js")
    markup = (FOLDER / "explorer.html").read_text(encoding="utf-8")
    self.body.append(picture(page) if size else "")
    self.body.append(
        f'<div class="explorer" data-explorer="{size}" data-op="conv">{markup}</div>\n'
    )
    self.body.append(f'<script src="{script}"></script>\n')
    raise nodes.SkipNode


def add_style(app, page, template, context, doctree):
    """Link the style sheet from the pages that have an explorer."""
    if doctree and next(doctree.findall(explorer), None):
        app.add_css_file(f"explorer/{STYLE}")


def minified(name, text):
    """Return a script with short names, a style sheet without comments and indentation.

    tdewolff-minify 2.24.11 and 2.24.12 move a `const` that takes a literal apart before those that
    it reads (its issue 958); tests/test_explorer.py has the forms that a minifier must leave right.
    """
    if name.endswith(".css"):
        return COMMENT_OR_INDENT.sub("", text)
    return minify.string("application/javascript", text)


def joined(*parts):
    """Return scripts as one function, so that the minifier shortens the names they share too."""
    return f'(() => {{\n"use strict";\n{"".join(parts)}}})();\n'


def shipped(name, more=""):
    """Return a script as the site has it, or with `more`, by which the tests reach into it."""
    parts = [(FOLDER / part).read_text(encoding="utf-8") for part in SHIPPED[name]]
    return minified(name, joined(*parts, more))


def copy_files(app, exception):
    """Put the scripts and the style sheet into the site."""
    if exception or app.builder.format != "html":
        return
    target = Path(app.outdir, "_static", "explorer")
    target.mkdir(exist_ok=True)
    for name in SHIPPED:
        (target / name).write_text(shipped(name), encoding="utf-8")
    style = (FOLDER / STYLE).read_text(encoding="utf-8")
    (target / STYLE).write_text(minified(STYLE, style), encoding="utf-8")


def setup(app):
    """Connect the above to Sphinx."""
    app.add_node(explorer, html=(visit_explorer, None))
    app.add_directive("explorer", Explorer)
    app.connect("html-page-context", add_style)
    app.connect("build-finished", copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
