"""The gate itself: every chapter is compared, and a planted fault turns the suite red."""

import re
import subprocess
import sys

import nbformat
import pytest

from notebooks import chapters, code_cells, homes, read, write

SANITIZE_FILE = "tests/nbval.cfg"


def run_pytest(root, folder, *arguments):
    """Run pytest in one process, in `folder` and with the project's settings; return its output."""
    command = [
        *(sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider"),
        *("-c", str(root / "pyproject.toml"), "--rootdir", str(folder)),
        *("--nbval-sanitize-with", str(root / SANITIZE_FILE)),
    ]
    result = subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )
    return result.stdout


def test_every_cell_of_every_chapter_is_collected(root):
    """A plain `pytest` collects exactly the code cells of the chapters in `_toc.yml`."""
    listing = run_pytest(root, root, "--collect-only", "-q", "notebooks")
    collected = re.findall(
        r"^(?:.*::)?notebooks/(\S+\.ipynb)::", listing, flags=re.MULTILINE
    )
    counts = {name: collected.count(name) for name in sorted(set(collected))}
    assert counts == {path.name: len(code_cells(read(path))) for path in chapters()}


def test_notebooks_folder_holds_chapters_only(root):
    """Every notebook is in `_toc.yml`, and nothing else lives beside the notebooks."""
    found = sorted(
        p for p in (root / "notebooks").iterdir() if p.name != ".ipynb_checkpoints"
    )
    assert found == sorted(chapters())


def test_every_sanitize_rule_is_read(root):
    """nbval skips a malformed rule without a word, so compare what it reads with the file."""
    from nbval.plugin import get_sanitize_patterns

    text = (root / SANITIZE_FILE).read_text(encoding="utf-8")
    rules = re.findall(r"^regex:", text, flags=re.MULTILINE)
    assert len(get_sanitize_patterns(text)) == len(rules) > 0


def change_a_digit(notebook):
    """Add one to the first digit of the first printed output."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream" and re.search(r"\d", output.text):
                output.text = re.sub(
                    r"\d", lambda m: str((int(m[0]) + 1) % 10), output.text, count=1
                )
                return
    raise AssertionError("no printed digit to change")


def swap_before_and_after(notebook):
    """Let `same_padding` put the odd zero in front."""
    for cell in code_cells(notebook):
        if "return total // 2, total - total // 2" in cell.source:
            cell.source = cell.source.replace(
                "return total // 2, total - total // 2",
                "return total - total // 2, total // 2",
            )
            return
    raise AssertionError("no same_padding to swap")


def plant_a_bad_magic(notebook):
    """Add a magic that does not exist, in a cell that prints nothing."""
    notebook.cells.append(
        nbformat.v4.new_code_cell("%no_such_magic", execution_count=99)
    )


def leave_alone(notebook):
    """Change nothing: the control."""


@pytest.mark.parametrize(
    ("plant", "fails"),
    [
        (leave_alone, False),
        (change_a_digit, True),
        (swap_before_and_after, True),
        (plant_a_bad_magic, True),
    ],
)
def test_a_planted_fault_turns_the_gate_red(root, tmp_path, plant, fails):
    """A copy alone in an empty folder passes; with one fault planted, it fails by its cells."""
    (source,) = [path for path in chapters() if path == homes()["same_padding"][0]]
    notebook = read(source)
    plant(notebook)
    copy = tmp_path / "copy.ipynb"
    write(notebook, copy)
    report = run_pytest(root, tmp_path, copy.name)
    failed = re.search(r"(\d+) failed", report)
    assert re.search(r"(\d+) passed", report), report
    assert bool(failed) == fails, report
