"""The examples run and do what they say."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def program(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_story_has_four_attempts_a_pause_and_a_fallback():
    done = program(EXAMPLES / "fallback_story.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"attempt (\d) goes to (\w+)", done.stdout) == [
        ("1", "eu"),
        ("2", "us"),
        ("3", "eu"),
        ("4", "mini"),
    ]
    for part in (
        "us fails: RateLimitError (429)",
        "falls back from gpt-4 to small",
        "answered by mini",
        "Blue light",
    ):
        assert part in done.stdout
    assert program(EXAMPLES / "fallback_story.py").stdout == done.stdout


def test_the_deterministic_tests_pass():
    done = program("-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLES / "deterministic_test.py")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


@pytest.fixture
def service(tmp_path):
    """The service on a free port, as a process; its address and its process."""
    port = free_port()
    journal = f"sqlite:///{tmp_path}/service.db"
    command = [sys.executable, EXAMPLES / "service.py", "--port", str(port), "--journal", journal]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        try:
            assert any(b"Running on" in line for line in process.stdout), "the service did not start"
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def test_the_service_answers_tells_its_health_and_ends_in_order(service):
    url, process = service
    assert fetch(f"{url}/ask?q=why") == "Because of Rayleigh scattering.\n"
    health = json.loads(fetch(f"{url}/health"))
    assert health["ok"]
    assert health["deployments"] == [
        "<Deployment assistant/primary · 0/50 open>",
        "<Deployment backup/backup · 0 open>",
    ]
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(f"{url}/ask")
    refused.value.close()
    assert refused.value.code == 400
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
