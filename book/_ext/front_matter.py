"""What pages say of themselves: a line under the title, the card of a link, map and plain text."""

import json
import os
import re
from html import escape, unescape
from pathlib import Path

from book_site import COLAB
from sphinx.errors import ConfigError
from sphinx.util.osutil import relative_uri

WORDS_A_MINUTE = 200
DESCRIPTION = (
    "Convolution padding in TensorFlow, Keras, PyTorch and ONNX, "
    "explained by code that runs."
)
CARD = "_static/card.png"  # 1200 × 630
CARD_ALT = "A 6×6 input under TensorFlow SAME and under padding=1: no window is in the same place."
TEXT = "llms.txt"
MATHS_FONT = "_static/fonts/math.woff2"


def find_address(environment):
    """The address that the site will have, with a slash at its end, or "" if nobody tells it."""
    given = environment.get("SITE_URL", "")
    owner, _, name = environment.get("GITHUB_REPOSITORY", "").partition("/")
    if given:
        if not re.fullmatch(r"https?://[\w.:-]+(/[\w.~/-]*)?", given, re.ASCII):
            raise ConfigError(f"SITE_URL must be an http(s) address, not {given!r}")
        return given.rstrip("/") + "/"
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/{'' if name == host else f'{name}/'}" if name else ""


def add_address(app, config):
    """Tell Sphinx the address; it writes the canonical links."""
    config.html_baseurl = find_address(os.environ)


def plain(html):
    """The words of a piece of HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def describe(body):
    """The sentences that begin a page's first paragraph: a search result shows some 200 letters."""
    paragraph = re.search(r"<p>(.*?)</p>", body, re.DOTALL)
    if not paragraph:
        return DESCRIPTION
    first, *rest = re.split(r"(?<=[.?!]) ", plain(paragraph[1]))
    for sentence in rest:
        if len(first) + len(sentence) > 200:
            break
        first += f" {sentence}"
    return first


def reading_minutes(body):
    """The minutes that a page's words take."""
    return max(1, round(len(plain(body).split()) / WORDS_A_MINUTE))


def facts(app, page, body):
    """The line under a title: where to run a chapter, which says itself how long it takes, or how
    long another page takes.
    """
    if app.env.doc2path(page).endswith(".ipynb"):
        items = [f"Chapter {int(Path(page).name[:2])}"]
        options = app.config.html_theme_options
        if repository := options["repository_url"].removeprefix("https://github.com/"):
            branch = options["repository_branch"]
            url = f"{COLAB}/github/{repository}/blob/{branch}/{page}.ipynb"
            items.append(f'<a href="{escape(url)}">Run in Colab</a>')
        path = f"_sources/{page}.ipynb"
        source = relative_uri(app.builder.get_target_uri(page), path)
        items.append(f'<a href="{source}" download>Download notebook</a>')
    else:
        minutes = reading_minutes(body)
        items = [f"{minutes} minute{'s' * (minutes != 1)}"]
    listed = "".join(f"<li>{item}</li>" for item in items)
    return f'<ul class="page-facts">{listed}</ul>'


def card(app, title, description, url):
    """The tags that search engines and link previews read."""
    tags = {"description": description, "og:type": "website", "og:title": title}
    tags |= {"og:site_name": app.config.html_title, "og:description": description}
    tags["twitter:card"] = "summary_large_image" if url else "summary"
    if url:  # a card takes absolute addresses only
        tags |= {"og:url": url, "og:image": app.config.html_baseurl + CARD}
        tags |= {
            "og:image:width": "1200",
            "og:image:height": "630",
            "og:image:alt": CARD_ALT,
        }
    return "".join(
        f'<meta {"property" if name.startswith("og:") else "name"}="{name}"'
        f' content="{escape(content)}" />\n'
        for name, content in tags.items()
    )


def add_to_page(app, page, template, context, doctree):
    """Put the card into the head of every page, and the line under the title of the book's."""
    body, title = context.get("body", ""), plain(context.get("title", ""))
    if page == "search":
        body, title = "", "Search"
    text = relative_uri(app.builder.get_target_uri(page), TEXT)
    context["metatags"] = (
        context.get("metatags", "")
        + card(app, title, describe(body), context.get("pageurl"))
        + f'<link rel="alternate" type="text/plain" title="The whole book" href="{text}" />\n'
    )
    if (
        "<math" in body
    ):  # a font that comes late makes formulas wider, and the text below moves
        font = relative_uri(app.builder.get_target_uri(page), MATHS_FONT)
        context["metatags"] += (
            f'<link rel="preload" as="font" type="font/woff2" href="{font}" crossorigin />\n'
        )
    if doctree and page != app.config.root_doc and 'class="explorer"' not in body:
        context["body"] = body.replace("</h1>", f"</h1>\n{facts(app, page, body)}", 1)


def source_text(path):
    """A page's Markdown; a notebook's Markdown and code, without what it printed."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = [
        (cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(text)["cells"]
    ]
    return "\n\n".join(
        s if kind == "markdown" else f"```python\n{s}\n```" for kind, s in cells
    )


def write_files(app, exception):
    """Write the plain text, the site map, and the page that leads from / to the first one."""
    if exception or app.builder.format != "html":
        return
    root, site = app.config.root_doc, Path(app.outdir)
    pages = [root, *app.env.toctree_includes[root]]
    texts = [source_text(Path(app.env.doc2path(page))) for page in pages]
    (site / TEXT).write_text("\n\n---\n\n".join(texts), encoding="utf-8")
    base, first = app.config.html_baseurl, app.builder.get_target_uri(root)
    if base:
        addresses = (base + app.builder.get_target_uri(page) for page in pages)
        urls = "\n".join(f"<url><loc>{address}</loc></url>" for address in addresses)
        space = "http://www.sitemaps.org/schemas/sitemap/0.9"
        text = f'<urlset xmlns="{space}">\n{urls}\n</urlset>\n'
        (site / "sitemap.xml").write_text(text, encoding="utf-8")
    title = escape(app.config.html_title)
    head = (site / first).read_text(encoding="utf-8").partition("</head>")[0]
    tags = re.findall(r'<meta (?:name|property)="(?:description|og:|twitter:).*>', head)
    (site / "index.html").write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8" /><title>{title}</title>\n'
        f'<meta http-equiv="refresh" content="0; url={first}" />\n'
        '<link rel="icon" href="data:," />\n'
        + "\n".join(tags)
        + f'\n</head>\n<body><main><h1><a href="{first}">{title}</a></h1></main></body></html>\n',
        encoding="utf-8",
    )


def setup(app):
    """Connect the above to Sphinx."""
    app.connect("config-inited", add_address)
    app.connect("html-page-context", add_to_page)
    app.connect("build-finished", write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
