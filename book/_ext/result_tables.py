"""Tables made of nodes, for the directives that show stored results."""

from docutils import nodes


def table_row(*contents):
    """Return a table row; each content is a text or an inline node."""
    line = nodes.row()
    for content in contents:
        inline = content if isinstance(content, nodes.Node) else nodes.Text(content)
        line += nodes.entry("", nodes.paragraph("", "", inline))
    return line


def table(head, rows, *classes):
    """Return a table; head holds texts, rows what `table_row` makes; classes are for its style."""
    group = nodes.tgroup("", *[nodes.colspec(colwidth=1) for _ in head], cols=len(head))
    group += [nodes.thead("", table_row(*head)), nodes.tbody("", *rows)]
    return nodes.table("", group, classes=list(classes))
