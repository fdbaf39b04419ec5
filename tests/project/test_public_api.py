"""The names that users may rely on; a change here is a change for them."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import turnout
from turnout.messages import errors

NAMES = {
    "AlertingConfig",
    "AllowedFailsPolicy",
    "Attempt",
    "CompletionRequest",
    "Decision",
    "Embedding",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "LeftOut",
    "ModelResponse",
    "ModelResponseStream",
    "ModelStream",
    "RetryPolicy",
    "RouteInfo",
    "Router",
    "Image",
    "ImageGenerationRequest",
    "ImageResponse",
    "Moderation",
    "ModerationRequest",
    "ModerationResponse",
    "SpeechRequest",
    "SpeechResponse",
    "SpeechStream",
    "TranscriptionRequest",
    "TranscriptionResponse",
    "TextCompletionRequest",
    "TextCompletionResponse",
    "TextCompletionStream",
    "Usage",
    "__version__",
    "callbacks",
    "failure_callback",
    "set_verbose",
    "success_callback",
}
VALUES = {"__version__", "callbacks", "failure_callback", "set_verbose", "success_callback"}
ERRORS = {
    "APIConnectionError",
    "APIError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "ConfigurationError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "InternalServerError",
    "MidStreamError",
    "NoDeploymentsAvailable",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestError",
    "RouterClosedError",
    "ServiceUnavailableError",
    "Timeout",
    "TurnoutError",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
}


def test_the_public_names_are_these_and_no_others():
    assert set(turnout.__all__) == NAMES | ERRORS
    assert len(turnout.__all__) == len(set(turnout.__all__))


def test_every_public_name_is_there():
    assert all(hasattr(turnout, name) for name in turnout.__all__)


def test_a_type_checker_is_told_the_same_homes_as_the_interpreter():
    tree = ast.parse(Path(turnout.__file__).read_text(encoding="utf-8"))
    conditions = [node for node in tree.body if isinstance(node, ast.If)]
    (told,) = (node for node in conditions if ast.unparse(node.test) == "TYPE_CHECKING")
    homes = {f".{one.module}": tuple(name.name for name in one.names) for one in told.body}
    assert homes == {**turnout._HOMES, ".messages.errors": tuple(sorted(ERRORS))}
    for home, names in homes.items():
        module = importlib.import_module(home, "turnout")
        assert all(getattr(turnout, name) is getattr(module, name) for name in names), home


def test_a_name_that_is_not_there_is_an_attribute_error_and_a_room_is_a_room():
    assert not hasattr(turnout, "Rooter")
    assert inspect.ismodule(importlib.import_module("turnout.history"))
    assert "Router" in dir(turnout)


def test_a_look_into_a_journal_waits_for_no_http_client():
    program = (
        "import sys; from turnout.cli.main import main; main(['explain', 'none.db']); "
        "print([name for name in ('aiohttp', 'httpx', 'pydantic', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_nothing_else_of_ours_lies_about_at_the_top():
    found = {name for name, value in vars(turnout).items() if not inspect.ismodule(value)}
    assert {name for name in found if not name.startswith("_")} <= {
        *turnout.__all__,
        "annotations",
        "TYPE_CHECKING",
    }


def test_every_error_class_there_is_can_be_caught_by_its_name():
    classes = {name for name in errors.__all__ if inspect.isclass(getattr(errors, name))}
    assert classes == ERRORS


def test_every_public_class_says_what_it_is():
    for name in NAMES - VALUES:
        assert inspect.getdoc(getattr(turnout, name)), name


def test_the_version_is_the_projects():
    from importlib.metadata import version

    assert turnout.__version__ == version("turnout")
