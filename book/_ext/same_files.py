"""The files to take away, made by tools/take_away.py: in the site's top folder, and linked.

A page links them as if they lay beside it: `[same_torch.py](same_torch.py)`.
"""

import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.osutil import relative_uri

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))

from take_away import FILES, write_files  # noqa: E402


def link_files(app, doctree):
    """Lead the links that name such a file, which MyST finds nowhere, to the top folder."""
    page = app.builder.get_target_uri(app.env.docname)
    for link in list(doctree.findall(pending_xref)):
        if link["reftarget"] in FILES:
            target = {"refuri": relative_uri(page, link["reftarget"]), "internal": True}
            link.replace_self(nodes.reference("", "", *link.children, **target))


def add_files(app, exception):
    """Write them into the site."""
    if not exception and app.builder.format == "html":
        write_files(app.outdir, app.config.html_baseurl)


def setup(app):
    """Connect the above to Sphinx."""
    app.connect("doctree-read", link_files)
    app.connect("build-finished", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
