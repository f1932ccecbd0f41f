"""ConversationRelay, spoken by a WebSocket client that nobody here wrote."""

import websocket

from relay_call import RelayCall
from stage import REQUEST_LIMIT_S, Stage, expect, expect_refusal


def check_handshake(stage: Stage) -> None:
    """A handshake without the signature of its own URL is refused with 403 before it becomes a socket"""
    call = RelayCall(stage)
    url = call.relay["url"]
    signatures = {
        "none": {},
        "another call's": stage.sign(f"{url}0"),
        "of the https address": stage.sign(url.replace("ws", "http", 1)),
        "of the parameters": stage.sign(url, call.webhook),
    }
    for what, headers in signatures.items():
        lines = [f"{name}: {value}" for name, value in headers.items()]
        try:
            websocket.create_connection(url, header=lines, timeout=REQUEST_LIMIT_S).close()
        except websocket.WebSocketBadStatusException as refused:
            expect_refusal(f"signature {what}", refused.status_code)
        else:
            raise AssertionError(f"signature {what}: expected 403, got a socket")


def check_conversation(stage: Stage) -> None:
    """websocket-client converses: setup, prompt, tokens as text frames, the last one marked, a second turn"""
    with RelayCall(stage, "/twiml/albert-einstein") as call:
        call.say("Hello")
        tokens = call.tokens()
        assert len(tokens) > 3, f"an answer comes as it is generated, got {tokens}"
        first = "".join(tokens)
        assert "stand-in" in first and "  " not in first, f"expected sentences of the stand-in, got {first!r}"
        assert call.ask("What is light?").strip(), "expected a second answer, got silence"


def check_keypad(stage: Stage) -> None:
    """A pressed key is answered with the use case's sentence"""
    with RelayCall(stage, "/twiml/restaurant-ordering") as call:
        heard = call.press("3")
        expect("key 3", "You find us at 48 Kiln Street, next to the old fire station.", heard.strip())


def check_odd_frames(stage: Stage) -> None:
    """Unknown frames, unknown fields and broken JSON do not end a call"""
    with RelayCall(stage) as call:
        for frame in ('{"type":"novelty"}', "no json", "[]", '{"type":"info","name":"new","value":1}'):
            call.send_text(frame)
        assert call.ask("Hello").strip(), "expected an answer, got silence"


def check_end(stage: Stage) -> None:
    """After the caller hung up the action URL answers with TwiML that does nothing"""
    with RelayCall(stage) as call:
        call.ask("Hello")
    params = call.webhook | {"CallStatus": "completed", "SessionStatus": "completed", "SessionDuration": "3"}
    answer = stage.call_webhook(call.action.removeprefix(stage.url), params)
    expect("status", 200, answer.status_code)
    assert "<Connect" not in answer.text, f"expected no new connection, got {answer.text}"
