"""One fold for all that a chapter prepares before its opening picture.

A notebook needs its setup, the recap of earlier functions and the drawing code first; a page needs
title, answer and picture. So the hidden cells at a page's beginning become one fold above the
picture, each still a cell in it.
"""

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.transforms.post_transforms import SphinxPostTransform

PARTS = {"tag_setup": "the setup", "tag_recap": "the recap"}
OTHERS = "the drawing code"


def hides_input(node):
    """Tell whether a node is a code cell whose code is folded and whose output, if any, shows."""
    is_cell = (
        isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"
    )
    return is_cell and node.get("hide_mode") == "input"


def is_recap_note(node):
    """Tell whether a node is the list of links that `make recap` writes above the Recap cell."""
    return isinstance(node, nodes.paragraph) and node.astext().startswith("Recap,")


def listed(parts):
    """Return ["a", "b", "c"] as "a, b and c"."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


class FoldPreparation(SphinxPostTransform):
    """Move the hidden cells from the first one to the opening picture's own code into one fold."""

    default_priority = 200  # MyST-NB has made a fold of each hidden cell at 199
    formats = ("html",)

    def run(self, **_):
        """Change the page, if it begins with such cells."""
        first = next(filter(hides_input, self.document.findall(nodes.container)), None)
        if first is None:
            return
        parent, place = first.parent, first.parent.index(first)
        fold, parts = HideCodeCellNode(classes=["above-input", "preparation"]), []
        for node in parent.children[place:]:
            if is_recap_note(node):
                parent.remove(node)
                fold += node
                continue
            if not hides_input(node):
                break
            named = [PARTS[name] for name in node["classes"] if name in PARTS]
            parts += [part for part in named or [OTHERS] if part not in parts]
            hidden, *output = node.children
            node.remove(hidden)
            fold += nodes.container("", *hidden.children, classes=["cell"])
            if output:  # the opening picture
                break
            parent.remove(node)
        fold["prompt_show"] = f"Show {listed(parts)}"
        fold["prompt_hide"] = f"Hide {listed(parts)}"
        parent.insert(place, nodes.container("", fold, classes=["cell"]))


def setup(app):
    """Add the transform."""
    app.add_post_transform(FoldPreparation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
