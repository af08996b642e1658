"""Chapter 13: its sections, its picture and table, its magic, and what it says but does not run."""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter

import numpy as np
import pytest
import torch
from matrix import ENVIRONMENTS

from notebooks import ROOT, find_chapters, read

(PATH,) = find_chapters(["13"])
HEADING = re.compile(r"^### (.+)$", re.M)


@pytest.fixture(scope="module")
def cells():
    """Return the chapter's cells."""
    return read(PATH).cells


@pytest.fixture(scope="module")
def text(cells):
    """Return the chapter's prose."""
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.fixture(scope="module")
def sections(cells):
    """Return (number of the mistake, title, cell, text behind it) of every section."""
    found, mistake = [], None
    for before, cell, after in zip(cells, cells[1:], cells[2:], strict=False):
        if number := re.match(r"(?s).*^## (\d)\. ", before.source, re.M):
            mistake = int(number.group(1))
        if cell.cell_type == "code" and (titles := HEADING.findall(before.source)):
            behind = re.split(r"\n\n#|\n\n\*\*", after.source)[0]
            found.append((mistake, titles[-1], cell, behind))
    return found


def test_every_section_is_a_report(sections, text):
    """A title with the version, a cell that begins with its imports, the cause, the thread."""
    assert len(sections) == len(HEADING.findall(text)) >= 20
    for _, title, cell, behind in sections:
        first, _, rest = cell.source.partition("\n")
        script = ast.parse(rest if first.startswith("%%alone") else cell.source)
        assert isinstance(script.body[0], ast.Import | ast.ImportFrom), title
        names = {n.id for n in ast.walk(script) if isinstance(n, ast.Name)}
        assert "print" in names and "same_padding" not in names, title
        assert re.search(r"\d\.\d", title) or re.search(r"\d\.\d+\.\d", behind), title
        assert re.search(r"#\d+\]|ot reported|othing to report|o fault", behind), title
        assert re.search(r"\d", "".join(o.get("text", "") for o in cell.outputs)), title


def test_the_picture_and_the_table_have_every_section(cells, sections, text):
    """Their sums are those of the sections; the table leads to each of them."""
    (drawing,) = [cell.source for cell in cells if "REPORTS = " in cell.source]
    lines = re.search(r'REPORTS = """\n(.+?)\n"""', drawing, re.S)[1].splitlines()
    drawn = [
        [int(digit.replace("d", "1")) for digit in line.split("|")[1]] for line in lines
    ]
    mistakes = Counter(mistake for mistake, *_ in sections)
    assert [sum(column) for column in zip(*drawn, strict=True)] == [
        mistakes[number] for number in range(1, 9)
    ]
    number, projects = re.search(
        r"\*\*(\d+) deviations .+? in (\d+) projects", text
    ).groups()
    assert (int(number), int(projects)) == (len(sections), len(lines))
    table = text.split("## Find your framework")[1].split("\n\n")[1]
    assert [row.split(" | ")[0][2:] for row in table.splitlines()[2:]] == [
        line.split("|")[0] for line in lines
    ]
    assert table.count("](#") == len(sections)


def test_pins_are_those_of_the_matrix(sections):
    """Whatever the matrix has pinned, a section runs in one of its versions, or says why not."""
    known = {}
    for pin in (pin for pins in ENVIRONMENTS.values() for pin in pins):
        known.setdefault(pin.split("==")[0], set()).add(pin)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if re.match(r"[\w.-]+==", line):
            known.setdefault(line.split("==")[0], set()).add(line.split("+")[0])
    others = {
        "onnx==1.22.0",
        "onnxoptimizer==0.4.2",
    }  # the last wrong one; not in the matrix
    for _, title, cell, _ in sections:
        first = cell.source.partition("\n")[0]
        if first.startswith("%%alone"):
            for pin in first.split()[1:]:
                assert pin in others | known.get(pin.split("==")[0], set()), title


def test_the_vectors_named_fail_for_the_rules_named(text):
    """The table of what would have caught them, against the published vectors."""
    published = ROOT / "book" / "_data" / "vectors" / "vectors.json"
    cases = {c["name"]: c for c in json.loads(published.read_text(encoding="utf-8"))}
    rows = re.findall(r"^\| (\d) \| `(\w+)` \| (.+) \|$", text, re.M)
    assert {int(number) for number, *_ in rows} == set(range(1, 8))
    for _, name, rule in rows:
        assert rule in cases[name]["why"], (name, rule)
    assert {case["input_shape"][0] for case in cases.values()} == {
        1
    }  # mistake 8 needs 2
    assert f"{len(cases)} layers" in text


@pytest.fixture
def magic(cells, tmp_path, monkeypatch):
    """Return the names of the magic's cell, with a folder of packages of its own."""
    (source,) = [cell.source for cell in cells if "def alone(" in cell.source]
    (setup,) = [c.source for c in cells if "setup" in c.metadata.get("tags", [])]
    imports = [
        n for n in ast.parse(setup).body if isinstance(n, ast.Import | ast.ImportFrom)
    ]
    names = {"subprocess": subprocess, "sys": sys}
    exec(compile(ast.Module(imports, []), "setup", "exec"), names)
    exec(
        source.replace('get_ipython().register_magic_function(alone, "cell")', ""),
        names,
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # no network here
    return names


CRASH = "import os\nprint('before', flush=True)\nos.abort()"


@pytest.mark.parametrize(
    ("line", "cell", "said"),
    [
        ("", "print(6 * 7)", "42\n"),
        (
            "numpy==" + np.__version__,
            "import numpy\nprint(numpy.ones(2).sum())",
            "2.0\n",
        ),
        ("", CRASH, "before\nstopped by signal 6, SIGABRT\n"),
        (
            "",
            "print(1)\nint('x')",
            "1\nValueError: invalid literal for int() with base 10: 'x'\n",
        ),
        ("numpy==0.0.1", "print('never')", "not installed here: numpy==0.0.1\n"),
        ("", "import time\ntime.sleep(60)", "stopped after 1 s\n"),
    ],
)
def test_the_magic(magic, capsys, line, cell, said):
    """What a cell prints, how it ended, or why it did not run."""
    magic["SECONDS"] = 1 if "sleep" in cell else 60
    magic["alone"](line, cell)
    assert capsys.readouterr().out == said


def test_the_magic_puts_its_folder_first(magic, capsys, tmp_path):
    """A package of a folder is taken before the one that is installed here."""
    kept = tmp_path / "same-is-not-the-same" / sys.implementation.cache_tag
    folder = kept / "numpy==0.0.1"
    (folder / "numpy").mkdir(parents=True)
    (folder / "numpy" / "__init__.py").write_text("__version__ = 'another'")
    magic["alone"]("numpy==0.0.1", "import numpy\nprint(numpy.__version__)")
    assert capsys.readouterr().out == "another\n"
    assert os.listdir(folder.parent) == ["numpy==0.0.1"]


def same(n, k, s, d=1):
    """Return TensorFlow's (before, after)."""
    total = max(0, (k - 1) * d - (n - 1) % s)
    return total // 2, total - total // 2


def test_what_the_chapter_says_of_transformers():
    """Perceiver pads without the stride and ends at 55; MobileNetV2 halves before it dilates."""
    from transformers.models.mobilenet_v2 import modeling_mobilenet_v2 as mobilenet
    from transformers.models.perceiver import modeling_perceiver as perceiver

    layer = perceiver.Conv2dSamePadding(1, 1, 7, 2, bias=False)
    assert layer.zero_pad_2d.padding == (3, 3, 3, 3) and same(224, 7, 2) == (2, 3)
    down = perceiver.Conv2DDownsample(use_batchnorm=False)
    with torch.no_grad():
        assert down(torch.zeros(1, 3, 224, 224)).shape[2:] == (55, 55)
    differ = set()
    for n in range(1, 9):
        for k, s, d in (
            (k, s, d) for k in range(1, 6) for s in (1, 2, 3) for d in (1, 2)
        ):
            conv = torch.nn.Conv2d(1, 1, (k, 1), (s, 1), dilation=(d, 1))
            y = mobilenet.apply_tf_padding(torch.ones(1, 1, n, 1), conv).ravel()
            before = int(y.nonzero()[0])
            if (before, len(y) - n - before) != same(n, k, s, d):
                differ.add((n, k, s, d))
    assert (1, 2, 1, 2) in differ and same(1, 2, 1, 2) == (1, 1)
    assert all(d > 1 and (s > 1 or k % 2 == 0) for _, k, s, d in differ)
