"""The gate itself: every chapter is compared, and a planted fault turns the suite red."""

import os
import re
import subprocess
import sys

import nbformat

from notebooks import chapters, code_cells, homes, read, write

SANITIZE_FILE = "tests/nbval.cfg"


def run_pytest(root, folder, *arguments):
    """Run pytest in one process, in `folder` and with the project's settings; return its output."""
    command = [
        *(sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider"),
        *("-c", str(root / "pyproject.toml"), "--rootdir", str(folder)),
        *("--nbval-sanitize-with", str(root / SANITIZE_FILE)),
    ]
    settings = {k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"}
    how = {"cwd": folder, "env": settings, "capture_output": True, "text": True}
    result = subprocess.run([*command, *arguments], **how, timeout=300)
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


def failing_cells(root, folder, change):
    """Run a changed copy of `same_padding`'s chapter alone; return the numbers of failing cells."""
    home, _ = homes()["same_padding"]
    notebook = read(home)
    change(notebook)
    write(notebook, folder / "copy.ipynb")
    report = run_pytest(root, folder, "copy.ipynb")
    failed = [
        int(n) for n in re.findall(r"^FAILED copy\.ipynb::Cell (\d+)", report, re.M)
    ]
    passed = int(re.search(r"(\d+) passed", report)[1])
    assert passed + len(failed) == len(code_cells(notebook)), report
    return failed


def test_an_honest_copy_passes(root, tmp_path):
    """The control: a chapter alone in an empty folder passes in every cell."""
    assert not failing_cells(root, tmp_path, lambda notebook: None)


def test_planted_faults_turn_the_gate_red(root, tmp_path):
    """A changed digit, the odd zero in front, a bad magic: each fails by its own cells."""
    planted = {}

    def plant(notebook):
        cells = code_cells(notebook)
        law = "return total // 2, total - total // 2"
        home = next(i for i, cell in enumerate(cells) if law in cell.source)
        wrong = "return total - total // 2, total // 2"
        cells[home].source = cells[home].source.replace(law, wrong)
        place, output = next(
            (i, output)
            for i, cell in enumerate(cells[:home])
            for output in cell.outputs
            if output.output_type == "stream" and re.search(r"\d", output.text)
        )
        digit = re.search(r"\d", output.text)
        other = str((int(digit[0]) + 1) % 10)
        output.text = output.text[: digit.start()] + other + output.text[digit.end() :]
        magic = nbformat.v4.new_code_cell("%no_such_magic", execution_count=99)
        notebook.cells.append(magic)
        planted.update(digit=place, law=home, magic=len(cells))

    failed = failing_cells(root, tmp_path, plant)
    first, second, *others, last = failed
    assert [first, second, last] == list(planted.values())
    assert others, "no cell after the law's own noticed that it is wrong"
