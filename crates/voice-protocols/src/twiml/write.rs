//! Verbs as XML elements. Attributes that repeat Twilio's defaults are left out, except the method of requests to us.

use super::xml::{self, XmlWriter};
use super::{Conference, ConversationRelay, Dial, DialTarget, Enqueue, Gather, QueuePlace, Say, Verb};

pub(super) fn verb(xml: &mut XmlWriter, verb: &Verb) {
    match verb {
        Verb::Connect { action, relay } => connect(xml, action, relay),
        Verb::Say(words) => say(xml, words),
        Verb::Play(url) => text_element(xml, "Play", url),
        Verb::Pause { seconds } => {
            xml.open("Pause");
            xml.attribute("length", &seconds.to_string());
            xml.close();
        }
        Verb::Gather(wanted) => gather(xml, wanted),
        Verb::Dial(call) => dial(xml, call),
        Verb::Enqueue(place) => enqueue(xml, place),
        Verb::Redirect(url) => {
            xml.open("Redirect");
            xml.attribute("method", "POST");
            xml.text(url);
            xml.close();
        }
        Verb::Hangup => {
            xml.open("Hangup");
            xml.close();
        }
    }
}

fn say(xml: &mut XmlWriter, say: &Say) {
    xml.open("Say");
    optional(xml, "language", say.language.as_deref());
    xml.text(&say.text);
    xml.close();
}

fn gather(xml: &mut XmlWriter, gather: &Gather) {
    xml.open("Gather");
    request(xml, &gather.action);
    if let Some(keys) = gather.keys {
        xml.attribute("numDigits", &keys.to_string());
        // Else `#` would end it without a key having been pressed.
        xml.attribute("finishOnKey", "");
    }
    optional(xml, "timeout", gather.timeout_seconds);
    gather.prompts.iter().for_each(|prompt| say(xml, prompt));
    xml.close();
}

fn dial(xml: &mut XmlWriter, dial: &Dial) {
    xml.open("Dial");
    if let Some(action) = &dial.action {
        request(xml, action);
    }
    optional(xml, "timeout", dial.timeout_seconds);
    optional(xml, "callerId", dial.caller_id.as_deref());
    if dial.answer_on_bridge {
        xml.attribute("answerOnBridge", "true");
    }
    match &dial.target {
        DialTarget::Sip(uri) => text_element(xml, "Sip", uri),
        DialTarget::Number(number) => text_element(xml, "Number", number),
        DialTarget::Conference(room) => conference(xml, room),
    }
    xml.close();
}

fn conference(xml: &mut XmlWriter, conference: &Conference) {
    let truth = |value: bool| if value { "true" } else { "false" };
    xml.open("Conference");
    xml.attribute("startConferenceOnEnter", truth(conference.start_on_enter));
    xml.attribute("endConferenceOnExit", truth(conference.end_on_exit));
    xml.attribute("beep", "false");
    if let Some(url) = &conference.wait_url {
        xml.attribute("waitUrl", url);
        xml.attribute("waitMethod", "POST");
    }
    xml.text(&conference.name);
    xml.close();
}

fn enqueue(xml: &mut XmlWriter, enqueue: &Enqueue) {
    xml.open("Enqueue");
    if let Some(action) = &enqueue.action {
        request(xml, action);
    }
    match &enqueue.place {
        QueuePlace::Named(name) => xml.text(name),
        QueuePlace::Workflow { sid, task } => {
            xml.attribute("workflowSid", sid);
            text_element(xml, "Task", &task.to_string());
        }
    }
    xml.close();
}

fn connect(xml: &mut XmlWriter, action: &str, session: &ConversationRelay) {
    xml.open("Connect");
    if !action.is_empty() {
        xml.attribute("action", action);
    }
    relay(xml, session);
    xml.close();
}

fn relay(xml: &mut XmlWriter, relay: &ConversationRelay) {
    xml.open("ConversationRelay");
    xml.attribute("url", &relay.url);
    attributes(xml, relay.attributes.iter().filter(|(name, _)| name.as_str() != "url"));
    for language in &relay.languages {
        xml.open("Language");
        attributes(xml, language.iter());
        xml.close();
    }
    for (name, value) in &relay.parameters {
        xml.open("Parameter");
        xml.attribute("name", name);
        xml.attribute("value", value);
        xml.close();
    }
    xml.close();
}

fn attributes<'a>(xml: &mut XmlWriter, attributes: impl Iterator<Item = (&'a String, &'a String)>) {
    for (name, value) in attributes.filter(|(name, _)| xml::is_attribute_name(name)) {
        xml.attribute(name, value);
    }
}

fn optional(xml: &mut XmlWriter, name: &'static str, value: Option<impl ToString>) {
    if let Some(value) = value {
        xml.attribute(name, &value.to_string());
    }
}

fn request(xml: &mut XmlWriter, action: &str) {
    xml.attribute("action", action);
    xml.attribute("method", "POST");
}

fn text_element(xml: &mut XmlWriter, name: &'static str, text: &str) {
    xml.open(name);
    xml.text(text);
    xml.close();
}
