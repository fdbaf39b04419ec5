"""Adds and changes deployments, says so once it is confirmed, and is killed at once."""

import json
import os
import signal
import sys

from turnout import Router


def entry(name: str, **params: object) -> dict[str, object]:
    return {
        "model_name": "gpt-4",
        "litellm_params": {"model": "openai/gpt-4o", "api_key": "os.environ/HOME", **params},
        "model_info": {"id": name},
    }


def main(path: str) -> None:
    router = Router(
        [
            {
                "model_name": "gpt-4",
                "litellm_params": {"model": "openai/gpt-4o", "mock_response": "hi"},
                "model_info": {"id": "a"},
            }
        ],
        journal=f"sqlite:///{path}",
    )
    router.add_deployment(entry("b"))
    router.update_deployment("b", rpm=3)
    router.add_deployment(entry("c"))
    sys.stdout.write(json.dumps([item["model_info"]["id"] for item in router.get_deployments()]))
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


main(sys.argv[1])
