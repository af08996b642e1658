"""The site's search: an index of sections, ranked by lunr.js, in place of Sphinx's.

The index is built here, by lunr's Python package, and searched in the reader's browser by lunr.js,
which comes with MkDocs; nothing is loaded before somebody searches. Both are classic scripts, so
that it works from a file:// address too.
"""

import json
import re
from importlib.resources import files
from pathlib import Path

from docutils import nodes
from lunr.builder import Builder
from lunr.stemmer import stemmer
from lunr.stop_word_filter import stop_word_filter
from sphinx.errors import ExtensionError

FOLDER = Path(__file__).resolve().parents[1] / "_search"
COMMENT_OR_INDENT = re.compile(r"^\s*//.*\n|^\s*/\*(?s:.*?)\*/\s*|^\s+", re.MULTILINE)
# Tuned once, on the queries of tests/test_search.py; what is near does nearly as well.
BOOSTS = {"title": 2.5, "page": 0.5, "defines": 2, "text": 1, "code": 0.3}
# BM25's b and k1: how much a long field and a repeated term count.
LENGTH, REPETITION = 0.75, 0.6
SIGNS = {"lceil": "⌈", "rceil": "⌉", "lfloor": "⌊", "rfloor": "⌋", "max": "max"}
SIGNS |= {"bmod": " mod ", "cdot": "·", "ge": "≥", "le": "≤", "times": "×"}
# Questions are written to be found; some pages only lead elsewhere, or are about one version.
PAGES = {
    "book/questions": 1.5,
    "notebooks/13-bugs-in-the-wild": 0.5,
    "book/references": 0.5,
    "book/status": 0.5,
    "book/matrix": 0.5,  # its table names everything
}
HIDDEN = {"tag_setup", "tag_recap"}  # the same text in every chapter

# What is one thing to those who search. The first word of a line stands for the others.
SYNONYMS = """
transposed transpose deconvolution deconv upconvolution upconv fractionally
convolution conv convolutional convs
pool pooling pools subsampling maxpool avgpool
pad padding pads padded zeropadding
litert tflite lite
tensorflow tf
pytorch torch
dilation dilated atrous rhs
maximum max maxima
average avg mean averages
different difference mismatch mismatched differ discrepancy disagree deviates inconsistent
equal equivalent identical match matches equals agree
shifted shift offset misaligned drift drifts displaced
convert conversion converter converted converting port porting ported migrate migrating
odd uneven asymmetric unequal unbalanced
symmetric symmetrically evenly
side sides left right top bottom
accuracy score top1 performance degradation
kernel filter kernels filters
size shape dimension dimensions sizes shapes
stride strided strides striding
wrong incorrect bug broken wrongly
fail fails failed failing refuse refuses refused unsupported
test tests testing verify check checking validate
quantised quantized quantization quantisation int8
export exported exporting exporter
slow slower speed latency overhead fast
"""
SYNONYM = {
    word: line.split()[0]
    for line in SYNONYMS.strip().splitlines()
    for word in line.split()
}


def split_name(word):
    """Return a name and its parts: Conv2DTranspose is conv2dtranspose, conv, 2d, transpose."""
    parts = re.findall(
        r"\d+[dD](?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", word, re.ASCII
    )
    return [word, *parts] if len(parts) > 1 else [word]


def terms(text):
    """Return what a text is found by: its words, the parts of its names, and their synonyms.

    `search.js` does the same to what a reader types; a test compares the two.
    """
    found = []
    for word in re.findall(r"[A-Za-z0-9_]+", text):
        for part in split_name(word.strip("_")):
            term = part.lower()
            if len(term) > 1 or term.isdigit():
                found.append(term)
                if SYNONYM.get(term, term) != term:
                    found.append(SYNONYM[term])
    return found


class Sections(nodes.SparseNodeVisitor):
    """The sections of a page, each with its sentences and its lines of code."""

    def __init__(self, document):
        """Begin before the first heading."""
        super().__init__(document)
        self.found, self.open = [], []

    def add(self, kind, text):
        """Add a piece of text or code to the innermost section."""
        text = " ".join(text.split())
        if self.open and text and text not in self.open[-1][kind]:
            self.open[-1][kind].append(text)

    def begin(self, anchor, title):
        """Begin a section."""
        kinds = {kind: [] for kind in ("defines", "text", "code")}
        self.open.append({"anchor": anchor, "title": title} | kinds)
        self.found.append(self.open[-1])

    def visit_section(self, node):
        """A heading and what is under it, without the sections in it."""
        title = node.next_node(nodes.title)
        self.begin(node["ids"][0], plain(title) if title else "")

    def depart_section(self, node):
        """Go back to the section around."""
        self.open.pop()

    def visit_definition_list_item(self, node):
        """A term of the glossary is a section of its own."""
        ids = [i for term in node.findall(nodes.term) for i in term["ids"]]
        if ids:
            self.begin(ids[0], plain(node.next_node(nodes.term)))

    def depart_definition_list_item(self, node):
        """Go back to the glossary."""
        if any(term["ids"] for term in node.findall(nodes.term)):
            self.open.pop()

    def visit_container(self, node):
        """Leave out the cells that each chapter repeats."""
        if HIDDEN & set(node["classes"]):
            raise nodes.SkipNode

    def visit_literal_block(self, node):
        """Take what code defines, what it calls by a dotted name unless folded, and prints."""
        cell = node.parent.parent
        of_cell = "cell_input" in node.parent.get("classes", ())
        folded = of_cell and cell.get("hide_mode") in ("input", "all")
        wanted = r".*[a-z]{3}"
        if of_cell:
            wanted = r"def |class " if folded else r"def |class |.*\w\.\w+\("
        for line in node.astext().splitlines():
            if re.match(wanted, line):
                self.add("code", line)
        for name in re.findall(r"^(?:def|class) (\w+)", node.astext(), re.MULTILINE):
            self.add("defines", name)
        raise nodes.SkipNode

    def visit_image(self, node):
        """Take what a picture shows."""
        self.add("text", node.get("alt", ""))

    def visit_row(self, node):
        """Take a row of a table as one sentence, with its cells set apart."""
        cells = [plain(entry) for entry in node.findall(nodes.entry)]
        self.add("text", " · ".join(filter(None, cells)))
        raise nodes.SkipNode

    def visit_paragraph(self, node):
        """Take the sentences of a paragraph, but for those that only lead elsewhere."""
        if plain(node).startswith("Recap, "):  # a list of functions, in every chapter
            raise nodes.SkipNode
        links = {plain(link) for link in node.findall(nodes.reference)}
        for sentence in re.split(r"(?<=[.?!:]) (?=[A-Z0-9])", plain(node)):
            if not set(sentence.rstrip(".").split("; ")) <= links:
                self.add("text", sentence)
        raise nodes.SkipNode

    visit_caption = visit_paragraph

    def visit_skipped(self, node):
        """Leave a node and what is in it out."""
        raise nodes.SkipNode

    visit_title = visit_term = visit_math_block = visit_comment = visit_skipped
    visit_raw = visit_target = visit_skipped


def plain(node):
    """Return the words of a node on one line, its formulas as plain signs."""
    parts = []
    for part in node.findall(lambda n: isinstance(n, nodes.math | nodes.Text)):
        if isinstance(part, nodes.math):
            parts.append(re.sub(r"\\([a-z]+) ?", sign, part.astext()))
        elif not isinstance(part.parent, nodes.math):
            parts.append(part.astext())
    return " ".join("".join(parts).split())


def sign(command):
    """Return the sign that a LaTeX command stands for, or a space."""
    return SIGNS.get(command[1], " ")


def sections(doctree):
    """Return the sections of a page: dictionaries of anchor, title, text and code."""
    visitor = Sections(doctree)
    doctree.walkabout(visitor)
    return visitor.found


def collect(app, page, template, context, doctree):
    """Keep the sections of each page that is written, its references resolved."""
    if doctree is not None and app.builder.format == "html":
        app.env.book_sections[page] = sections(doctree)


def entries_of(app):
    """Return what the index holds of each section, of pages that were not written again too."""
    entries = []
    for page in sorted(app.env.found_docs):
        found = app.env.book_sections.get(page) or sections(app.env.get_doctree(page))
        address = app.builder.get_target_uri(page)
        for number, section in enumerate(found):
            if not (section["text"] or section["code"]):
                continue  # a heading over headings
            entries.append(
                {
                    "address": f"{address}#{section['anchor']}" if number else address,
                    "title": section["title"],
                    "page": found[0]["title"] if number else "",
                    "defines": section["defines"],
                    "text": section["text"],
                    "code": section["code"],
                    "boost": PAGES.get(page, 1),
                }
            )
    return entries


def build(entries):
    """Return lunr's index over the sections, short: without what `search.js` can tell from it.

    lunr stores both which terms a field has and which fields have a term; the second is left out.
    Weights keep one decimal, for the others are a sixth of the whole.
    """
    builder = Builder()
    builder.ref("id")
    builder.b(LENGTH)
    builder.k1(REPETITION)
    for field, boost in BOOSTS.items():
        builder.field(field, boost)
    builder.pipeline.add(stop_word_filter, stemmer)
    builder.search_pipeline.add(stemmer)
    for number, entry in enumerate(entries):
        builder.add(
            {"id": str(number)}
            | {field: terms(joined(entry[field])) for field in BOOSTS},
            {"boost": entry["boost"]},
        )
    index = builder.build().serialize()
    index["terms"] = [
        [term, postings["_index"]] for term, postings in index.pop("invertedIndex")
    ]
    for _, vector in index["fieldVectors"]:  # a term's number, its weight, and so on
        vector[1::2] = [max(0.1, round(weight, 1)) for weight in vector[1::2]]
    return index


def joined(value):
    """Return a text, or a list of texts as one."""
    return value if isinstance(value, str) else "\n".join(value)


def write(app, exception):
    """Write the index; take the scripts that search it along, and Sphinx's own away."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    target = static / "search"
    target.mkdir(exist_ok=True)
    entries = entries_of(app)
    data = {
        "index": build(entries),
        "sections": [
            [
                entry["address"],
                entry["title"],
                entry["page"],
                entry["text"],
                entry["code"],
            ]
            for entry in entries
        ],
        "synonyms": SYNONYM,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (target / "index.js").write_text(f"window.bookIndex={text};\n", encoding="utf-8")
    lunr = files("mkdocs") / "contrib/search/templates/search/lunr.js"
    script = lunr.read_text(encoding="utf-8")
    if "@license MIT" not in script[:300]:
        raise ExtensionError("MkDocs no longer carries lunr.js as it did")
    licence, _, script = script.partition("*/")
    script = licence + "*/" + COMMENT_OR_INDENT.sub("", script)
    (target / "lunr.js").write_text(script, encoding="utf-8")
    own = (FOLDER / "search.js").read_text(encoding="utf-8")
    (target / "search.js").write_text(COMMENT_OR_INDENT.sub("", own), encoding="utf-8")
    for name in ("searchtools.js", "language_data.js"):
        (static / name).unlink(missing_ok=True)


def begin(app):
    """Turn Sphinx's own index off, and its page with it."""
    if app.builder.format == "html":
        app.builder.search = False
        app.env.book_sections = {}
        app.add_js_file("search-loader.js")
        app.add_css_file("search.css")


def search_page(app):
    """Write the search page, from `_templates/search.html`."""
    return [("search", {}, "search.html")]


def setup(app):
    """Connect the above to Sphinx."""
    app.connect("builder-inited", begin)
    app.connect("html-page-context", collect)
    app.connect("html-collect-pages", search_page)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
