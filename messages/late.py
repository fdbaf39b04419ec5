"""Names of a package that are imported when somebody asks for them. Pure."""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, which need not be imported for that
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

__all__ = ["late"]


def late(
    package: dict[str, Any], homes: Mapping[str, Sequence[str]], else_from: str | None = None
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package whose names come from its modules.

    Args:
        package: its `globals()`.
        homes: its modules, such as ".errors", and the names that live in each.
        else_from: the module that every other name of its `__all__` comes from.
    """
    home_of = dict.fromkeys(package["__all__"], else_from) if else_from is not None else {}
    home_of |= {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            msg = f"module {package['__name__']!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from importlib import import_module  # noqa: PLC0415  (not before it is needed)

        value = package[name] = getattr(import_module(home, package["__name__"]), name)
        return value

    def names() -> list[str]:
        return sorted({*package, *package["__all__"]})

    return get, names
