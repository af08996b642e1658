"""The stored matrix as directives: `{matrix} upper`, `{matrix} lower` and `{matrix-facts}`.

They read `book/_data/matrix.json`, which `make matrix` writes; nothing is imported or run here. A
cell that differs leads to its smallest layer in the explorer. The script that sorts the tables is
linked from their page alone, and they are whole without it.
"""

import json
from pathlib import Path

from docutils import nodes
from result_tables import table, table_row
from sphinx.util.docutils import SphinxDirective

DATA = Path("book/_data/matrix.json")
SCRIPT = Path(__file__).resolve().parents[1] / "_matrix" / "matrix.js"
OPERATIONS = {
    "conv": "Convolution",
    "depthwise": "Depthwise",
    "max": "Max pool",
    "avg": "Average pool",
    "transposed": "Transposed",
}
NOTHING = "—"


def load(srcdir):
    """Return the stored matrix."""
    return json.loads(Path(srcdir, DATA).read_text(encoding="utf-8"))


def words(cell):
    """Return what a cell says: its outcome, and how many layers of how many."""
    if cell is None or cell["outcome"] == "absent":
        return NOTHING
    layers = cell["layers"]
    parts = [
        f"{name} {cell[name]}"
        for name in ("crashes", "hangs", "differs", "refuses")
        if cell[name]
    ]
    if not parts:
        return "equal"
    if cell["refuses"] == layers:
        return "refuses all"
    return f"{', '.join(parts)} of {layers}"


def address(op, rule, first):
    """Return the explorer's query for a layer."""
    op = "conv" if op == "depthwise" else op
    layer = {
        "op": op,
        "n": first["n"],
        "k": first["k"],
        "s": [first["s"]] * 2,
        "d": [first["d"]] * 2,
    }
    pairs = [
        f"{name}={value if name == 'op' else ','.join(map(str, value))}"
        for name, value in layer.items()
    ]
    other = "lower" if rule == "upper" else "same"
    this = "same" if rule == "upper" else "lower"
    return "?" + "&".join([*pairs, f"rule={this}", f"with={other}"])


def answer(value, shape="shape "):
    """Return what a layer gave in words: a number, a shape, or what happened instead."""
    if isinstance(value, list):
        return shape + "×".join(map(str, value))
    return f"{value:g}" if isinstance(value, int | float) else value


def layer_words(first):
    """Return a layer and its two answers as one sentence, for a link's title."""
    size = "{}×{}".format(*first["n"])
    kernel = "{}×{}".format(*first["k"])
    text = f"{size}, kernel {kernel}, stride {first['s']}"
    if first["d"] > 1:
        text += f", dilation {first['d']}"
    if "gives" in first:
        gives, right = (answer(first[key], "a shape of ") for key in ("gives", "right"))
        text += f": gives {gives}, right is {right}"
    return text


class Matrix(SphinxDirective):
    """Put the table of one rule here: an implementation and version a row."""

    required_arguments = 1

    def run(self):
        """Return the table; the rows of "lower" are those that have a word for it."""
        (rule,) = self.arguments
        if rule not in ("upper", "lower"):
            raise self.error(f"matrix takes 'upper' or 'lower', not {rule!r}")
        self.env.note_dependency(str(Path(self.env.srcdir, DATA)))
        rows = load(self.env.srcdir)["rows"]
        head = ("Implementation", "Version", *OPERATIONS.values(), "Asked for")
        lines = []
        for row in rows:
            cells = {op: row["cells"].get(op, {}).get(rule) for op in OPERATIONS}
            if "failed" not in row and all(words(c) == NOTHING for c in cells.values()):
                continue
            line = table_row(
                row["name"],
                row["version"] or NOTHING,
                *(self.cell(op, rule, cell, row) for op, cell in cells.items()),
                row["how"],
            )
            lines.append(line)
        return [table(head, lines, "matrix")]

    def cell(self, op, rule, cell, row):
        """Return the text of a cell, a link where something differs or crashes."""
        if cell is None and "failed" in row:
            return nodes.Text("not run: " + row["failed"])
        text = words(cell)
        first = None
        for outcome in ("crashes", "hangs", "differs"):
            first = first or (cell or {"first": {}})["first"].get(outcome)
        if not first:
            return nodes.Text(text)
        page = self.env.app.builder.get_relative_uri(self.env.docname, "book/explorer")
        link = nodes.reference("", text, internal=True)
        link["refuri"] = page + address(op, rule, first)
        link["reftitle"] = layer_words(first)
        return link


class MatrixFacts(SphinxDirective):
    """Put the machine, the date and the counts here, as one paragraph."""

    def run(self):
        """Return the paragraph."""
        self.env.note_dependency(str(Path(self.env.srcdir, DATA)))
        data = load(self.env.srcdir)
        machine, rows = data["machine"], data["rows"]
        layers = sum(
            cell["layers"]
            for row in rows
            for rules in row["cells"].values()
            for cell in rules.values()
        )
        names = {row["name"] for row in rows}
        text = (
            f"{len(rows)} rows: {len(names)} implementations, some in several versions; "
            f"{layers:,} layers asked, on "
            f"{data['date']}: {machine['processor']}, {machine['cores']} cores, "
            f"{machine['system']}, Python {machine['python']}."
        )
        return [nodes.paragraph("", text)]


class MatrixLayers(SphinxDirective):
    """Put the smallest differing layers here: what each gives and what is right."""

    def run(self):
        """Return the table, a line for each cell that differs, crashes or hangs."""
        self.env.note_dependency(str(Path(self.env.srcdir, DATA)))
        head = ("Implementation", "Operation", "Smallest layer", "Gives", "Right")
        lines = []
        page = self.env.app.builder.get_relative_uri(self.env.docname, "book/explorer")
        for one in load(self.env.srcdir)["rows"]:
            for op, rules in one["cells"].items():
                for rule, cell in rules.items():
                    for outcome in ("differs", "crashes", "hangs"):
                        first = cell["first"].get(outcome)
                        if first:
                            lines.append(self.line(page, one, op, rule, outcome, first))
        return [table(head, lines, "matrix")]

    def line(self, page, one, op, rule, outcome, first):
        """Return the line of one cell."""
        layer = layer_words({k: v for k, v in first.items() if k in "nksd"})
        link = nodes.reference("", layer, internal=True)
        link["refuri"] = page + address(op, rule, first)
        gives = answer(first.get("gives", outcome))
        right = answer(first.get("right", NOTHING))
        name = f"{one['name']} {one['version']}"
        operation = OPERATIONS[op] + (", LOWER" if rule == "lower" else "")
        return table_row(name, operation, link, gives, right)


def add_script(app, page, template, context, doctree):
    """Link the script from the page that has a matrix."""
    tables = doctree.findall(nodes.table) if doctree else ()
    if any("matrix" in table["classes"] for table in tables):
        app.add_js_file(f"matrix/{SCRIPT.name}", loading_method="defer")


def copy_script(app, exception):
    """Put the script into the site."""
    if exception or app.builder.format != "html":
        return
    target = Path(app.outdir, "_static", "matrix")
    target.mkdir(exist_ok=True)
    (target / SCRIPT.name).write_text(
        SCRIPT.read_text(encoding="utf-8"), encoding="utf-8"
    )


def setup(app):
    """Add the directives and the script."""
    app.add_directive("matrix", Matrix)
    app.add_directive("matrix-facts", MatrixFacts)
    app.add_directive("matrix-layers", MatrixLayers)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", copy_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
