"""A call as Twilio carries it, over the client of the `websocket-client` package.

It checks the form of every frame that it receives; what the frames say is up to its users.
"""

import json
import xml.etree.ElementTree as ET

import websocket

from stage import REQUEST_LIMIT_S, Stage, expect, new_call


class RelayCall:
    """A call that was answered and is connected, as a context manager."""

    def __init__(self, stage: Stage, path: str = "/twiml", **params: str) -> None:
        self._stage = stage
        self.webhook = new_call(**params)
        self.call_sid = self.webhook["CallSid"]
        answer = stage.call_webhook(path, self.webhook)
        expect("status of the webhook", 200, answer.status_code)
        connect = ET.fromstring(answer.content).find("Connect")
        assert connect is not None, f"the call is connected, got {answer.text}"
        relay = connect.find("ConversationRelay")
        self.action, self.relay = connect.attrib["action"], relay.attrib
        self.parameters = {each.attrib["name"]: each.attrib["value"] for each in relay.iter("Parameter")}

    def __enter__(self) -> "RelayCall":
        url = self.relay["url"]
        headers = [f"{name}: {value}" for name, value in self._stage.sign(url).items()]
        self._socket = websocket.create_connection(url, header=headers, timeout=REQUEST_LIMIT_S)
        self._send(
            type="setup",
            sessionId=f"VX{self.call_sid[2:]}",
            accountSid=self.webhook["AccountSid"],
            callSid=self.call_sid,
            parentCallSid="",
            **{"from": self.webhook["From"], "to": self.webhook["To"]},
            forwardedFrom="",
            callerName="",
            direction="inbound",
            callType="PSTN",
            callStatus="RINGING",
            customParameters=self.parameters,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, text: str) -> str:
        """The caller speaks; what the agent answers, up to its last token."""
        self.say(text)
        return "".join(self.tokens())

    def say(self, text: str) -> None:
        self._send(type="prompt", voicePrompt=text, lang="en-US", last=True)

    def press(self, key: str) -> str:
        """The caller presses a key; what the agent answers."""
        self._send(type="dtmf", digit=key)
        return "".join(self.tokens())

    def send_text(self, frame: str) -> None:
        """Sends a text frame as it is, followed by a ping, which a server must bear at any time."""
        self._socket.send(frame)
        self._socket.ping()

    def tokens(self) -> list[str]:
        """The tokens of one talk cycle, each a text frame of its own form."""
        tokens = []
        while True:
            opcode, data = self._socket.recv_data()
            expect(f"opcode of {data!r}", websocket.ABNF.OPCODE_TEXT, opcode)
            frame = json.loads(data)
            expect(f"type of {frame}", "text", frame.get("type"))
            assert isinstance(frame["token"], str), f"a token is text, got {frame}"
            assert isinstance(frame.get("last", False), bool), f"last is a boolean, got {frame}"
            tokens.append(frame["token"])
            if frame.get("last"):
                return tokens
            self._send(type="info", name="tokensPlayed", value=frame["token"])

    def _send(self, **frame: object) -> None:
        self._socket.send(json.dumps(frame))
