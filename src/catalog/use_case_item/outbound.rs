//! The record's `outbound`: when the service may place calls, and what it does when a machine answers.

use jiff::tz::TimeZone;
use serde_json::Value;
use voice_core::use_case::{CallingHours, OnMachine, OutboundRules};

use super::problem::Report;
use super::section::{Section, item_path, kind};

/// Monday is 0.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const END_OF_DAY: u16 = 24 * 60;

/// Reads `outbound`.
pub(super) fn read(record: &Section<'_>, report: &mut Report) -> OutboundRules {
    let Some(section) = record.section("outbound", report) else {
        return OutboundRules::default();
    };
    section.warn_of_unknown(&["callingHours", "machine"], report);
    let machine = section.value("machine").and_then(|value| read_machine(&section, value, report));
    let hours = section.section("callingHours", report).and_then(|hours| read_hours(&hours, report));
    OutboundRules { hours, machine: machine.unwrap_or_default() }
}

fn read_machine(section: &Section<'_>, value: &Value, report: &mut Report) -> Option<OnMachine> {
    let path = section.path_of("machine");
    match value {
        Value::String(text) if text == "ignore" => Some(OnMachine::Ignore),
        Value::String(text) if text == "hangUp" => Some(OnMachine::HangUp),
        Value::Object(_) => {
            let map = Section::of(value, path, report)?;
            map.warn_of_unknown(&["say"], report);
            map.demanded_text("say", report).map(|text| OnMachine::Say(text.to_owned()))
        }
        _ => {
            report.error(path, "must be ignore, hangUp or a map with what to say");
            None
        }
    }
}

fn read_hours(section: &Section<'_>, report: &mut Report) -> Option<CallingHours> {
    section.warn_of_unknown(&["from", "until", "days", "timeZone"], report);
    let from = read_time(section, "from", report);
    let until = read_time(section, "until", report);
    let days = read_days(section, report);
    let time_zone = section.filled_text("timeZone", report).map(str::to_owned);
    if time_zone.as_deref().is_some_and(|name| TimeZone::get(name).is_err()) {
        let reason = "is no time zone; names are those of the IANA database, such as Europe/Berlin";
        report.error(section.path_of("timeZone"), reason);
    }
    let (from_minute, until_minute) = (from?, until?);
    if from_minute >= until_minute {
        report.error(section.path_of("until"), "must be later than from");
        return None;
    }
    Some(CallingHours { from_minute, until_minute, days, time_zone })
}

/// Minutes since midnight of `09:00`.
fn read_time(section: &Section<'_>, name: &str, report: &mut Report) -> Option<u16> {
    let text = section.demanded_text(name, report)?;
    let minutes = minutes(text);
    if minutes.is_none() {
        report.error(section.path_of(name), "must be a time of day from 00:00 to 24:00, such as 09:30");
    }
    minutes
}

fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= END_OF_DAY).then_some(minutes)
}

/// All days when none are named.
fn read_days(section: &Section<'_>, report: &mut Report) -> Vec<u8> {
    let all = (0..7).collect();
    let Some(list) = section.list("days", report) else {
        return all;
    };
    let path = section.path_of("days");
    if list.is_empty() {
        report.error(path, "is empty; leave it out for all days");
        return all;
    }
    let mut days = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let day = (0..7).zip(DAYS).find(|(_, name)| value.as_str() == Some(name));
        match day {
            Some((day, _)) if days.contains(&day) => {
                report.error(item_path(&path, index), "stands there twice");
            }
            Some((day, _)) => days.push(day),
            None if value.is_string() => {
                report.error(item_path(&path, index), format!("must be one of {}", DAYS.join(", ")));
            }
            None => report.error(item_path(&path, index), format!("must be text, not {}", kind(value))),
        }
    }
    days.sort_unstable();
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_written_with_two_digits_each() {
        assert_eq!(minutes("00:00"), Some(0));
        assert_eq!(minutes("09:30"), Some(570));
        assert_eq!(minutes("24:00"), Some(END_OF_DAY));
        for text in ["", "9:30", "09:60", "24:01", "25:00", "-1:00", "+9:00", "09:30:00", "09.30", "٠٩:٣٠"]
        {
            assert_eq!(minutes(text), None, "{text}");
        }
    }
}
