"""The service and its stand-ins, running whole in a process of their own, and how the checks reach them.

A stage has ports, a working directory and a token that nobody else uses, and is stopped by its process id.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import boto3
import requests
from twilio.request_validator import RequestValidator
from twilio.rest import Client

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE = "trunkline-dev"
START_LIMIT_S = 30
STOP_LIMIT_S = 20
REQUEST_LIMIT_S = 10
# The stand-ins check no credentials, and nobody's own configuration may lead a client elsewhere.
LOCAL_AWS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_PAGER": "",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


class Stage:
    """A running `trunkline-dev`, as a context manager."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._home = tempfile.TemporaryDirectory(prefix="trunkline-vendors-")
        self._log = Path(self._home.name) / "log"
        os.environ.update(LOCAL_AWS)

    def __enter__(self) -> "Stage":
        port, dynamodb_port, bedrock_port, twilio_port = free_ports(4)
        self.dynamodb_url = f"http://127.0.0.1:{dynamodb_port}"
        self.bedrock_url = f"http://127.0.0.1:{bedrock_port}"
        arguments = ["--port", str(port), "--dynamodb-port", str(dynamodb_port)]
        arguments += ["--bedrock-port", str(bedrock_port), "--twilio-port", str(twilio_port), "--in-memory"]
        arguments += ["--configuration", str(REPOSITORY / "configuration")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._binaries / "trunkline-dev", *arguments],
                cwd=self._home.name,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_ready(f"http://127.0.0.1:{port}/ready")
        except BaseException:
            self._process.kill()
            self._process.wait()
            self._home.cleanup()
            raise
        running = json.loads(self._running_file().read_text())
        self.url = running["public_url"]
        self.twilio = RequestValidator(running["auth_token"])
        self.verify_service_sid = running["verify_service_sid"]
        self.api_token = running["api_token"]
        self._account = running["account_sid"], running["auth_token"]
        self._twilio_url = running["twilio_url"]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._home.cleanup()

    def sign(self, url: str, params: dict | None = None) -> dict[str, str]:
        """The header with which Twilio would send `params` to `url`."""
        return {"X-Twilio-Signature": self.twilio.compute_signature(url, params or {})}

    def twilio_client(self, account_sid: str = "", auth_token: str = "") -> Client:
        """Twilio's own REST client, with the account of the stage's stand-in unless another is given."""
        client = Client(account_sid or self._account[0], auth_token or self._account[1])
        client.api.base_url = client.verify.base_url = self._twilio_url
        return client

    def call_webhook(self, path: str, params: dict[str, str]) -> requests.Response:
        """Posts a voice webhook as Twilio does."""
        url = self.url + path
        return requests.post(url, data=params, headers=self.sign(url, params), timeout=REQUEST_LIMIT_S)

    def table(self):  # noqa: ANN201 - boto3 makes its classes at run time
        """The table, through boto3."""
        return boto3.resource("dynamodb", endpoint_url=self.dynamodb_url).Table(TABLE)

    def aws(self, *arguments: str) -> dict:
        """What the AWS CLI answers to `aws dynamodb …` about the table."""
        command = [Path(sys.executable).parent / "aws", "dynamodb", *arguments, "--table-name", TABLE]
        output = run([*command, "--endpoint-url", self.dynamodb_url, "--output", "json"])
        return json.loads(output) if output else {}

    def trunkline(self, *arguments: str) -> str:
        """The output of the service's own program, run in the repository."""
        return run([self._binaries / "trunkline", *arguments])

    def mcp_client(self, url: str, **calls: dict) -> dict:
        """What our client of MCP servers makes of one: its tools, and the outcome of each call."""
        arguments = [f"{tool}={json.dumps(arguments)}" for tool, arguments in calls.items()]
        return json.loads(run([self._binaries / "examples" / "mcp_client", url, *arguments]))

    def program(self, name: str) -> Path:
        """One of the programs that are tested."""
        return self._binaries / name

    def log_tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])

    def _running_file(self) -> Path:
        return Path(self._home.name) / ".trunkline" / "running.json"

    def _wait_until_ready(self, url: str) -> None:
        def ready() -> bool:
            if self._process.poll() is not None:
                raise RuntimeError(f"the service stopped at its start:\n{self.log_tail()}")
            try:
                answer = requests.get(url, timeout=REQUEST_LIMIT_S)
            except requests.ConnectionError:
                return False
            return answer.ok and self._running_file().exists()

        if not poll(ready, START_LIMIT_S):
            raise TimeoutError(f"the service was not ready within {START_LIMIT_S} s:\n{self.log_tail()}")

    def _stop(self) -> None:
        """Asks it to stop; again, because calls that the checks never connected would keep it waiting."""
        deadline = time.monotonic() + STOP_LIMIT_S
        while time.monotonic() < deadline:
            self._process.send_signal(signal.SIGINT)
            try:
                status = self._process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                continue
            expect("the service's exit status", 0, status)
            return
        self._process.kill()
        self._process.wait()
        raise TimeoutError(f"the service did not stop within {STOP_LIMIT_S} s")


def expect(what: str, expected: object, actual: object) -> None:
    """Fails, telling both, unless they are equal."""
    assert expected == actual, f"{what}: expected {expected!r}, got {actual!r}"


def expect_refusal(what: str, status: int) -> None:
    """Fails unless a request was refused. Who is refused too often in a row is told so instead of why."""
    assert status in (403, 429), f"{what}: expected 403 or 429, got {status}"


def new_call(**params: str) -> dict[str, str]:
    """The parameters of a call's first webhook, with a CallSid of its own."""
    call = {
        "CallSid": f"CA{uuid.uuid4().hex}",
        "AccountSid": f"AC{'0' * 32}",
        "From": "+14155550123",
        "To": "+18005550199",
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
    }
    return call | params


def poll(condition: Callable[[], bool], limit_s: float) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def run(command: list) -> str:
    """The output of a program that must succeed."""
    done = subprocess.run(
        command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{command} exited with {done.returncode}: {done.stderr or done.stdout}"
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different because they are held together."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports
