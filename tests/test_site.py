"""The website: built twice from a copy of the sources, then read page by page and in a browser."""

import functools
import gzip
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import LAYOUT_SHIFT, build, built, copy_sources, page_names
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "book" / "_ext"))

from book_site import find_branch, find_repository  # noqa: E402
from front_matter import describe, find_address, reading_minutes  # noqa: E402
from mathml import to_mathml  # noqa: E402
from sphinx.errors import ConfigError  # noqa: E402

BUDGET = (
    250_000  # bytes, each file compressed: everything the browser fetches for one page
)
BUDGET_WITH_MATHS = 320_000
LAYOUT_SHIFT_BUDGET = 0.02
BASE = "https://example.github.io/padding.book/"  # of the site `known`, by conftest's REPOSITORY
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
NOTEBOOKS = [name for name in CHAPTERS if (ROOT / f"{name}.ipynb").exists()]


@pytest.fixture(scope="module")
def unknown(tmp_path_factory):
    """The site as a reader builds it who unpacked an archive: no repository is known."""
    return built(copy_sources(tmp_path_factory.mktemp("unknown") / "book"))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """The failed build of a book with one fault of each kind planted in its first page."""
    sources = copy_sources(tmp_path_factory.mktemp("faulty") / "book")
    with (sources / f"{TOC['root']}.md").open("a", encoding="utf-8") as page:
        page.write(
            "\n[page](no-such-page.md) [anchor](#no-such-anchor) $\\nosuchcommand$\n"
        )
        page.write("\n![](_static/favicon.svg)\n")
    return build(sources)


def pages(site):
    """Each page of a site, parsed, under its path."""
    return {site / name: parse(site / name) for name in page_names(site)}


@functools.cache
def parse(path):
    """A page as a BeautifulSoup tree."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.mark.parametrize("site", ["known", "unknown"])
def test_every_internal_link_and_anchor_resolves(site, request):
    """Every href and src that stays on the site names a file, and its fragment an element."""
    found, broken = pages(request.getfixturevalue(site)), []
    ids = {path: {e["id"] for e in soup.select("[id]")} for path, soup in found.items()}
    for path, soup in found.items():
        for element in soup.select("[href], [src]"):
            link = element.get("href") or element.get("src") or ""
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not target.is_file():
                broken.append(f"{path.name}: {link}")
            elif url.fragment and unquote(url.fragment) not in ids.get(target, ()):
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_the_contents_name_notebooks():
    """The tests below have something to read."""
    assert NOTEBOOKS


def words(texts):
    """The words of each text that has any: Keras also stores HTML with nothing in it."""
    return [text.split() for text in texts if text.strip()]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_page_shows_every_output_of_its_notebook(known, name):
    """Texts in full and in order, and all images; hidden cells count too."""
    texts, images = [], 0
    for cell in nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if any(kind.startswith("image/") for kind in data):
                images += 1
            elif "text/html" in data:
                texts.append(BeautifulSoup(data["text/html"], "html.parser").get_text())
            else:
                texts.append(re.sub(r"\x1b\[[\d;]*m", "", data["text/plain"]))
    page = parse(known / f"{name}.html")
    shown = [output.get_text() for output in page.select(".cell_output > .output")]
    assert words(shown) == words(texts)
    assert len(page.select(".cell_output img")) == images


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_figures_have_half_their_pixels(known, name):
    """Figures are drawn at 2x; width and height keep the text from jumping when they arrive."""
    page = known / f"{name}.html"
    for image in parse(page).select(".cell_output img"):
        png = (page.parent / image["src"]).read_bytes()
        pixels = [int.from_bytes(png[i : i + 4], "big") for i in (16, 20)]
        assert [int(image["width"]), int(image["height"])] == [
            round(n / 2) for n in pixels
        ]


def test_every_image_says_what_it_shows(known):
    """An alt text on every image, in words."""
    for path, soup in pages(known).items():
        for image in soup.find_all("img"):
            alt = image.get("alt", "").strip()
            assert " " in alt and Path(image["src"]).stem not in alt, (
                f"{path.name}: {image}"
            )


def test_every_picture_has_its_place(known):
    """Width and height on every image of an article: nothing moves when it arrives."""
    for path, soup in pages(known).items():
        for image in soup.select("article img"):
            assert image.get("width") and image.get("height"), f"{path.name}: {image}"


def test_nothing_comes_from_outside(known):
    """No page and no style sheet names a file on another host to load."""
    outside, sheets = [], set()
    for path, soup in pages(known).items():
        loading = ("script", "img", "iframe", "source", "video", "audio", "embed")
        selector = ", ".join(f"{tag}[src]" for tag in loading)
        urls = [element["src"] for element in soup.select(selector)]
        links = soup.select("link[href]:not([rel~=canonical])")
        urls += [link["href"] for link in links]
        sheets |= {
            (path.parent / urlsplit(link["href"]).path).resolve()
            for link in links
            if "stylesheet" in link["rel"]
        }
        styles = " ".join(element.get_text() for element in soup.find_all("style"))
        urls += css_urls(styles + " ".join(e["style"] for e in soup.select("[style]")))
        outside += [f"{path.name}: {url}" for url in urls if urlsplit(url).netloc]
    assert sheets
    for sheet in sheets:
        urls = css_urls(sheet.read_text(encoding="utf-8"))
        outside += [f"{sheet.name}: {url}" for url in urls if urlsplit(url).netloc]
    assert not outside


POLICY = 'meta[http-equiv="Content-Security-Policy"]'


def test_no_code_stands_inside_a_page(known):
    """Scripts are files of the site; no handler, no javascript: address, no style attribute; a
    style inside a page is one of the few that the theme and this book write.
    """
    for path, soup in pages(known).items():
        for script in soup.find_all("script"):
            assert script.get("src") and not script.get_text(), f"{path.name}: {script}"
            source = (path.parent / urlsplit(script["src"]).path).resolve()
            assert source.is_relative_to(known / "_static"), f"{path.name}: {source}"
        for element in soup.find_all(True):
            assert not any(name.startswith("on") for name in element.attrs), element
            assert not element.has_attr("style"), f"{path.name}: {element}"
            address = str(element.get("href") or element.get("src") or "")
            assert not address.lower().startswith("javascript:"), element
        for style in soup.find_all("style"):
            assert style.find_parent("noscript"), f"{path.name}: {style}"


def test_each_page_has_its_policy(known):
    """Nothing by default; what is allowed is the site's own; it precedes all that it governs."""
    for path, soup in pages(known).items():
        (tag,) = soup.select(POLICY)
        before = [element.name for element in tag.find_all_previous(True)]
        assert before in (
            ["meta", "head", "html"],
            ["meta", "head", "html", "[document]"],
        )
        rules = dict(rule.split(" ", 1) for rule in tag["content"].split("; "))
        assert rules.pop("default-src") == rules.pop("base-uri") == "'none'"
        for name, sources in rules.items():
            allowed = {"'self'"} | ({"data:"} if name == "img-src" else set())
            hashes = {s for s in sources.split() if s.startswith("'sha256-")}
            assert set(sources.split()) - hashes <= allowed, f"{path.name}: {name}"
            assert not hashes or name == "style-src"


@pytest.mark.parametrize("way", ["http", "file"])
def test_foreign_code_is_refused(known, chromium, address, way):
    """A script inside the page, a handler, an evaluated text, a style, a script and a picture from
    elsewhere: none runs or loads; without the policy the first three do.
    """
    base = address if way == "http" else known.as_uri() + "/"
    tab, loaded, failed = chromium.new_page(), [], []
    tab.on("response", lambda response: loaded.append(response.url))
    tab.on("requestfailed", lambda r: failed.append((r.url, r.failure)))
    for name in ("book/explorer.html", "book/audit.html", f"{NOTEBOOKS[0]}.html"):
        tab.goto(base + name)
        refused, ran = tab.evaluate(FOREIGN)
        assert ran == [], f"{name}: {ran}"
        assert sorted(refused) == [
            "img-src", "script-src-attr", "script-src-elem", "script-src-elem", "style-src-attr",
            "style-src-elem",
        ]  # fmt: skip
    assert not [url for url in loaded if "example.org" in url]
    far = [f"https://example.org/far.{kind}" for kind in ("js", "png")] * 3
    assert [f for f in failed if "example.org" in f[0]] == [(u, "csp") for u in far]
    tab.close()
    tab = chromium.new_page()
    without = re.sub(
        r'<meta http-equiv="Content-S[^>]*>', "", (known / name).read_text("utf-8")
    )
    tab.route("**/*", lambda route: route.fulfill(status=200, body=""))
    tab.set_content(without)
    assert tab.evaluate(FOREIGN)[1] == ["script", "handler", "style"]
    tab.close()


# Puts foreign code into a page; gives the directives that refused it, and what ran all the same.
FOREIGN = """async () => {
  const refused = [];
  addEventListener("securitypolicyviolation", (e) => refused.push(e.effectiveDirective));
  window.ran = [];
  const script = document.createElement("script");
  script.textContent = "ran.push('script')";
  const far = document.createElement("script");
  far.src = "https://example.org/far.js";
  document.body.append(script, far);
  const holder = document.createElement("div");
  holder.innerHTML = `<p onclick="ran.push('handler')" style="position: fixed">x</p>
    <img alt="x x" src="https://example.org/far.png"><style>h1 { position: fixed }</style>`;
  document.body.append(holder);
  holder.querySelector("p").click();
  await new Promise((done) => setTimeout(done, 300));
  if (getComputedStyle(document.querySelector("h1")).position == "fixed") ran.push("style");
  return [refused, ran];
}"""


def test_the_theme_s_buttons_work_without_code_in_the_page(chromium, address):
    """Light and dark, kept for the next page; print; full screen."""
    context = chromium.new_context(color_scheme="light")
    tab = context.new_page()
    tab.add_init_script("print = () => { window.printed = true }")
    tab.goto(f"{address}{NOTEBOOKS[0]}.html")
    assert tab.evaluate("document.documentElement.dataset.mode") == "auto"
    switch = tab.locator(".theme-switch-button:visible").first
    modes = set()
    for _ in range(3):
        switch.click()
        modes.add(tab.evaluate("document.documentElement.dataset.mode"))
    assert modes == {"auto", "light", "dark"}
    while tab.evaluate("document.documentElement.dataset.theme") != "dark":
        switch.click()
    tab.goto(f"{address}{NOTEBOOKS[1]}.html", wait_until="commit")
    tab.wait_for_function("() => document.body")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    tab.wait_for_load_state()
    tab.locator(".dropdown-download-buttons button").first.click()
    tab.locator("[data-does=print]").click()
    assert tab.evaluate("window.printed")
    tab.locator("[data-does=full-screen]").click()
    tab.wait_for_function("() => document.fullscreenElement")
    context.close()


def css_urls(css):
    """The addresses that a style sheet loads."""
    pattern = r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)"""
    return [a or b for a, b in re.findall(pattern, css)]


# Where the first picture of a page, or the table in its place, ends; and, with everything opened,
# what scrolls sideways.
ON_A_LAPTOP = """() => {
  const first = document.querySelector("article img, article table");
  const end = first?.getBoundingClientRect().bottom ?? 0;
  for (const block of document.querySelectorAll("article details")) block.open = true;
  const blocks = [...document.querySelectorAll("article pre, article .output")];
  const wide = blocks.filter((block) => block.scrollWidth > block.clientWidth + 1);
  return [end + scrollY, wide.map((block) => block.textContent.trim().slice(0, 80))];
}"""


@functools.cache
def compressed_size(file):
    """How many bytes of a file travel to the browser."""
    return len(gzip.compress(file.read_bytes()))


def test_a_browser_loads_every_page(known, chromium, address):
    """No request leaves the site, nothing fails or moves, no page is heavy or too wide.

    On a laptop the first screen of a chapter shows its title, the answer and the whole picture, and
    no code or output scrolls sideways.
    """
    problems, weights, requests = [], {}, set()
    tab = chromium.new_page()  # one: to open another costs as much as to load a page

    def complain(what):
        problems.append(f"{name}: {what}")

    tab.on("request", lambda request: requests.add(request.url))
    tab.on("requestfailed", lambda request: complain(f"failed: {request.url}"))
    tab.on("pageerror", lambda error: complain(f"script error: {error}"))
    tab.on("console", lambda message:
           complain(message.text) if message.type in ("error", "warning") else None)  # fmt: skip
    # Each page comes as to who has seen none: without the cache, and those without formulas first,
    # as a tab that has drawn one asks for their font on later pages too; "index" leads to some.
    session = tab.context.new_cdp_session(tab)
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    late = {n for n in page_names(known) if n == "index.html" or parse(known / n).math}
    for name in sorted(page_names(known), key=late.__contains__):
        tab.set_viewport_size({"width": 360, "height": 740})
        requests.clear()
        tab.goto(address + name, wait_until="networkidle")
        if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
            complain("wider than 360 px")
        shift = tab.evaluate(LAYOUT_SHIFT)
        if shift > LAYOUT_SHIFT_BUDGET:
            complain(f"layout shift {shift:.3f}")
        budget = BUDGET_WITH_MATHS if tab.locator("math").count() else BUDGET
        tab.set_viewport_size({"width": 1280, "height": 900})
        picture, scrolling = tab.evaluate(ON_A_LAPTOP)
        if name.startswith("notebooks/") and not 0 < picture <= 900:
            complain(f"the opening picture ends at {picture} px")
        for text in scrolling:
            complain(f"scrolls sideways at 1280 px: {text}")
        weights[name] = 0
        for url in requests:
            if url.startswith(address):
                file = known / unquote(urlsplit(url).path).lstrip("/")
                weights[name] += compressed_size(file)
            elif not url.startswith("data:"):
                complain(f"leaves the site: {url}")
        if not 0 < weights[name] <= budget:
            complain(f"{weights[name]} bytes")
    tab.close()
    print(weights)
    assert not problems, "\n".join(problems)


def meta(soup):
    """The tags that search engines and link previews read."""
    tags = soup.select("meta[name][content], meta[property][content]")
    return {tag.get("name") or tag["property"]: tag["content"] for tag in tags}


def test_each_page_has_its_card(known):
    """A description of its own; absolute addresses of the page and of a picture that is there."""
    descriptions = {}
    for path, soup in pages(known).items():
        tags, name = meta(soup), path.relative_to(known).as_posix()
        descriptions[name] = tags["description"]
        assert 40 <= len(tags["description"]) <= 300 and not re.search(
            r"[\\<$]", str(tags)
        ), name
        assert tags["og:title"] and tags["og:description"] == tags["description"]
        assert tags["og:site_name"] == "Same Is Not the Same"
        assert tags["twitter:card"] == "summary_large_image"
        assert tags["og:image"] == BASE + "_static/card.png"
        if name != "index.html":  # the way to the first page, and so its card
            assert (
                tags["og:url"]
                == soup.select_one("link[rel=canonical]")["href"]
                == BASE + name
            )
    assert len(set(descriptions.values())) == len(descriptions) - 1
    card = (known / "_static" / "card.png").read_bytes()
    assert [int.from_bytes(card[i : i + 4], "big") for i in (16, 20)] == [1200, 630]
    assert len(card) <= 80_000


def test_the_site_map_names_each_page(known):
    """The pages of the book, in its order, by their full addresses."""
    soup = BeautifulSoup(
        (known / "sitemap.xml").read_text(encoding="utf-8"), "html.parser"
    )
    expected = [f"{BASE}{name}.html" for name in [TOC["root"], *CHAPTERS]]
    assert [tag.get_text() for tag in soup.find_all("loc")] == expected


def test_an_unknown_address_is_not_made_up(unknown):
    """Nobody said where the site will be: no map, no canonical link, no picture for a card."""
    assert not (unknown / "sitemap.xml").exists()
    for soup in pages(unknown).values():
        tags = meta(soup)
        assert tags["description"] and tags["twitter:card"] == "summary"
        assert not {"og:url", "og:image"} & set(tags)
        assert not soup.select("link[rel=canonical]")


def test_the_address_of_the_site():
    """SITE_URL comes first, then GitHub Pages'; an owner's own site is at its root."""
    assert find_address({}) == ""
    assert (
        find_address({"GITHUB_REPOSITORY": "Owner/Name"})
        == "https://owner.github.io/Name/"
    )
    assert (
        find_address({"GITHUB_REPOSITORY": "o/o.github.io"}) == "https://o.github.io/"
    )
    own = {"SITE_URL": "https://example.org/book", "GITHUB_REPOSITORY": "a/b"}
    assert find_address(own) == "https://example.org/book/"
    for wrong in ("example.org", "ftp://example.org", 'https://a.b/"x', "https://a b"):
        with pytest.raises(ConfigError, match="SITE_URL"):
            find_address({"SITE_URL": wrong})


def test_describe():
    """Whole sentences, at most about 200 letters, formulas as text; never nothing."""
    assert describe(
        "<p><b>A &amp; b.</b> <math><mi>n</mi><mo>/</mo><mi>s</mi></math>!</p>"
    ) == ("A & b. n/s!")
    assert describe(f"<p>One. Two. {'x' * 200}. Three.</p>") == "One. Two."
    assert "TensorFlow" in describe("<h1>Nothing else</h1>")


def test_the_line_under_a_title(known, unknown):
    """A chapter leads to Colab, where that is known, and to itself; a page says its minutes."""
    for name in NOTEBOOKS:
        for site in (known, unknown):
            line = parse(site / f"{name}.html").select_one("h1 + .page-facts")
            assert line.li.get_text() == f"Chapter {int(Path(name).name[:2])}"
            assert (
                "minute" not in line.get_text()
            )  # it says so itself, under "You need"
            links = {link.get_text(): link for link in line.select("a")}
            download = links.pop("Download notebook")
            assert download.has_attr("download")
            file = (site / f"{name}.html").parent / download["href"]
            assert file.read_bytes() == (ROOT / f"{name}.ipynb").read_bytes()
            path = f"github/example/padding.book/blob/topic/x/{name}.ipynb"
            colab = {"Run in Colab": f"https://colab.research.google.com/{path}"}
            expected = colab if site == known else {}
            assert {text: link["href"] for text, link in links.items()} == expected
    line = parse(known / "book" / "cheat-sheet.html").select_one("h1 + .page-facts")
    assert re.fullmatch(r"\d+ minutes?", line.get_text())


def test_reading_time():
    """200 words a minute, and never no time at all."""
    assert reading_minutes(f"<p>{'word ' * 900}</p>") == 4  # 4.5, rounded to even
    assert reading_minutes("<p>short</p>") == 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_what_comes_next_is_there(known, name):
    """A chapter ends with a link to a page of the book; it promises none that does not exist."""
    page = known / f"{name}.html"
    said = [
        p for p in parse(page).select("article p") if p.get_text().startswith("Next:")
    ]
    assert len(said) == 1 and said[0].a
    assert (page.parent / said[0].a["href"].partition("#")[0]).resolve().is_file()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_one_fold_before_the_opening_picture(known, name):
    """Setup, recap and drawing code are one fold, which holds them all and keeps their order."""
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
    hidden = []
    for cell in notebook.cells[1:]:
        if "hide-input" in cell.metadata.get("tags", []):
            hidden.append(cell.source)
        if cell.get("outputs"):
            break
    (fold,) = parse(known / f"{name}.html").select("article .preparation")
    inside = [pre.get_text().strip() for pre in fold.select("pre")]
    assert inside == [source.strip() for source in hidden]
    before = [e.name for e in fold.parent.find_previous_siblings()]
    assert before[-1] == "h1" and before[-2] == "ul"  # the title, the line below it
    assert before[:-2] in (["p", "p"], ["p", "div", "p"])  # answer, a table, needs


def test_a_dimension_is_not_torn_apart(known):
    """ "3-D" stays on one line, in titles too; code is left as it is."""
    page = parse(known / "notebooks" / "10-every-axis.html")
    assert [e.get_text() for e in page.select("article h1 .whole")] == ["1-D", "3-D"]
    assert not page.select("pre .whole")
    css = (known / "_static" / "book.css").read_text(encoding="utf-8")
    assert re.search(r"\.whole \{\s*white-space: nowrap;", css)


def test_next_and_previous(known):
    """The pages form one chain, in the order of the contents."""
    chain = [TOC["root"], *CHAPTERS]
    for before, after in zip(chain, chain[1:], strict=False):
        for here, link, there in (
            (before, "right-next", after),
            (after, "left-prev", before),
        ):
            page = known / f"{here}.html"
            href = parse(page).select_one(f"a.{link}")["href"]
            assert (page.parent / href).resolve() == (known / f"{there}.html").resolve()


def test_the_plain_text_is_the_book(known):
    """llms.txt holds each page's title, in order, and the code that the chapters derive."""
    text = (known / "llms.txt").read_text(encoding="utf-8")
    titles = [
        parse(known / f"{name}.html").h1.get_text()[:-1]
        for name in [TOC["root"], *CHAPTERS]
    ]
    heads = re.sub("[’']", "'", "\n".join(re.findall("^# .*$", text, re.MULTILINE)))
    places = [heads.index("# " + title.replace("’", "'")) for title in titles]
    assert places == sorted(places)
    assert text.count("```python\n") > 50 and "\ndef same_padding(" in text


def test_by_keyboard_alone(chromium, address):
    """The first stop skips to the text; focus shows; what is folded opens; what is wide scrolls."""
    page = chromium.new_page(viewport={"width": 240, "height": 740})
    page.goto(f"{address}{NOTEBOOKS[0]}.html", wait_until="networkidle")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    assert (
        page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        == "solid"
    )
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")
    summary = page.locator(".cell summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator(".cell details").first.get_attribute("open") is not None
    page.wait_for_timeout(400)  # the theme looks for what scrolls in its own time
    for what in ("pre", "div.math", ".pst-scrollable-table-container"):
        unreachable = page.locator(what).evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth && e.tabIndex < 0).length"
        )
        assert not unreachable, what
    wide = page.locator("div.math[tabindex]").first
    wide.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.scrollLeft > 0")
    page.close()


def test_on_paper(chromium, address):
    """The article alone, dark on white whatever the screen shows; what is folded stays away."""
    page = chromium.new_page(color_scheme="dark")
    page.goto(f"{address}{NOTEBOOKS[0]}.html", wait_until="networkidle")
    page.emulate_media(media="print")
    page.wait_for_function("() => document.documentElement.dataset.theme == 'light'")
    for gone in (
        "header",
        "nav",
        "button",
        ".page-facts",
        "summary",
        ".prev-next-area",
    ):
        assert not page.locator(gone).filter(visible=True).count(), gone
    assert page.locator("h1").filter(visible=True).count() == 1
    colours = "[getComputedStyle(document.body).color, getComputedStyle(document.body).background]"
    colour, ground = page.evaluate(colours)
    assert colour == "rgb(0, 0, 0)" and ground.startswith("rgb(255, 255, 255)")
    page.emulate_media(media="screen")
    page.wait_for_function("() => document.documentElement.dataset.theme == 'dark'")
    page.close()


def count_formulas(markdown):
    """How many formulas a Markdown text holds."""
    tokens = (
        MarkdownIt("commonmark").enable("table").use(dollarmath_plugin).parse(markdown)
    )
    tokens += [child for token in tokens for child in token.children or []]
    return sum(token.type.startswith("math_") for token in tokens)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_formula_is_mathml(known, name):
    """The browser itself draws each formula; no TeX is left over in the text."""
    cells = nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    article = parse(known / f"{name}.html").find("article")
    assert len(article.find_all("math")) == sum(map(count_formulas, texts))
    prose = [
        text for text in article.find_all(string=True) if not text.find_parent("pre")
    ]
    assert not re.search(r"\\(frac|lceil|lfloor|text|begin|times)\b", " ".join(prose))


def test_no_page_asks_for_mathjax(known):
    """Neither MathJax nor Thebe nor FontAwesome's script is on any page."""
    for path, soup in pages(known).items():
        scripts = " ".join(str(script) for script in soup.find_all("script")).lower()
        assert not re.search("mathjax|thebe|fontawesome", scripts), path.name


def test_to_mathml():
    """What the chapters use comes out with the structure it should have."""
    ceiling = to_mathml(r"\lceil n/s \rceil", "inline")
    assert '<mo stretchy="false">&#x02308;</mo><mi>n</mi>' in ceiling
    assert "<mfrac>" in to_mathml(r"\left\lfloor \frac{T}{2} \right\rfloor", "block")
    assert "<mo>mod</mo>" in to_mathml(r"n \bmod s", "inline")
    assert "<mtext>if&#x000A0;</mtext>" in to_mathml(
        r"\begin{cases} a & \text{if } b \\ c & d \end{cases}", "block"
    )
    for rows in (
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"a &= b \\ c &= d",
    ):
        assert to_mathml(rows, "block").count("<mtr>") == 2


@pytest.mark.parametrize(
    "latex",
    [r"\nosuchcommand{x}", r"\begin{nosuch}x\end{nosuch}", r"\frac{1}", "a}b", "a & b", "x_{", "",
     r"\text{a\_b}", r"\text{$x$}", r"\Bigl\lfloor x \Bigr\rfloor"],
)  # fmt: skip
def test_to_mathml_never_guesses(latex):
    """What cannot be converted is an error, which the build turns into a warning."""
    with pytest.raises(ValueError):
        to_mathml(latex, "inline")


def buttons(site, name):
    """The addresses of the buttons above a page."""
    links = parse(site / f"{name}.html").select(".article-header-buttons a[href]")
    return [link["href"] for link in links]


def test_buttons_lead_to_the_repository(known):
    """Colab for each notebook; repository, edit and issue for each page of the book."""
    github = "https://github.com/example/padding.book"
    for name in [TOC["root"], *CHAPTERS]:
        found = buttons(known, name)
        suffix = ".ipynb" if name in NOTEBOOKS else ".md"
        assert github in found
        assert f"{github}/edit/topic/x/{name}{suffix}" in found
        assert any(link.startswith(f"{github}/issues/new?") for link in found)
        colab = [link for link in found if "colab" in link]
        path = f"github/example/padding.book/blob/topic/x/{name}.ipynb"
        expected = (
            [f"https://colab.research.google.com/{path}"] if name in NOTEBOOKS else []
        )
        assert colab == expected


def test_without_a_repository_only_the_download_is_left(unknown):
    """No button leads to an address that nobody gave; the notebook can still be downloaded."""
    for name in [TOC["root"], *CHAPTERS]:
        found = buttons(unknown, name)
        assert not [link for link in found if urlsplit(link).netloc]
        source = [link for link in found if link.endswith((".ipynb", ".md"))]
        assert (
            source and (unknown / f"{name}.html").parent.joinpath(source[0]).is_file()
        )


def make_checkout(folder, remote):
    """A git repository with a remote, on branch `work`."""
    subprocess.run(
        ["git", "init", "--quiet", "--initial-branch=work", folder], check=True
    )
    subprocess.run(["git", "-C", folder, "remote", "add", "origin", remote], check=True)
    return folder


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://github.com/owner/name.git", "owner/name"),
        ("https://github.com/owner/name", "owner/name"),
        ("https://user@github.com/owner/na.me/", "owner/na.me"),
        ("git@github.com:owner/name.git", "owner/name"),
        ("ssh://git@github.com/owner/name.git", "owner/name"),
        ("https://gitlab.com/owner/name.git", None),
        ("https://example.org/github.com/owner/name", None),
        ("/srv/git/name.git", None),
    ],
)
def test_the_remote_tells_the_repository(tmp_path, remote, expected):
    """A remote on github.com counts in each of its spellings, another does not."""
    assert find_repository(make_checkout(tmp_path, remote), {}) == expected


def test_github_tells_the_repository(tmp_path):
    """The environment comes before the remote; nonsense in it is an error, not a broken link."""
    make_checkout(tmp_path, "git@github.com:owner/name.git")
    assert find_repository(tmp_path, {"GITHUB_REPOSITORY": "a-b/c.d"}) == "a-b/c.d"
    for wrong in ("name", "https://github.com/a/b", "a/b/c", "a/b c", "a/"):
        with pytest.raises(ConfigError, match="GITHUB_REPOSITORY"):
            find_repository(tmp_path, {"GITHUB_REPOSITORY": wrong})


def test_branch(tmp_path):
    """A pull request's branch, the pushed one, the checked-out one, at last main."""
    pushed = {"GITHUB_REF": "refs/heads/pushed", "GITHUB_REF_NAME": "pushed"}
    tag = {"GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1"}
    assert find_branch(tmp_path, {}) == "main"
    assert find_branch(tmp_path, tag) == "main"
    make_checkout(tmp_path, "git@github.com:owner/name.git")
    assert find_branch(tmp_path, {}) == "work"
    assert find_branch(tmp_path, tag) == "work"
    assert find_branch(tmp_path, pushed) == "pushed"
    assert find_branch(tmp_path, pushed | {"GITHUB_HEAD_REF": "topic"}) == "topic"


@pytest.mark.parametrize(
    "complaint",
    [
        "no-such-page.md",
        "no-such-anchor",
        "formula not converted",
        "image without alt text",
    ],
)
def test_a_fault_stops_the_build(faulty, complaint):
    """A broken link, an unknown formula or an image without words fails the build by name."""
    assert faulty.returncode != 0
    assert re.search(f"WARNING: .*{complaint}", faulty.stdout), faulty.stdout
