"""The book's public functions as files to take away: same_torch.py, same_keras.py, same_audit.py.

    python tools/take_away.py FOLDER   write them into FOLDER

Each holds its functions and all that they use, word for word as their homes print them; there is
no second text. `make book` puts them into the site's top folder.
"""

import argparse
import ast
import builtins
import symtable
import sys
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from notebooks import (
    ROOT,
    code_cells,
    homes,
    in_working_order,
    names_for_defining,
    needed_names,
    parse,
    read,
    used_names,
)

COLUMNS = 88  # as in pyproject.toml
LAW = ["effective_kernel_size", "output_size", "same_padding", "symmetric_equals_same"]


class File(NamedTuple):
    """What a file to take away offers; names can hold a *."""

    framework: str
    packages: tuple  # imported at once
    later: tuple  # imported when a function needs one of them
    names: list
    example: str


FILES = {
    "same_torch.py": File(
        "PyTorch",
        ("torch", "numpy"),
        ("keras", "tensorflow"),
        [
            *LAW,
            "conv*_same",
            "Conv*dSame",
            "max_pool*_same",
            "MaxPool*dSame",
            "avg_pool*_same",
            "AvgPool*dSame",
            "use_same_padding",
            "keras_to_torch",
        ],
        """\
from same_torch import Conv2dSame, use_same_padding

layer = Conv2dSame(3, 8, kernel_size=3, stride=2)  # Keras's "same" at every size
model = use_same_padding(model)  # a port whose layers were 'same' in Keras""",
    ),
    "same_keras.py": File(
        "Keras",
        ("keras", "tensorflow", "numpy"),
        ("torch",),
        [
            *LAW,
            "fold_zero_padding",
            "torch_to_keras",
            "graph_to_keras",
            "padded_max_pool",
        ],
        """\
from same_keras import fold_zero_padding, torch_to_keras

layer = torch_to_keras(module)  # a layer or Sequential of PyTorch, weights included
model = fold_zero_padding(model)  # ZeroPadding2D + "valid" is "same" where equal""",
    ),
    "same_audit.py": File(
        "Keras and PyTorch",
        ("torch", "keras", "tensorflow", "numpy"),
        (),
        ["audit", "print_audit", "compare", "fix"],
        """\
from same_audit import audit, compare, print_audit

print_audit(audit(model, 224))  # a model, .tflite (needs tflite) or .onnx (onnx)
found = compare(model, port, x)  # the first layer whose values differ, and why""",
    ),
}

LATER = '''\
class Later:
    """A package that is imported when a function first uses it."""

    def __init__(self, package, needed_by):
        """Keep the package's name, and say which functions need it."""
        self.package, self.needed_by = package, needed_by

    def __getattr__(self, name):
        """Return what the package calls `name`; ImportError says who needed it."""
        if name.startswith("__"):  # somebody who inspects this file
            raise AttributeError(name)
        try:
            return getattr(importlib.import_module(self.package), name)
        except ImportError as error:
            needed = f"{self.package} is needed by {self.needed_by}"
            raise ImportError(f"{needed}: {error}") from error'''


class Import(NamedTuple):
    """A name that a chapter imports: `from module import member as name`; member can be ""."""

    module: str
    member: str
    name: str

    @property
    def package(self):
        """The top-level package."""
        return self.module.partition(".")[0]


@cache
def chapter(path):
    """Return a chapter's title, its imports by name, and the names that it assigns."""
    notebook = read(path)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    imports, assigned = {}, set()
    for cell in code_cells(notebook, recap=False):
        tree = parse(cell)
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    module = getattr(node, "module", alias.name)
                    member = alias.name if isinstance(node, ast.ImportFrom) else ""
                    name = alias.asname or alias.name
                    imports[name] = Import(module, member, name)
        defined = {getattr(node, "name", "") for node in tree.body}
        table = symtable.symtable(ast.unparse(tree), path.name, "exec")
        names = {s.get_name() for s in table.get_symbols() if s.is_assigned()}
        assigned |= names - defined
    return title, imports, assigned - set(imports)


def public_names(file, known):
    """Return the names in `known` that the file offers, in its order.

    Raises ValueError for an entry of the list that fits nothing in the book.
    """
    found = []
    for pattern in FILES[file].names:
        names = [name for name in known if fnmatchcase(name, pattern)]
        if not names:
            raise ValueError(f"{file}: no function of the book is called {pattern}")
        found += [name for name in names if name not in found]
    return found


def imports_of(name, known):
    """Return {name: Import} of what one function or class of the book imports.

    Raises ValueError for a global name that is neither that nor another function or class.
    """
    home, source = known[name]
    _, imports, assigned = chapter(home)
    found = {}
    for used in used_names(source):
        if used in imports:
            found[used] = imports[used]
        elif used in assigned or not (used in known or hasattr(builtins, used)):
            raise ValueError(f"{name} cannot leave {home.stem}: what is {used}?")
    return found


def all_imports(file, names, known):
    """Return (imports at once, {import: public functions} of those to do later).

    Raises ValueError for a package that the file must not need, for a name that stands for two
    things, and for a package needed later without which a definition cannot be made.
    """
    contents, found, later = FILES[file], {}, {}
    for name in names:
        for used, imported in imports_of(name, known).items():
            if found.setdefault(used, imported) != imported or used in names:
                raise ValueError(f"{file}: {used} stands for two things")
            if imported.package in contents.later:
                later[imported] = []
                if used in names_for_defining(known[name][1]):
                    raise ValueError(f"{file}: {name} needs {imported.module} at once")
            elif imported.package not in (*contents.packages, *sys.stdlib_module_names):
                raise ValueError(f"{file}: {name} needs {imported.module}")
    for name in public_names(file, known):
        for needed in needed_names([known[name][1]], known) | {name}:
            for imported in imports_of(needed, known).values():
                if imported in later and name not in later[imported]:
                    later[imported].append(name)
    return [i for i in found.values() if i not in later], later


def import_lines(imports):
    """Return the import statements, sorted as ruff sorts them."""

    def member_order(imported):
        """Constants, classes, the rest."""
        name = imported.member
        return not (name.isupper() and len(name) > 1), not name[0].isupper(), name

    blocks = []
    for own in (True, False):
        part = [i for i in imports if (i.package in sys.stdlib_module_names) == own]
        whole = sorted((i.module, i.name) for i in part if not i.member)
        lines = [f"import {m}" + (f" as {n}" if n != m else "") for m, n in whole]
        for module in sorted({i.module for i in part if i.member}):
            members = [i for i in part if i.member and i.module == module]
            members = [
                i.member + (f" as {i.name}" if i.name != i.member else "")
                for i in sorted(members, key=member_order)
            ]
            line = f"from {module} import {', '.join(members)}"
            brackets = "()" if len(line) > COLUMNS else ("", "")
            lines.append(bracketed(f"from {module} import ", members, brackets))
        blocks += ["\n".join(lines)] if lines else []
    return "\n\n".join(blocks)


def bracketed(start, items, brackets):
    """Return a list of code on one line if that is short enough, else on a line each."""
    first, last = brackets
    line = f"{start}{first}{', '.join(items)}{last}"
    if len(line) <= COLUMNS:
        return line
    return "\n".join([f"{start}{first}", *(f"    {item}," for item in items), last])


def listed(words):
    """Return words as a list in a sentence."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def book_facts():
    """Return the book's name, its version and the versions of the packages it is tested with."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(pin.split("#")[0].strip().split("==") for pin in pins if "==" in pin)
    return citation["title"].partition(":")[0], citation["version"], pins


def head(file, later, address):
    """Return the docstring and the licence."""
    contents = FILES[file]
    book, version, pins = book_facts()
    needs = listed([f"{name} {pins[name]}" for name in contents.packages])
    also = sorted({name for names in later.values() for name in names})
    packages = sorted({imported.package for imported in later})
    only = ""
    if later:
        one = "s" * (len(also) == 1)
        only = f"\nOnly {listed(also)} need{one} {listed(packages)} as well."
    example = "\n".join(f"    {line}".rstrip() for line in contents.example.split("\n"))
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    licence = licence[licence.rindex("MIT License") :].strip()
    comment = "\n".join(f"# {line}".rstrip() for line in licence.split("\n"))
    site = f"\n{address}\n" if address else ""
    return f'''\
"""SAME padding in {contents.framework}, from the book {book}, version {version}.
{site}
The public functions of the book and what they use, word for word; above each stands the
chapter that derives it and tests it. MIT licence, below.

Tested with {needs}.{only}

{example}
"""

{comment}'''


def take_away(file, address=""):
    """Return the text of a file to take away.

    `address` is the site's, with a slash at its end; without it chapters are named by their files.
    Raises ValueError for whatever would make the file incomplete.
    """
    known = homes()
    public = public_names(file, known)
    sources = [known[name][1] for name in public]
    names = in_working_order(needed_names(sources, known) | set(public), known)
    imports, later = all_imports(file, names, known)
    version = book_facts()[1]
    if later:
        imports.append(Import("importlib", "", "importlib"))
    parts = [import_lines(imports)]
    quoted = [f'"{name}"' for name in public]
    parts[0] += f'\n\n__version__ = "{version}"\n'
    parts[0] += bracketed("__all__ = ", quoted, "[]")
    if later:
        lines = []
        for imported, needed_by in sorted(later.items(), key=lambda i: i[0].name):
            whole = ".".join(filter(None, [imported.module, imported.member]))
            arguments = [f'"{whole}"', f'"{listed(needed_by)}"']
            lines.append(bracketed(f"{imported.name} = Later", arguments, "()"))
        parts += [LATER, "\n".join(lines)]
    home = None
    for name in names:
        path, source = known[name]
        if path != home or name in public:
            folder = path.relative_to(ROOT).parent.as_posix()
            link = f"{address}{folder}/{path.stem}.{'html' if address else 'ipynb'}"
            title = chapter(path)[0]
            about = f"# Chapter {int(path.stem[:2])}: {title}\n# {link}\n"
            source, home = about + source, path
        parts.append(source)
    return head(file, later, address) + "\n\n" + "\n\n\n".join(parts) + "\n"


def write_files(folder, address=""):
    """Write every file to take away into a folder."""
    for file in FILES:
        (Path(folder) / file).write_text(take_away(file, address), encoding="utf-8")


def main():
    """Run the command line described at the top of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="FOLDER")
    write_files(parser.parse_args().folder)


if __name__ == "__main__":
    main()
