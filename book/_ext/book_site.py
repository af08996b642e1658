"""The website's own behaviour: the repository's buttons, figures at their size, no dead weight,
and a policy on each page that lets it load nothing but the site's own files.
"""

import base64
import hashlib
import os
import re
import subprocess
from pathlib import Path

from docutils import nodes
from sphinx.errors import ConfigError
from sphinx.util import logging
from sphinx.util.images import get_image_size
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

COLAB = "https://colab.research.google.com"
GITHUB_REMOTE = re.compile(
    r"(?:https://(?:[^/@]+@)?|ssh://(?:[^/@]+@)?|[^/@]+@)github\.com(?::\d+)?[:/]"
    r"(?P<name>[^/]+/[^/]+?)(?:\.git)?/?"
)
FONTAWESOME_JS = re.compile(
    r'<script defer src="[^"]*scripts/fontawesome\.js[^"]*"></script>'
)
EMPTY_HEAD = re.compile(
    r'<th class="head">(?:<p></p>)?</th>'
)  # a header of nothing: axe objects
SUMMARY_LABEL = (
    ' aria-label="Toggle hidden content"'  # hides what the reader sees: axe 2.5.3
)

# What the theme writes into each page as code; `book.js` does it instead, or nothing asks for it.
INLINE = (
    (re.compile(r'<script data-cfasync="false">[^<]*</script>'), ""),
    (re.compile(r"<script>DOCUMENTATION_OPTIONS\.\w+ = [^<]*</script>"), ""),
    (re.compile(r'onclick="window\.print\(\)"'), 'data-does="print"'),
    (re.compile(r'onclick="toggleFullScreen\(\)"'), 'data-does="full-screen"'),
)
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
CHARSET = '<meta charset="utf-8" />'
# Nothing but files of the site, no code and no style inside a page but the styles known by hash.
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
}


def git(root, *arguments):
    """What a git command prints, or "" where there is no repository, no answer or no git."""
    # An explicit --git-dir keeps git from finding another project's repository further up.
    command = ["git", f"--git-dir={root}/.git", *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def find_repository(root, environment):
    """The repository as "owner/name", or None where neither GitHub nor a git remote tells it."""
    given = environment.get("GITHUB_REPOSITORY")
    if given:
        if not re.fullmatch(r"[\w-]+/[\w.-]+", given, re.ASCII):
            raise ConfigError(f"GITHUB_REPOSITORY must be owner/name, not {given!r}")
        return given
    remote = GITHUB_REMOTE.fullmatch(git(root, "config", "--get", "remote.origin.url"))
    return remote["name"] if remote else None


def find_branch(root, environment):
    """The branch that links point to: GitHub's, else the checked-out one, else the default one."""
    ref = environment.get(
        "GITHUB_REF", ""
    )  # refs/tags/… and refs/pull/… are no branches
    return (
        environment.get("GITHUB_HEAD_REF")
        or (ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else "")
        or git(root, "symbolic-ref", "--quiet", "HEAD").removeprefix("refs/heads/")
        or git(
            root, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"
        ).removeprefix("refs/remotes/origin/")
        or "main"
    )


def add_repository(app, config):
    """Show the Colab, repository, edit and issue buttons exactly when the repository is known."""
    repository = find_repository(app.confdir, os.environ)
    config.html_theme_options |= {
        "repository_url": f"https://github.com/{repository}" if repository else "",
        "repository_branch": find_branch(app.confdir, os.environ),
        "launch_buttons": {"colab_url": COLAB} if repository else {},
        "use_repository_button": bool(repository),
        "use_edit_page_button": bool(repository),
        "use_issues_button": bool(repository),
    }


def visit_image(self, node):
    """Write an image; a PNG, which this book draws at twice its size, at half its pixels.

    Width and height also reserve its place, so that nothing moves when it arrives.
    """
    if not node.get("alt", "").strip():
        logger.warning("image without alt text: %s", node["uri"], location=node)
    drawn = node["uri"].endswith(".png")
    size = get_image_size(Path(self.builder.srcdir, node["uri"])) if drawn else None
    HTML5Translator.visit_image(self, node)
    if size:
        width, height = (round(pixels / 2) for pixels in size)
        attributes = f'<img width="{width}" height="{height}" '
        self.body[-1] = self.body[-1].replace("<img ", attributes, 1)


def keep_dimensions_whole(app, doctree, page):
    """Let no line end within "1-D", "2-D" or "3-D"."""
    for text in list(doctree.findall(nodes.Text)):
        pieces = re.split(r"\b([1-3]-D)\b", text.astext())
        if len(pieces) == 1 or isinstance(text.parent, nodes.FixedTextElement):
            continue
        whole = [
            nodes.inline("", piece, classes=["whole"]) if i % 2 else nodes.Text(piece)
            for i, piece in enumerate(pieces)
        ]
        text.parent.replace(text, whole)


def protect(html):
    """Return a page with its Content-Security-Policy, and without the theme's code inside it."""
    for pattern, instead in INLINE:
        html = pattern.sub(instead, html)
    digests = (hashlib.sha256(style.encode()).digest() for style in STYLE.findall(html))
    hashes = sorted({f" 'sha256-{base64.b64encode(d).decode()}'" for d in digests})
    policy = POLICY | {"style-src": POLICY["style-src"] + "".join(hashes)}
    text = "; ".join(f"{name} {value}" for name, value in policy.items())
    tag = f'<meta http-equiv="Content-Security-Policy" content="{text}" />'
    return html.replace(CHARSET, f"{CHARSET}\n{tag}", 1)


def finish_pages(app, exception):
    """Drop FontAwesome's script (1.5 MB; the icons come from its font) and the source maps; give
    each page its policy.
    """
    if exception or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        slim = FONTAWESOME_JS.sub("", html).replace(SUMMARY_LABEL, "")
        slim = EMPTY_HEAD.sub("<td></td>", slim)
        page.write_text(protect(slim), encoding="utf-8")
    static = Path(app.outdir, "_static")
    for path in {*static.rglob("*.map"), *static.rglob("fontawesome.js*")}:
        path.unlink()


def setup(app):
    """Connect the above to Sphinx."""
    app.connect("config-inited", add_repository)
    app.connect("doctree-resolved", keep_dimensions_whole)
    app.connect(
        "build-finished", finish_pages, priority=900
    )  # index.html is there by then
    app.add_node(
        nodes.image, override=True, html=(visit_image, HTML5Translator.depart_image)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
