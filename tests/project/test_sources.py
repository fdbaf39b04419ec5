"""How the code is cut, where chance is made, and what no file may mention."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 70
SHIPPED = ("messages", "actors", "supervisor", "history", "testing", "gateway", "cli")
MADE_HERE = {"build", "dist", "__pycache__"}

# put together here, so that this file may be searched as well
HOSTS = ["pypi" + ".org", "python" + "hosted", "pypi." + "python", "test.py" + "pi"]
PATHS = ["/home" + "/", "/Users" + "/", "/root" + "/", "/work" + "/", "../" + "shared"]


def modules():
    yield from ROOT.glob("*.py")
    for room in SHIPPED:
        yield from (ROOT / room).rglob("*.py")


def tree(module):
    return ast.parse(module.read_text(encoding="utf-8"), str(module))


def project_files():
    """Every file of the project, tracked or about to be."""
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        made = any(part in MADE_HERE or part.endswith(".egg-info") for part in parts)
        if path.is_file() and not hidden and not made and ".db" not in path.name:
            yield path


@pytest.mark.parametrize("module", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_small_and_so_are_its_functions(module):
    text = module.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


def test_chance_is_made_in_the_runtime_only():
    """The linter cannot tell `random.Random` in an annotation from one that is made."""
    runtime = ROOT / "actors" / "runtime"
    makers = [
        f"{module.relative_to(ROOT)}:{node.lineno}"
        for module in modules()
        if runtime not in module.parents
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("random.Random", "Random")
    ]
    assert not makers


def test_the_package_imports_itself_by_relative_names_only():
    absolute = [
        f"{module.relative_to(ROOT)}:{node.lineno}"
        for module in modules()
        for node in ast.walk(tree(module))
        if (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").split(".")[0] == "turnout"
        )
        or (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "turnout" for name in node.names))
    ]
    assert not absolute


def test_no_file_names_a_package_index_or_a_place_on_somebodys_machine():
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {word}" for word in (*HOSTS, *PATHS) if word in text]
    assert not found


def test_no_source_has_unfinished_work_in_it():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = [
        f"{module.relative_to(ROOT)}:{number}"
        for module in modules()
        for number, line in enumerate(module.read_text(encoding="utf-8").splitlines(), start=1)
        if marks.search(line)
    ]
    assert not found
