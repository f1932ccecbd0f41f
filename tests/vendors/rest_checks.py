"""The stand-in of Twilio's REST API is one to Twilio's own client, which sees our calls begin and end."""

import requests
from twilio.base.exceptions import TwilioRestException

from stage import REQUEST_LIMIT_S, Stage, expect, poll

PERSON = "+14155550177"
AGENT = "+18005550199"


def check_message(stage: Stage) -> None:
    """twilio's client sends a message, and reads why another was refused"""
    messages = stage.twilio_client().messages
    sent = messages.create(to=PERSON, from_=AGENT, body="See you on Monday.")
    expect("the kind of sid", "SM", sent.sid[:2])
    expect("what was sent", (PERSON, AGENT, "See you on Monday."), (sent.to, sent.from_, sent.body))
    expect("the status", True, sent.status in ("queued", "accepted", "sent"))
    refused("a number that is none", 400, 21211, lambda: messages.create(to="+1", from_=AGENT, body="x"))
    refused("no words", 400, 21602, lambda: messages.create(to=PERSON, from_=AGENT, body=""))


def check_credentials(stage: Stage) -> None:
    """twilio's client is refused without the account's token"""
    client = stage.twilio_client(auth_token="another")
    refused("a wrong token", 401, 20003, lambda: client.messages.create(to=PERSON, from_=AGENT, body="x"))


def check_verification(stage: Stage) -> None:
    """twilio's client starts a verification, and a wrong code is wrong"""
    service = stage.twilio_client().verify.v2.services(stage.verify_service_sid)
    sent = service.verifications.create(to=PERSON, channel="sms")
    expect("the verification", ("VE", "pending"), (sent.sid[:2], sent.status))
    wrong = service.verification_checks.create(to=PERSON, code="000000")
    expect("a wrong code", ("pending", False), (wrong.status, wrong.valid))
    nothing = service.verification_checks
    refused("nothing pending", 404, 20404, lambda: nothing.create(to="+14155550178", code="000000"))


def check_call(stage: Stage) -> None:
    """twilio's client places a call to the service, sees it in progress, and ends it"""
    client = stage.twilio_client()
    call = client.calls.create(to=PERSON, from_=AGENT, url=f"{stage.url}/twiml/albert-einstein")
    expect("a placed call", ("CA", "outbound-api"), (call.sid[:2], call.direction))
    expect("it is answered", True, poll(lambda: status(client, call.sid) == "in-progress", 10))
    client.calls(call.sid).update(status="completed")
    expect("it is over", True, poll(lambda: status(client, call.sid) == "completed", 10))
    refused(
        "a call that is over", 400, 21220, lambda: client.calls(call.sid).update(url=f"{stage.url}/twiml")
    )
    refused("a call that never was", 404, 20404, lambda: client.calls("CA" + "0" * 32).fetch())


def check_operator_api(stage: Stage) -> None:
    """A call that the operator API places is one that twilio's client can follow and end"""
    answer = requests.post(
        f"{stage.url}/api/calls",
        headers={"Authorization": f"Bearer {stage.api_token}"},
        json={"to": PERSON, "useCase": "albert-einstein"},
        timeout=REQUEST_LIMIT_S,
    )
    expect("the answer", 201, answer.status_code)
    launch, client = answer.json(), stage.twilio_client()
    expect("it is answered", True, poll(lambda: status(client, launch["callSid"]) == "in-progress", 10))
    client.calls(launch["callSid"]).update(status="completed")
    known = f"{stage.url}/api/calls/{launch['id']}"

    def is_completed() -> bool:
        headers = {"Authorization": f"Bearer {stage.api_token}"}
        return requests.get(known, headers=headers, timeout=REQUEST_LIMIT_S).json()["status"] == "completed"

    expect("the service knows that it is over", True, poll(is_completed, 10))


def status(client, sid: str) -> str:  # noqa: ANN001 - the client's own type says nothing here
    return client.calls(sid).fetch().status


def refused(what: str, status: int, code: int, request) -> None:  # noqa: ANN001 - any request at all
    """Fails unless the client raises Twilio's error with this status and code."""
    try:
        request()
    except TwilioRestException as error:
        expect(what, (status, code), (error.status, error.code))
    else:
        raise AssertionError(f"{what}: it was accepted")
