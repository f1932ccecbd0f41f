//! The record's `handoff`: where people are, by the names that the model chooses among, and who of them takes callers whom
//! the agent cannot serve.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use voice_core::use_case::{
    DEFAULT_TARGET, DEFAULT_TIMEOUT, Destination, Dial, HandoffTarget, HandoffTargets, IfUnanswered, Party,
    Rescue,
};
use voice_protocols::webhook::is_e164;

use super::problem::Report;
use super::section::{Section, kind};
use super::web_address;

const PLACES: [&str; 5] = ["phone", "sip", "queue", "workflow", "url"];
/// They mean something only when somebody is dialled.
const OF_A_DIAL: [&str; 4] = ["warm", "music", "callerId", "timeoutSeconds"];
const OF_ANY: [&str; 2] = ["announcement", "ifUnanswered"];
/// Beside one target or several: names of targets.
const OF_RESCUES: [&str; 2] = ["whenModelFails", "whenBusy"];
const LONGEST_NAME: usize = 64;

/// Reads `handoff`: a number or SIP address alone, one target, or `targets` by name; and the rescues among them.
pub(super) fn read(record: &Section<'_>, report: &mut Report) -> (HandoffTargets, Rescue) {
    let Some(value) = record.value("handoff") else {
        return Default::default();
    };
    let targets = read_targets(record, value, report);
    let rescue = if value.is_object() { read_rescue(record, &targets, report) } else { Rescue::default() };
    (targets, rescue)
}

fn read_rescue(record: &Section<'_>, targets: &HandoffTargets, report: &mut Report) -> Rescue {
    let Some(section) = record.section("handoff", report) else {
        return Rescue::default();
    };
    let [model_fails, busy] = OF_RESCUES.map(|field| {
        let name = section.filled_text(field, report)?;
        if targets.contains_key(name) {
            return Some(name.to_owned());
        }
        let names: Vec<&str> = targets.keys().map(String::as_str).collect();
        let problem = format!("must be the name of a target: {}, not {name:?}", names.join(", "));
        report.error(section.path_of(field), problem);
        None
    });
    Rescue { model_fails, busy }
}

fn read_targets(record: &Section<'_>, value: &Value, report: &mut Report) -> HandoffTargets {
    let targets = value.get("targets").filter(|targets| !targets.is_null());
    if targets.is_none() {
        let target = read_target(value, record.path_of("handoff"), &OF_RESCUES, report);
        return target.map(|target| (DEFAULT_TARGET.to_owned(), target)).into_iter().collect();
    }
    let Some(section) = record.section("handoff", report) else {
        return BTreeMap::new();
    };
    section.warn_of_unknown(&[["targets"].as_slice(), &OF_RESCUES].concat(), report);
    let Some(named) = section.section("targets", report) else {
        return BTreeMap::new();
    };
    let mut targets = BTreeMap::new();
    for (name, value) in named.fields() {
        let path = named.path_of(name);
        if name.trim().is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            report.error(path, format!("must have a name of 1 to {LONGEST_NAME} bytes"));
        } else if let Some(target) = read_target(value, path, &[], report) {
            targets.insert(name.to_owned(), target);
        }
    }
    targets
}

/// Reads one target, beside which `others` may stand.
fn read_target(value: &Value, path: String, others: &[&str], report: &mut Report) -> Option<HandoffTarget> {
    if let Value::String(text) = value {
        let Some(party) = party(text) else {
            report.error(path, "must be a number in E.164 form, such as +14155550100, or a SIP address");
            return None;
        };
        let dial = Dial { to: party, caller_id: None, timeout: DEFAULT_TIMEOUT };
        let to = Destination::Dial(dial);
        return Some(HandoffTarget { to, announcement: None, if_unanswered: IfUnanswered::default() });
    }
    if !value.is_object() {
        report.error(path, format!("must be a number, a SIP address or a map, not {}", kind(value)));
        return None;
    }
    let target = Section::of(value, path, report)?;
    target.warn_of_unknown(&[PLACES.as_slice(), &OF_A_DIAL, &OF_ANY, others].concat(), report);
    let announcement = target.filled_text("announcement", report).map(str::to_owned);
    let if_unanswered = read_if_unanswered(&target, report);
    let to = read_destination(&target, report)?;
    Some(HandoffTarget { to, announcement, if_unanswered })
}

fn read_if_unanswered(target: &Section<'_>, report: &mut Report) -> IfUnanswered {
    match target.filled_text("ifUnanswered", report) {
        None | Some("return") => IfUnanswered::ReturnToAgent,
        Some("hangUp") => IfUnanswered::HangUp,
        Some(_) => {
            report.error(target.path_of("ifUnanswered"), "must be return or hangUp");
            IfUnanswered::default()
        }
    }
}

fn read_destination(target: &Section<'_>, report: &mut Report) -> Option<Destination> {
    let mut named = PLACES.into_iter().filter(|place| target.value(place).is_some());
    let (Some(place), None) = (named.next(), named.next()) else {
        report.error(target.path(), format!("must have exactly one of {}", PLACES.join(", ")));
        return None;
    };
    let text = target.demanded_text(place, report).map(str::trim);
    if matches!(place, "phone" | "sip") {
        let party = text.and_then(|text| read_party(target, place, text, report));
        return read_dial(target, party, report);
    }
    for setting in OF_A_DIAL.into_iter().filter(|setting| target.value(setting).is_some()) {
        report.error(target.path_of(setting), "works only with phone or sip");
    }
    let text = text?;
    match place {
        "queue" => Some(Destination::Queue { name: text.to_owned() }),
        "workflow" => {
            if !is_workflow(text) {
                report.error(
                    target.path_of(place),
                    "must be the SID of a workflow: WW and 32 hexadecimal digits",
                );
                return None;
            }
            Some(Destination::Workflow { sid: text.to_owned() })
        }
        _ => web_address::check_https(text, &target.path_of(place), report)
            .then(|| Destination::Redirect { url: text.to_owned() }),
    }
}

fn read_party(target: &Section<'_>, place: &str, text: &str, report: &mut Report) -> Option<Party> {
    let (party, wanted) = if place == "phone" {
        let number = is_e164(text).then(|| Party::Number(text.to_owned()));
        (number, "must be a number in E.164 form, such as +14155550100")
    } else {
        (sip(text), "must be a SIP address: user@host, with or without sip: before it")
    };
    if party.is_none() {
        report.error(target.path_of(place), wanted);
    }
    party
}

/// All settings are read although the party may be wrong, so that all mistakes are told.
fn read_dial(target: &Section<'_>, party: Option<Party>, report: &mut Report) -> Option<Destination> {
    let caller_id = target.filled_text("callerId", report).map(str::to_owned);
    if caller_id.as_deref().is_some_and(|number| !is_e164(number)) {
        report.error(target.path_of("callerId"), "must be a number in E.164 form, such as +14155550100");
    }
    let timeout = target.whole_number("timeoutSeconds", 5, 120, report);
    let timeout = timeout.map_or(DEFAULT_TIMEOUT, |seconds| Duration::from_secs(seconds.into()));
    let warm = target.boolean("warm", report).unwrap_or(false);
    let music = target.filled_text("music", report).map(str::to_owned);
    if let Some(url) = &music {
        let path = target.path_of("music");
        web_address::check_https(url, &path, report);
        if !warm {
            report.warn(path, "is played only while a call is handed over with warm");
        }
    }
    let dial = Dial { to: party?, caller_id, timeout };
    Some(if warm { Destination::WarmTransfer { dial, music } } else { Destination::Dial(dial) })
}

fn party(text: &str) -> Option<Party> {
    let text = text.trim();
    if is_e164(text) { Some(Party::Number(text.to_owned())) } else { sip(text) }
}

/// With its scheme.
fn sip(text: &str) -> Option<Party> {
    let has_scheme = ["sip:", "sips:"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let (user, host) = has_scheme.unwrap_or(text).split_once('@')?;
    let is_plain = |character: char| character.is_ascii_graphic() && !"<>\"\\^`{|}".contains(character);
    let fits = !user.is_empty() && !host.is_empty() && !host.contains('@') && text.chars().all(is_plain);
    fits.then(|| Party::Sip(if has_scheme.is_some() { text.to_owned() } else { format!("sip:{text}") }))
}

fn is_workflow(text: &str) -> bool {
    text.strip_prefix("WW")
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_one(handoff: &Value) -> HandoffTarget {
        let record = json!({ "handoff": handoff });
        let mut report = Report::default();
        let (mut targets, _) = read(&Section::root(record.as_object().unwrap()), &mut report);
        assert!(report.errors.is_empty() && report.warnings.is_empty(), "{report:?}");
        assert_eq!(targets.len(), 1);
        targets.remove(DEFAULT_TARGET).unwrap()
    }

    fn dial(to: Party) -> Dial {
        Dial { to, caller_id: None, timeout: DEFAULT_TIMEOUT }
    }

    #[test]
    fn a_text_is_whom_to_dial() {
        let sip = Party::Sip("sip:help@example.com".to_owned());
        for text in ["sip:help@example.com", "help@example.com"] {
            assert_eq!(read_one(&json!(text)).to, Destination::Dial(dial(sip.clone())));
            assert_eq!(read_one(&json!({ "sip": text })).to, Destination::Dial(dial(sip.clone())));
        }
        let number = Party::Number("+14155550100".to_owned());
        assert_eq!(read_one(&json!("+14155550100")).to, Destination::Dial(dial(number)));
    }

    #[test]
    fn every_setting_of_a_target_is_read() {
        let warm = read_one(&json!({
            "phone": "+14155550100", "warm": true, "music": "https://example.com/hold.mp3",
            "callerId": "+18005550199", "timeoutSeconds": 40, "announcement": "One moment.", "ifUnanswered": "hangUp",
        }));
        let expected = HandoffTarget {
            to: Destination::WarmTransfer {
                dial: Dial {
                    to: Party::Number("+14155550100".to_owned()),
                    caller_id: Some("+18005550199".to_owned()),
                    timeout: Duration::from_secs(40),
                },
                music: Some("https://example.com/hold.mp3".to_owned()),
            },
            announcement: Some("One moment.".to_owned()),
            if_unanswered: IfUnanswered::HangUp,
        };
        assert_eq!(warm, expected);
        let queue = read_one(&json!({"queue": "support"})).to;
        assert_eq!(queue, Destination::Queue { name: "support".to_owned() });
        let sid = "WW0123456789abcdef0123456789abcdef";
        let workflow = read_one(&json!({ "workflow": sid })).to;
        assert_eq!(workflow, Destination::Workflow { sid: sid.to_owned() });
        let url = "https://webhooks.example.com/flow";
        assert_eq!(read_one(&json!({ "url": url })).to, Destination::Redirect { url: url.to_owned() });
    }

    #[test]
    fn targets_have_names() {
        let record = json!({"handoff": {"targets": {
            "default": "+14155550100", "billing": {"sip": "billing@example.com"},
        }}});
        let (targets, rescue) = read(&Section::root(record.as_object().unwrap()), &mut Report::default());
        assert_eq!(targets.keys().collect::<Vec<_>>(), ["billing", "default"]);
        assert_eq!(rescue, Rescue::default());
    }

    #[test]
    fn a_rescue_is_one_of_the_targets() {
        let read = |handoff: Value| {
            let (record, mut report) = (json!({ "handoff": handoff }), Report::default());
            let (_, rescue) = read(&Section::root(record.as_object().unwrap()), &mut report);
            let problems = report.errors.iter().chain(&report.warnings).map(ToString::to_string);
            (rescue, problems.collect::<Vec<_>>())
        };
        let named = |model_fails: Option<&str>, busy: Option<&str>| Rescue {
            model_fails: model_fails.map(str::to_owned),
            busy: busy.map(str::to_owned),
        };
        let one = json!({ "phone": "+14155550100", "whenModelFails": "default" });
        assert_eq!(read(one), (named(Some("default"), None), vec![]));
        let several = json!({
            "whenModelFails": "desk", "whenBusy": "queue",
            "targets": { "desk": "+14155550100", "queue": { "queue": "support" } },
        });
        assert_eq!(read(several), (named(Some("desk"), Some("queue")), vec![]));
        let unknown = json!({ "phone": "+14155550100", "whenBusy": "desk" });
        let (rescue, problems) = read(unknown);
        assert_eq!(rescue, Rescue::default());
        assert!(problems[0].contains("handoff.whenBusy") && problems[0].contains("default"), "{problems:?}");
    }
}
