"""Formulas as native MathML, converted at build time: no script, no request, no layout shift."""

import re
from html import escape
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

# How many children an element must have; latex2mathml leaves a gap where an argument is missing.
ARITY = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2}
ARITY |= {"msubsup": 3, "munderover": 3}


def to_mathml(latex, display):
    r"""Convert LaTeX to MathML; `display` is "inline" or "block".

    Raises ValueError where latex2mathml would go wrong silently: it passes an unknown command, an
    unknown environment, a stray `&` or a missing argument through without a word.
    """
    latex = latex.strip()
    if r"\\" in latex and r"\begin" not in latex:  # what Sphinx does for MathJax
        latex = rf"\begin{{split}}{latex}\end{{split}}"
    # latex2mathml ignores aligned and leaves the column out of split's alignment.
    latex = re.sub(r"\\(begin|end)\{(?:aligned|split)\}", r"\\\1{align*}", latex)
    try:
        mathml = convert(latex, display=display)
        root = ElementTree.fromstring(mathml)
    except Exception as error:  # it has a dozen kinds, most of them plain Exceptions
        raise ValueError(f"{type(error).__name__} {error}".strip()) from error
    for element in root.iter():
        tag, text = element.tag.rpartition("}")[2], element.text or ""
        if len(element) != ARITY.get(tag, len(element)):
            raise ValueError(f"{tag} lacks an argument")
        if (
            "\\" in text
            or (tag == "mi" and text in ("{", "}"))
            or (tag == "mtext" and "$" in text)
        ):
            raise ValueError(f"no MathML for {text}")
    if len(root.findall(".//{*}mtable")) < latex.count(r"\begin"):
        raise ValueError("unknown environment")
    # The corners of floor and ceiling come as identifiers; they are brackets.
    return re.sub(
        r"<mi>(&#x023(?:08|09|0A|0B);)</mi>", r'<mo stretchy="false">\1</mo>', mathml
    )


def formula(node, display):
    """The MathML of a docutils node, or its source and a warning."""
    try:
        return to_mathml(node.astext(), display)
    except ValueError as error:
        logger.warning(
            "formula not converted: %s: %s", node.astext(), error, location=node
        )
        return f"<code>{escape(node.astext())}</code>"


def visit_math(self, node):
    """Write an inline formula."""
    self.body.append(formula(node, "inline"))
    raise nodes.SkipNode


def visit_math_block(self, node):
    """Write a displayed formula, with its number and link if it has a label."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(formula(node, "block") + "</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the renderer that html_math_renderer names in _config.yml."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
