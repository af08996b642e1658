"""The stored benchmarks as directives: `{benchmark-networks}` and `{benchmark-layers}`.

They read every `book/_data/bench-*.json`, which `make bench` writes; nothing is timed here.
"""

import json
import statistics
from pathlib import Path

from docutils import nodes
from result_tables import table, table_row
from sphinx.util.docutils import SphinxDirective

DATA = Path("book/_data")


def stored(environment):
    """Return {file: its contents} of the stored benchmarks, and make the page depend on them."""
    found = {}
    for path in sorted(Path(environment.srcdir, DATA).glob("bench-*.json")):
        environment.note_dependency(str(path))
        found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


def facts(data):
    """Return the machine, the date and the versions in a sentence."""
    machine = data["machine"]
    versions = ", ".join(
        f"{name} {number}" for name, number in data["versions"].items()
    )
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['system']}, Python {machine['python']}; {data['date']}; {versions}."
    )


def row_words(row):
    """Return a row's ratio to the floor with its quartiles, or its time."""
    low, middle, high = row.get("ratio", row["ms"])
    if "ratio" not in row:
        return f"{middle:.3g} ms"
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def by_what(rows):
    """Return {what: {variant: row}}."""
    found = {}
    for row in rows:
        found.setdefault(row["what"], {})[row["variant"]] = row
    return found


def variants_of(rows):
    """Return the variants of some rows, the one that is 1 first."""
    names = list(dict.fromkeys(row["variant"] for row in rows))
    floors = [r["variant"] for r in rows if r.get("ratio") == [1, 1, 1]]
    return sorted(names, key=lambda name: name not in floors)


def geometric_mean(rows, variant):
    """Return the geometric mean of a variant's ratios in words."""
    ratios = [row["ratio"][1] for row in rows if row["variant"] == variant]
    return f"{statistics.geometric_mean(ratios):.2f}"


class Networks(SphinxDirective):
    """Put whole networks here: a setting a row."""

    def run(self):
        """Return a paragraph and a table for each stored machine."""
        found = []
        for data in stored(self.env).values():
            parts = {
                part: result["rows"]
                for part, result in data["parts"].items()
                if result.get("rows") and not part.startswith("layers")
            }
            names = variants_of([row for rows in parts.values() for row in rows])
            lines, memory = [], []
            for part, rows in parts.items():
                ((_, row),) = by_what(rows).items()
                others = [row_words(row[n]) if n in row else "" for n in names[1:]]
                time = f"{row[names[0]]['ms'][1]:.3g} ms"
                lines.append(table_row(part, time, *others))
                peaks = [row[n].get("peak_mb", "") if n in row else "" for n in names]
                memory.append(table_row(part, *map(str, peaks)))
            found.append(nodes.paragraph("", facts(data)))
            found.append(table(["Network", *names], lines, "benchmarks"))
            found.append(nodes.paragraph("", "Memory held at most by tensors, in MB:"))
            found.append(table(["Network", *names], memory, "benchmarks"))
        return found


class Layers(SphinxDirective):
    """Put the layers here: a table a setting."""

    def run(self):
        """Return a paragraph and a table for each part of each stored machine."""
        found = []
        for data in stored(self.env).values():
            for part, result in data["parts"].items():
                if not part.startswith("layers"):
                    continue
                title = part.removeprefix("layers, ")
                found.append(nodes.paragraph("", "", nodes.strong("", title)))
                if not result.get("rows"):
                    why = f"not run: {result.get('failed', '')}"
                    found.append(nodes.paragraph("", why))
                    continue
                names, lines = variants_of(result["rows"]), []
                for what, row in by_what(result["rows"]).items():
                    first = (
                        f"{row[names[0]]['ms'][1]:.3g} ms" if names[0] in row else ""
                    )
                    others = [row_words(row[n]) if n in row else "" for n in names[1:]]
                    lines.append(table_row(what, first, *others))
                means = [geometric_mean(result["rows"], name) for name in names[1:]]
                lines.append(table_row("geometric mean", "", *means))
                found.append(table(["Layer", *names], lines, "benchmarks"))
        return found


def setup(app):
    """Add the directives."""
    app.add_directive("benchmark-networks", Networks)
    app.add_directive("benchmark-layers", Layers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
