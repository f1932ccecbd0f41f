"""Webhooks signed by Twilio's own library are let in; anything changed after signing is not."""

from urllib.parse import urlencode

import requests
from twilio.request_validator import RequestValidator

from stage import REQUEST_LIMIT_S, Stage, expect, expect_refusal, new_call


class Form(dict):
    """A form in which a name may have several values, with the method that Twilio's library looks for."""

    def getlist(self, name: str) -> list[str]:
        value = self[name]
        return value if isinstance(value, list) else [value]


FORMS = {
    "a plain form": {},
    "Unicode": {"FromCity": "MÜNCHEN", "CallerName": "Zoë 李 🍕", "ToCity": "São Paulo"},
    "empty values": {"ToCity": "", "ForwardedFrom": "", "CallerName": ""},
    "characters that forms escape": {"Body": 'It\'s 100% a+b & c=d; e~f*g\r\nh "i" <j>/k?'},
    "a repeated name": {"MessagingBinding": ["b", "a", "b"], "Digits": ["5678", "1234", "1234"]},
    "names that sort by bytes": {"a": "1", "B": "2", "Z": "3", "_": "4", "aB": "5", "ab": "6"},
}


def check_posts(stage: Stage) -> None:
    """A POST that twilio.RequestValidator signed is answered; with one parameter changed, 403"""
    url = f"{stage.url}/twiml"
    for what, extra in FORMS.items():
        form = Form(new_call(), **extra)
        signed = stage.sign(url, form)
        expect_answer(what, requests.post(url, data=form, headers=signed, timeout=REQUEST_LIMIT_S))
        for name in form:
            changed = Form(form, **{name: "changed"})
            refused = requests.post(url, data=changed, headers=signed, timeout=REQUEST_LIMIT_S)
            expect_refusal(f"{what}, {name} changed", refused.status_code)


def check_gets(stage: Stage) -> None:
    """A GET that twilio.RequestValidator signed is answered; with its query changed, 403"""
    for what, extra in FORMS.items():
        url = f"{stage.url}/twiml?{urlencode(Form(new_call(), **extra), doseq=True)}"
        signed = stage.sign(url)
        expect_answer(what, requests.get(url, headers=signed, timeout=REQUEST_LIMIT_S))
        for changed in (url.replace("From=", "From=1"), f"{url}&more=1", url.rpartition("&")[0]):
            refused = requests.get(changed, headers=signed, timeout=REQUEST_LIMIT_S)
            expect_refusal(f"{what} as {changed}", refused.status_code)


def check_post_with_query(stage: Stage) -> None:
    """A POST whose URL has a query is signed over both"""
    url, form = f"{stage.url}/twiml?tenant=acme&empty=", new_call()
    signed = stage.sign(url, form)
    expect_answer("signed", requests.post(url, data=form, headers=signed, timeout=REQUEST_LIMIT_S))
    other = url.replace("acme", "other")
    refused = requests.post(other, data=form, headers=signed, timeout=REQUEST_LIMIT_S)
    expect_refusal("another query", refused.status_code)


def check_port(stage: Stage) -> None:
    """The URL counts with its port and without, as in twilio.RequestValidator.validate"""
    url, form = f"{stage.url}/twiml", new_call()
    signed = stage.sign(f"{stage.url.rpartition(':')[0]}/twiml", form)
    assert stage.twilio.validate(url, form, signed["X-Twilio-Signature"]), "Twilio's library accepts it"
    expect_answer("without port", requests.post(url, data=form, headers=signed, timeout=REQUEST_LIMIT_S))


def check_strangers(stage: Stage) -> None:
    """Without a signature, with another token's or with another URL's: 403 on every webhook"""
    form = new_call()
    for path in ("/twiml", "/twiml/albert-einstein", "/incoming-call", f"/twiml/ended/{form['CallSid']}"):
        url = stage.url + path
        strangers = {
            "no signature": {},
            "an empty signature": {"X-Twilio-Signature": ""},
            "no base64": {"X-Twilio-Signature": "!"},
            "another token": {"X-Twilio-Signature": RequestValidator("other").compute_signature(url, form)},
            "another URL": stage.sign(f"{url}/", form),
            "the parameters not signed": stage.sign(url),
        }
        for what, headers in strangers.items():
            refused = requests.post(url, data=form, headers=headers, timeout=REQUEST_LIMIT_S)
            expect_refusal(f"{what} at {path}", refused.status_code)


def expect_answer(what: str, answer: requests.Response) -> None:
    expect(f"{what}: status", 200, answer.status_code)
    assert "<ConversationRelay " in answer.text, f"{what}: expected a conversation, got {answer.text}"
