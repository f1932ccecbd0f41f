"""Our TwiML is what Twilio's own library builds from the same values."""

import inspect
import xml.etree.ElementTree as ET
from decimal import Decimal

from twilio.twiml import lower_camel
from twilio.twiml.voice_response import Connect, ConversationRelay, VoiceResponse

from stage import Stage, expect, new_call

USE_CASE = "vendor-check"
# Attributes whose values the service checks, or which it completes; any other gets its own name as value.
VALUES = {
    "debug": "debugging",
    "deepgramSmartFormat": True,
    "dtmfDetection": True,
    "elevenlabsTextNormalization": "off",
    "events": "speaker-events tokens-played",
    "hints": 'Tom & "Ann", <brackets>, it\'s, Müller, 李',
    "ignoreBackchannel": False,
    "interruptSensitivity": "low",
    "interruptible": "any",
    "language": "en-US",
    "partialPrompts": True,
    "preemptible": False,
    "profanityFilter": True,
    "reportInputDuringAgentSpeech": "none",
    "speechModel": "nova-3-general",
    "speechTimeout": 900,
    "transcriptionLanguage": "en-US",
    "transcriptionProvider": "Deepgram",
    "ttsLanguage": "en-US",
    "ttsProvider": "Google",
    "voice": "en-US-Chirp3-HD-Aoede",
    "welcomeGreeting": 'Grüß Gott & hello,\n"caller" <it\'s 2 > 1>',
    "welcomeGreetingInterruptible": "speech",
}
LANGUAGES = [
    {"code": "es-US", "ttsProvider": "Google", "voice": "es-US-Chirp3-HD-Aoede"},
    {"code": "de-DE", "transcriptionProvider": "Deepgram", "speechModel": "nova-3-general"},
]


def check_relay(stage: Stage) -> None:
    """Every attribute that twilio's Connect().conversation_relay() knows comes out as it writes it"""
    attributes = {name: VALUES.get(name, name) for name in names(Connect.conversation_relay) - {"url"}}
    stage.table().put_item(
        Item={
            "pk": USE_CASE,
            "sk": "configuration",
            "prompt": "Be brief.",
            "conversationRelayParams": {name: stored(value) for name, value in attributes.items()},
            "languages": LANGUAGES,
        }
    )
    call = new_call()
    ours = stage.call_webhook(f"/twiml/{USE_CASE}", call).text
    base, call_sid = stage.url, call["CallSid"]
    response = VoiceResponse()
    connect = response.append(Connect(action=f"{base}/twiml/ended/{call_sid}")).verbs[0]
    url = f"{base.replace('http', 'ws', 1)}/relay/{call_sid}"
    relay = connect.conversation_relay(url=url, **attributes)
    for language in LANGUAGES:
        relay.language(**language)
    relay.parameter(name="callSid", value=call_sid)
    relay.parameter(name="epoch", value="0")
    relay.parameter(name="useCase", value=USE_CASE)
    expect("TwiML", tree(ET.fromstring(response.to_xml())), tree(ET.fromstring(ours)))


def check_languages(stage: Stage) -> None:
    """The samples' TwiML uses only elements and attributes that Twilio's library knows"""
    known = {
        "Response": set(),
        "Connect": {"action"},
        "ConversationRelay": names(Connect.conversation_relay),
        "Language": names(ConversationRelay.language),
        "Parameter": names(ConversationRelay.parameter),
    }
    samples = ("albert-einstein", "car-rental", "energy-company", "message-taking", "restaurant-ordering")
    for use_case in samples:
        answer = stage.call_webhook(f"/twiml/{use_case}", new_call())
        expect("content type", "text/xml; charset=utf-8", answer.headers["Content-Type"])
        for element in ET.fromstring(answer.content).iter():
            unknown = set(element.attrib) - known[element.tag]
            expect(f"attributes of {element.tag} that Twilio's library does not know", set(), unknown)


def check_apology(stage: Stage) -> None:
    """A use case that does not exist is apologised for as VoiceResponse().say() and .hangup() would"""
    ours = ET.fromstring(stage.call_webhook("/twiml/no-such-use-case", new_call()).content)
    response = VoiceResponse()
    response.say(ours.findtext("Say"))
    response.hangup()
    expect("TwiML", tree(ET.fromstring(response.to_xml())), tree(ours))
    assert len(ours.findtext("Say") or "") > 20, f"a sentence is spoken, got {ET.tostring(ours)}"


def names(builder: object) -> set[str]:
    """The attributes that a method of the library takes, as it writes them."""
    parameters = inspect.signature(builder).parameters.values()
    named = (parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD)
    return {lower_camel(name) for name in named if name != "self"}


def stored(value: object) -> object:
    """As boto3 wants it: numbers are decimals, and `True` is no number."""
    return Decimal(value) if type(value) is int else value


def tree(element: ET.Element) -> tuple:
    """The element without what XML does not mean: order of attributes, escapes, declaration."""
    return element.tag, element.attrib, (element.text or "").strip(), [tree(child) for child in element]
