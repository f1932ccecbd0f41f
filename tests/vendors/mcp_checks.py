"""The client of MCP servers against a server of the official SDK, over streamable HTTP."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from stage import START_LIMIT_S, Stage, expect, free_ports, poll

SERVER = Path(__file__).with_name("mcp_server.py")


def check_mcp_tools(stage: Stage) -> None:
    """Tools of a vendor's MCP server are listed with their schemas and run to their outcomes"""
    with server() as url:
        seen = stage.mcp_client(
            url,
            find_booking={"number": 5},
            greet={"name": "Ada"},
            cancel_booking={"number": 5},
            run_key={},
        )
    schema = seen["schemas"]["v_find_booking"]
    expect("the schema", ("object", ["number"]), (schema["type"], schema["required"]))
    outcomes = seen["outcomes"]
    expect("a structured outcome", {"ok": {"number": "5", "seats": "two"}}, outcomes["find_booking"])
    expect("an outcome in words", {"ok": {"result": "Hello Ada"}}, outcomes["greet"])
    expect("a failure", ["error"], list(outcomes["cancel_booking"]))
    expect("the key of a run", f"CA{'1':0>32}:1:t-1", outcomes["run_key"]["ok"]["result"])


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server in a process of its own."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/mcp"
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, SERVER, str(port)], **quiet)

    def answers() -> bool:
        assert process.poll() is None, "the MCP server stopped at its start"
        try:
            requests.get(url, timeout=1)
        except requests.ConnectionError:
            return False
        return True

    try:
        assert poll(answers, START_LIMIT_S), "the MCP server did not start in time"
        yield url
    finally:
        process.kill()
        process.wait()
