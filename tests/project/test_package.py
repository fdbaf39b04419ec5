"""What is shipped: every room is listed, typed and pinned."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_SHIPPED = {"bench", "build", "dist", "docs", "examples", "tests"}


def rooms():
    """Every folder that is a package, by its dotted name."""
    for init in ROOT.rglob("__init__.py"):
        parts = init.parent.relative_to(ROOT).parts
        if not any(part in NOT_SHIPPED or part.startswith(".") for part in parts):
            yield ".".join(("turnout", *parts))


def pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_is_listed():
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(rooms())


def test_every_folder_with_modules_is_a_package():
    for module in ROOT.rglob("*.py"):
        parts = module.parent.relative_to(ROOT).parts
        if any(part in NOT_SHIPPED or part.startswith(".") for part in parts):
            continue
        assert (module.parent / "__init__.py").exists(), f"{module} would not be shipped"


def test_the_types_are_shipped():
    assert (ROOT / "py.typed").exists()
    assert PROJECT["tool"]["setuptools"]["package-data"]["turnout"] == ["py.typed"]


def test_constraints_hold_names_and_exact_versions_only():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line)]
    assert not wrong


def test_everything_the_project_names_is_pinned():
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    named = [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    for extra in project["optional-dependencies"].values():
        named += extra
    for group in groups.values():
        named += [row for row in group if isinstance(row, str)]
    names = {normal(re.match(r"[A-Za-z0-9_.-]+", row)[0]) for row in named}
    assert names <= {normal(name) for name in pinned()}


def test_the_changelog_knows_the_version_or_what_is_not_released():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert PROJECT["project"]["version"] in headings or headings[0] == "Unreleased"
