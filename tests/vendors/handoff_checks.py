"""What callers are handed over with is what Twilio's own library builds from the same values."""

import json
import uuid
import xml.etree.ElementTree as ET

from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

from stage import Stage, expect, new_call
from twiml_checks import tree

COLLEAGUE_WAITS = (
    "I am putting you through. You will hear some music while I tell my colleague what it is about."
)


def check_number(stage: Stage) -> None:
    """A transfer to a number is the <Dial> of twilio's library, with our number as caller id"""
    call, ours = handed_over(stage, "emergency")
    response = VoiceResponse()
    response.say("I am connecting you with our emergency line.", language="en-US")
    dial = Dial(
        answer_on_bridge=True, caller_id=call["To"], timeout=40, method="POST", action=action(stage, call)
    )
    dial.number("+14155550141")
    response.append(dial)
    same(response, ours)


def check_conference(stage: Stage) -> None:
    """A warm transfer is the <Conference> of twilio's library, and the colleague is asked by its <Gather>"""
    call, ours = handed_over(stage, "default")
    sid = call["CallSid"]
    response = VoiceResponse()
    response.say(COLLEAGUE_WAITS, language="en-US")
    dial = Dial(method="POST", action=action(stage, call))
    dial.conference(
        f"handoff-{sid}",
        start_conference_on_enter=True,
        end_conference_on_exit=True,
        beep="false",
        wait_url=f"{stage.url}/twiml/hold/{sid}",
        wait_method="POST",
    )
    response.append(dial)
    same(response, ours)

    asked = stage.call_webhook(f"/twiml/whisper/{sid}", new_call(Direction="outbound-api")).text
    response = VoiceResponse()
    gather = Gather(
        action=f"{stage.url}/twiml/whisper/{sid}/accept",
        method="POST",
        num_digits=1,
        timeout=10,
        finish_on_key="",
    )
    for spoken in ET.fromstring(asked).iter("Say"):
        gather.say(spoken.text, **spoken.attrib)
    response.append(gather)
    response.hangup()
    same(response, asked)
    assert "about the bill" in asked, f"the colleague is told what it is about, got {asked}"


def check_unlisted(stage: Stage) -> None:
    """A transfer to a target that the use case does not list connects the caller with the agent again"""
    _, ours = handed_over(stage, "the-director")
    expect("elements", ["Connect"], [element.tag for element in ET.fromstring(ours)])


def handed_over(stage: Stage, target: str) -> tuple[dict[str, str], str]:
    """A call whose agent has handed it over, and the TwiML that Twilio gets."""
    call = new_call(CallStatus="in-progress")
    stage.call_webhook("/twiml/energy-company", call)
    data = {
        "reasonCode": "live-agent-handoff",
        "reason": "bill",
        "target": target,
        "useCase": "energy-company",
    }
    data["conversationSummary"] = "It is about the bill."
    ended = call | {"SessionId": f"VX{uuid.uuid4().hex}", "SessionStatus": "ended", "SessionDuration": "9"}
    ended["HandoffData"] = json.dumps(data)
    return call, stage.call_webhook(f"/twiml/ended/{call['CallSid']}", ended).text


def action(stage: Stage, call: dict[str, str]) -> str:
    return f"{stage.url}/twiml/handoff/{call['CallSid']}"


def same(response: VoiceResponse, ours: str) -> None:
    expect("TwiML", tree(ET.fromstring(response.to_xml())), tree(ET.fromstring(ours)))
