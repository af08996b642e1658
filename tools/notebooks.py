"""The chapters as code: list them, import their functions, execute them, refresh their Recap cells.

    python tools/notebooks.py execute [NAME ...]   run in fresh kernels and store the outputs
    python tools/notebooks.py recap                rewrite the Recap cells from the functions' homes

NAME is a chapter's file name or any beginning of it ("01" will do); none means every chapter.
"""

import argparse
import ast
import base64
import importlib.metadata
import io
import os
import symtable
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = (
    "tensorflow",
    "keras",
    "torch",
    "jax",
    "onnx",
    "onnxruntime",
    "onnx2keras",
    "numpy",
)
KEPT_CELL_METADATA = {"tags", "mystnb", "jupyter", "cellView", "book_figure"}


def chapters():
    """Return the paths of the notebooks in `_toc.yml`, in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [ROOT / f"{file}.ipynb" for file in files if file.startswith("notebooks/")]


def find_chapters(names):
    """Return the chapters whose file names begin with one of `names`; all of them for no names.

    Raises ValueError for a name that fits none.
    """
    found = []
    for name in names:
        stem = Path(name).name.removesuffix(".ipynb")
        matches = [path for path in chapters() if path.stem.startswith(stem)]
        if not stem or not matches:
            known = ", ".join(path.stem for path in chapters())
            raise ValueError(
                f"no chapter begins with {name!r}; the chapters are {known}"
            )
        found += matches
    return found or chapters()


def read(path):
    """Return the notebook at `path`."""
    return nbformat.read(path, as_version=4)


def write_whole(path, text):
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write(notebook, path):
    """Write `notebook` to `path` whole or not at all."""
    write_whole(path, nbformat.writes(notebook, indent=1) + "\n")


def has_tag(cell, tag):
    """Tell whether the notebook cell carries `tag`."""
    return tag in cell.metadata.get("tags", [])


def code_cells(notebook, recap=True):
    """Return the code cells, without the Recap cell if `recap` is false."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in cells if recap or not has_tag(cell, "recap")]


def parse(cell):
    """Return the syntax tree of a code cell; IPython magics and shell lines are left out.

    A cell that a cell magic takes (%%alone, of chapter 13) is no code of the notebook's own.
    """
    if cell.source.startswith("%%"):
        return ast.parse("")
    lines = cell.source.splitlines()
    plain = ["pass" if line.startswith(("%", "!")) else line for line in lines]
    return ast.parse("\n".join(plain))


def definitions(cell):
    """Return {name: source} of the functions and classes a cell defines at its top level."""
    lines = cell.source.splitlines()
    found = {}
    for node in parse(cell).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


def homes():
    """Return {function: (chapter path, source)} for every function or class of the book.

    Its home is the one chapter that defines it outside a Recap cell; a second such place raises
    ValueError.
    """
    found = {}
    for path in chapters():
        for cell in code_cells(read(path), recap=False):
            for name, source in definitions(cell).items():
                if name in found:
                    raise ValueError(
                        f"{name} is defined in {found[name][0].name} and again in {path.name}; "
                        "delete the second and run `make recap`"
                    )
                found[name] = (path, source)
    return found


def used_names(source):
    """Return the global names that some code reads but does not itself define or assign."""
    top = symtable.symtable(source, "cells", "exec")
    own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned()}
    own |= {symbol.get_name() for symbol in top.get_symbols() if symbol.is_imported()}
    used, scopes = set(), [top]
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            if symbol.is_referenced() and (scope is top or symbol.is_global()):
                used.add(symbol.get_name())
    return used - own


def names_for_defining(source):
    """Return the names that a function or class needs before it can be defined.

    Those of decorators, bases, defaults and class attributes; not those of function bodies.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Pass()]
        elif isinstance(node, ast.Lambda):
            node.body = ast.Constant(None)
    return used_names(ast.unparse(tree))


def needed_names(sources, known):
    """Return the functions of `known` that some sources need, at once or through others."""
    needed, waiting = set(), list(sources)
    while waiting:
        for name in used_names(waiting.pop()) & set(known) - needed:
            needed.add(name)
            waiting.append(known[name][1])
    return needed


def in_working_order(names, known):
    """Return names in the order of `known`, but what a definition needs at once before it."""
    ordered = []

    def add(name):
        """Append a name after those that its definition needs."""
        at_once = names_for_defining(known[name][1]) & set(names)
        for other in known:
            if other != name and other in at_once:
                add(other)
        if name not in ordered:
            ordered.append(name)

    for name in known:
        if name in names:
            add(name)
    return ordered


def recap_names(path, known):
    """Return the functions of other chapters that the chapter needs, in an order that works.

    A name that the chapter assigns itself is its own, whatever other chapters define.
    """
    cells = [ast.unparse(parse(cell)) for cell in code_cells(read(path), recap=False)]
    others = {name: home for name, home in known.items() if home[0] != path}
    return in_working_order(needed_names(["\n".join(cells)], others), known)


def recap_cells(path, known):
    """Return the two cells, links and code, that the chapter's Recap must be; or None."""
    names = recap_names(path, known)
    if not names:
        return None
    groups = {}
    for name in names:
        groups.setdefault(known[name][0], []).append(f"`{name}`")
    links = "; ".join(
        f"{', '.join(group)} from [chapter {home.stem[:2]}]({home.name})"
        for home, group in groups.items()
    )
    text = f"**Recap**, collapsed below, word for word: {links}."
    code = "# @title Recap\n" + "\n\n\n".join(known[name][1] for name in names)
    return (
        nbformat.v4.new_markdown_cell(
            text, id="recap-links", metadata={"tags": ["recap-links"]}
        ),
        nbformat.v4.new_code_cell(
            code,
            id="recap",
            metadata={
                "tags": ["recap", "hide-input"],
                "mystnb": {"code_prompt_show": "Show the recap"},
                "jupyter": {"source_hidden": True},
                "cellView": "form",
            },
        ),
    )


def recap():
    """Rewrite the Recap cells of every chapter from the functions' homes."""
    known = homes()
    for path in chapters():
        notebook = read(path)
        before = nbformat.writes(notebook)
        counts = [
            cell.execution_count for cell in notebook.cells if has_tag(cell, "recap")
        ]
        cells = [
            cell
            for cell in notebook.cells
            if not (has_tag(cell, "recap") or has_tag(cell, "recap-links"))
        ]
        new = recap_cells(path, known)
        if new:
            new[1].execution_count = counts[0] if counts else None
            setup = next(i for i, cell in enumerate(cells) if has_tag(cell, "setup"))
            cells[setup + 1 : setup + 1] = new
        notebook.cells = cells
        if nbformat.writes(notebook) != before:
            write(notebook, path)
            print(
                f"{path.name}: Recap rewritten; now run `make execute NAMES={path.stem[:2]}`"
            )


def load(name):
    """Return a module of the functions and classes printed in a chapter.

    Only imports, environment settings and definitions are executed, so nothing is drawn or run.
    `name` is the chapter's file name or a beginning of it. A chapter is loaded once, so that its
    classes stay the same objects, as pickle wants.
    """
    (path,) = find_chapters([name])
    if path.stem in sys.modules:
        return sys.modules[path.stem]
    kept = []
    for cell in code_cells(read(path)):
        for node in parse(cell).body:
            wanted = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
            if isinstance(node, wanted) or ast.unparse(node).startswith("os.environ"):
                kept.append(node)
    module = ModuleType(path.stem)
    sys.modules[path.stem] = module  # torch.compile looks functions up by their module
    exec(compile(ast.Module(kept, []), str(path), "exec"), vars(module))
    return module


def palette_png(png):
    """Return PNG bytes redrawn with 64 colours: a third of the size, looking the same."""
    from PIL import Image

    smaller = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


def clean(notebook):
    """Drop what differs between two runs or two editors, and make the figures light."""
    executed = {k: v for k, v in notebook.metadata.items() if k == "executed"}
    notebook.metadata = executed | {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {
            k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA
        }
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output["metadata"] = {}
            if "image/png" in output.get("data", {}):
                png = palette_png(base64.b64decode(output["data"]["image/png"]))
                output["data"]["image/png"] = base64.b64encode(png).decode()


def figures(notebook):
    """Yield (path in the repository, PNG bytes) of the figures that prose pages borrow."""
    for cell in notebook.cells:
        if "book_figure" in cell.metadata:
            png = next(
                o.data["image/png"]
                for o in cell.outputs
                if "image/png" in o.get("data", {})
            )
            yield ROOT / cell.metadata["book_figure"], base64.b64decode(png)


def imported_packages(notebook):
    """Return the names of the top-level packages that a notebook imports; "" if from its folder."""
    found = set()
    for cell in code_cells(notebook):
        for node in ast.walk(parse(cell)):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add("" if node.level else node.module.split(".")[0])
    return found


def framework_versions(notebook):
    """Return {framework: version} of those that the notebook imports; local parts are cut off."""
    imported = imported_packages(notebook)
    packages = importlib.metadata.packages_distributions()
    return {
        name: importlib.metadata.version(packages[name][0]).split("+")[0]
        for name in FRAMEWORKS
        if name in imported
    }


def execute(path):
    """Run one chapter from top to bottom in a fresh kernel and an empty folder; store its outputs.

    When, how long and with what is stored in its metadata, for the book's status page.

    The file is left as it was if a cell fails (nbclient's CellExecutionError).
    """
    from nbclient import NotebookClient

    notebook = read(path)
    # ipykernel then leaves the C++ libraries' log lines alone, exactly as it does under nbval:
    # TensorFlow 2.21 writes some that no setting silences.
    environment = os.environ | {"PYTEST_CURRENT_TEST": "make execute"}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment)
    notebook.metadata["executed"] = {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(time.monotonic() - start),
        "versions": framework_versions(notebook),
    }
    clean(notebook)
    write(notebook, path)
    for target, png in figures(notebook):
        target.write_bytes(png)


def main():
    """Run the command line described at the top of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["execute", "recap"])
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    try:
        if arguments.command == "recap":
            recap()
            return 0
        selected = find_chapters(arguments.names)
    except ValueError as error:
        parser.error(str(error))
    failed = []
    for path in selected:
        print(f"{path.name} ...", flush=True)
        try:
            execute(path)
        except Exception as error:
            failed.append(path.name)
            print(
                f"{error}\n{path.name}: not executed to the end, left as it was",
                file=sys.stderr,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
