"""A `model_list` entry as it was written: kept, recorded without its secrets, and put together again. Pure.

A journal holds entries whose secrets are masked; `os.environ/NAME` is no secret and stays. Made-up answers
are masked where the constructor gives them, which gives them again; of an entry that came at run time they
are configuration that nobody else has. What was masked is named by its path (``litellm_params.api_key``),
and whoever puts such an entry together again says where the value comes from now.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from . import errors
from .deployment import OF_THE_MODEL
from .deployments import ALIASES, READ_ANYWHERE, renamed
from .environment import PREFIX
from .errors import ConfigurationError, RequestError, mask_secrets
from .problems import given
from .redaction import HIDDEN, MAX_DEPTH, is_content_name, is_secret_name, public

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "API_KEY",
    "MISSING",
    "changed",
    "completed",
    "digest",
    "recordable",
    "same_address",
    "usable",
    "written_as",
]

PARAMS = "litellm_params"
INFO = "model_info"
API_KEY = f"{PARAMS}.api_key"

MAX_MOCK_BYTES = 65_536
"""Of a made-up answer that is recorded, as JSON."""

_MOCKS = frozenset({"mock_response", "mock_tool_calls"})

_ERROR_NAME = re.compile(r"(?:litellm|turnout|openai)\.[A-Za-z]{0,58}(?:Error|Timeout)")

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Missing:
    """Stands in an entry where a value was masked when it was recorded, and nobody gave it again."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<not in the journal>"


MISSING = _Missing()


# -- keeping what was written


def written_as(entry: Mapping[str, Any], deployment_id: str) -> dict[str, Any]:
    """A copy of a (checked) entry under the names we use ourselves, with its id.

    Dicts and lists are copied, so nobody changes it from outside; what is in them is shared.
    """
    written = {name: _copied(value) for name, value in entry.items() if value is not None}
    if "params" in written:
        written[PARAMS] = written.pop("params")
    written[PARAMS] = renamed(_given(written[PARAMS]))
    written[INFO] = {**_given(written.get(INFO) or {}), "id": deployment_id}
    return written


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def _given(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value is not None}


def changed(written: Mapping[str, Any], changes: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The entry with some of it changed: each parameter where it stands now; None takes it away.

    `litellm_params` (or `params`) and `model_info` may be given as a whole: what they name changes.

    Raises:
        ConfigurationError: a section that is no dict, or another id.
    """
    new = {**written, PARAMS: dict(written[PARAMS]), INFO: dict(written[INFO])}
    for name, value in changes.items():
        if name in {PARAMS, "params", INFO}:
            section = PARAMS if name == "params" else name
            if not isinstance(value, dict):
                msg = f"{path}.{name} = {given(value)}: must be a dict with names as keys"
                raise ConfigurationError(msg)
            aliases: dict[str, str] = ALIASES if section == PARAMS else {}
            for inner, item in value.items():
                _put(new[section], str(aliases.get(inner, inner)), item)
        else:
            _put(*_place(new, name), value)
    if new[INFO].get("id") != written[INFO]["id"]:
        msg = f"{path}.model_info.id: the id of a deployment cannot be changed; add another one instead"
        raise ConfigurationError(msg)
    return new


def _place(entry: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The section that a parameter stands in, or belongs into when it is new."""
    name = ALIASES.get(name, name)
    if name == "model_name" or (name in READ_ANYWHERE and name in entry):
        return entry, name
    if name in entry[PARAMS]:
        return entry[PARAMS], name
    of_the_model = name == "id" or name in OF_THE_MODEL or "_cost" in name
    return entry[INFO if of_the_model or name in entry[INFO] else PARAMS], name


def _put(section: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        section.pop(name, None)
    else:
        section[name] = _copied(value)


# -- recording it


def recordable(
    written: Mapping[str, Any], *, with_mocks: bool = False
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The entry as plain JSON-able data without secrets and content, and the paths of what is masked.

    `with_mocks`: its made-up answers are recorded where they are plain data (`MAX_MOCK_BYTES` at most).
    """
    withheld: list[str] = []
    mocks = _plain_mocks(written[PARAMS]) if with_mocks else {}
    params = {name: value for name, value in written[PARAMS].items() if name not in mocks}
    config: dict[str, Any] = _shown({**written, PARAMS: params}, "", "", withheld)
    config[PARAMS].update(mocks)
    config[INFO]["id"] = written[INFO]["id"]
    withheld = [path for path in withheld if path != f"{INFO}.id"]
    return config, tuple(withheld)


def _shown(value: Any, name: str, path: str, withheld: list[str], *, header: bool = False) -> Any:
    secret = header or is_secret_name(name)
    if not (secret or is_content_name(name)) and path.count(".") < MAX_DEPTH:
        if isinstance(value, dict):
            headers = name == "extra_headers"  # any header may be a key, whatever its name
            return {
                str(key): _shown(item, str(key), _join(path, key), withheld, header=headers)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [_shown(item, "", _join(path, at), withheld) for at, item in enumerate(value)]
    if name == "mock_response" and (error := _error_named_by(value)) is not None:
        return error
    if isinstance(value, str) and (not value or (value.startswith(PREFIX) and not is_content_name(name))):
        return value
    shown = HIDDEN if secret or value is MISSING else public(value, name)
    if type(shown) is not type(value) or shown != value:
        withheld.append(path)
    return shown


def _plain_mocks(params: Mapping[str, Any]) -> dict[str, Any]:
    """The made-up answers that JSON can hold as they are, and that hold nothing like a key."""
    plain = {}
    for name in _MOCKS & params.keys():
        try:
            text = msgspec.json.encode(params[name])
            same = msgspec.json.decode(text) == params[name]
        except (TypeError, ValueError, OverflowError, RecursionError):
            continue
        if same and len(text) <= MAX_MOCK_BYTES and mask_secrets(text.decode()) == text.decode():
            plain[name] = params[name]
    return plain


def _error_named_by(mock: Any) -> str | None:
    """The name of the error that a mock stands for, which is no content; what it says may be."""
    kind = mock if isinstance(mock, type) else type(mock)
    if issubclass(kind, RequestError) and getattr(errors, kind.__name__, None) is kind:
        return f"turnout.{kind.__name__}"
    return mock if isinstance(mock, str) and _ERROR_NAME.fullmatch(mock) else None


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def digest(config: Mapping[str, Any]) -> str:
    """Short for a recorded entry; equal for equal ones."""
    return hashlib.blake2b(_encode(config), digest_size=8).hexdigest()


# -- putting it together again


def completed(
    config: Mapping[str, Any], withheld: tuple[str, ...], source: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A recorded entry with what was masked taken from `source`; `MISSING` where that has nothing."""
    masked = frozenset(withheld)

    def filled(value: Any, path: str, other: Any) -> Any:
        if path in masked:
            return MISSING if other is None else other
        if isinstance(value, dict):
            known = other if isinstance(other, dict) else {}
            return {key: filled(item, _join(path, key), known.get(key)) for key, item in value.items()}
        if isinstance(value, list):
            items = other if isinstance(other, list) and len(other) == len(value) else [None] * len(value)
            return [filled(item, _join(path, i), items[i]) for i, item in enumerate(value)]
        return value

    entry: dict[str, Any] = filled(config, "", source)
    return entry


def usable(
    written: Mapping[str, Any], env: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The entry without what is missing, and the paths of that.

    With `env`, a reference to a variable that is not set is missing, too.
    """
    missing: list[str] = []

    def kept(value: Any, path: str) -> Any:
        lacks = value is MISSING
        if not lacks and env is not None and isinstance(value, str) and value.startswith(PREFIX):
            lacks = value[len(PREFIX) :] not in env
        if lacks:
            missing.append(path)
            return MISSING
        if isinstance(value, dict):
            inside = {key: kept(item, _join(path, key)) for key, item in value.items()}
            return {key: item for key, item in inside.items() if item is not MISSING}
        if isinstance(value, list):
            items = [kept(item, _join(path, position)) for position, item in enumerate(value)]
            return [item for item in items if item is not MISSING]
        return value

    entry: dict[str, Any] = kept(written, "")
    return entry, tuple(missing)


def same_address(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two recorded entries speak to the same provider at the same place.

    Only then may a key of the one be used for the other: it must not reach whoever stands elsewhere.
    """
    return _address(one) == _address(other)


def _address(config: Mapping[str, Any]) -> tuple[Any, ...]:
    params = config[PARAMS]
    prefix, slash, _ = str(params.get("model")).partition("/")
    return params.get("api_base"), params.get("custom_llm_provider"), prefix if slash else None
