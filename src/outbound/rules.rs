//! Whom the service may call, from which number, and when.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use voice_core::ports::{NotPlaced, OutboundRequest};
use voice_core::use_case::UseCase;
use voice_protocols::webhook::is_e164;

/// The sort key of an item whose `pk` is a number that must not be called.
pub(super) const DO_NOT_CALL: &str = "do-not-call";

/// Checks both numbers; returns the caller id.
pub(super) fn numbers(request: &OutboundRequest, allowed: &[String]) -> Result<String, NotPlaced> {
    if !is_e164(request.to.expose()) {
        return Err(NotPlaced::NotANumber("to"));
    }
    if request.from.as_deref().is_some_and(|from| !is_e164(from)) {
        return Err(NotPlaced::NotANumber("from"));
    }
    let first = allowed.first().ok_or(NotPlaced::NoCallerIds)?;
    match &request.from {
        None => Ok(first.clone()),
        Some(from) if allowed.contains(from) => Ok(from.clone()),
        Some(_) => Err(NotPlaced::CallerIdNotAllowed),
    }
}

/// Whether the use case may call anybody now.
pub(super) fn hours(use_case: &UseCase, now: Timestamp, service_zone: &TimeZone) -> Result<(), NotPlaced> {
    let Some(hours) = &use_case.outbound.hours else { return Ok(()) };
    let zone = match &hours.time_zone {
        None => service_zone.clone(),
        Some(name) => TimeZone::get(name).map_err(|_| NotPlaced::UseCase {
            name: use_case.name.clone(),
            problem: "the time zone of its calling hours is not known".to_owned(),
        })?,
    };
    let there = now.to_zoned(zone);
    let minute = i32::from(there.hour()) * 60 + i32::from(there.minute());
    let day = there.weekday().to_monday_zero_offset();
    let is_day = hours.days.iter().any(|known| i8::try_from(*known) == Ok(day));
    let is_time = (i32::from(hours.from_minute)..i32::from(hours.until_minute)).contains(&minute);
    if is_day && is_time { Ok(()) } else { Err(NotPlaced::OutsideHours) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use voice_core::private::Private;
    use voice_core::use_case::{CallingHours, OutboundRules};

    use super::*;

    const ALLOWED: [&str; 2] = ["+18005550199", "+18005550198"];

    fn code_of(to: &str, from: Option<&str>, allowed: &[&str]) -> Result<String, &'static str> {
        let request = OutboundRequest {
            to: Private::new(to.to_owned()),
            from: from.map(str::to_owned),
            use_case: "desk".to_owned(),
            variables: Private::new(BTreeMap::new()),
            idempotency_key: None,
            machine: None,
        };
        let allowed: Vec<_> = allowed.iter().map(|number| (*number).to_owned()).collect();
        numbers(&request, &allowed).map_err(|refused| refused.code())
    }

    #[test]
    fn only_allowed_caller_ids_call_real_numbers() {
        let to = "+14155550100";
        assert_eq!(code_of(to, None, &ALLOWED), Ok(ALLOWED[0].to_owned()));
        assert_eq!(code_of(to, Some(ALLOWED[1]), &ALLOWED), Ok(ALLOWED[1].to_owned()));
        assert_eq!(code_of(to, Some("+14155550111"), &ALLOWED), Err("caller_id_not_allowed"));
        assert_eq!(code_of(to, None, &[]), Err("no_caller_ids"));
        for other in ["4155550100", "sip:a@example.com", "client:a", "+0123", ""] {
            assert_eq!(code_of(other, None, &ALLOWED), Err("not_a_number"), "{other}");
            assert_eq!(code_of(to, Some(other), &ALLOWED), Err("not_a_number"), "{other}");
        }
    }

    #[test]
    fn hours_are_those_of_their_own_time_zone() {
        let use_case = |time_zone: Option<&str>, days: &[u8]| {
            let hours = CallingHours {
                from_minute: 9 * 60,
                until_minute: 20 * 60,
                days: days.to_vec(),
                time_zone: time_zone.map(str::to_owned),
            };
            let outbound = OutboundRules { hours: Some(hours), ..OutboundRules::default() };
            UseCase { outbound, ..UseCase::new("desk", "You call.") }
        };
        let open = |use_case: &UseCase, at: &str| {
            hours(use_case, at.parse().unwrap(), &TimeZone::UTC).map_err(|refused| refused.code())
        };
        let weekdays = [0, 1, 2, 3, 4];
        // 20 November 2026 is a Friday.
        let here = use_case(None, &weekdays);
        for (at, result) in [
            ("2026-11-20T08:59:59Z", Err("outside_hours")),
            ("2026-11-20T09:00:00Z", Ok(())),
            ("2026-11-20T19:59:59Z", Ok(())),
            ("2026-11-20T20:00:00Z", Err("outside_hours")),
            ("2026-11-21T12:00:00Z", Err("outside_hours")),
        ] {
            assert_eq!(open(&here, at), result, "{at}");
        }
        let there = use_case(Some("Asia/Tokyo"), &weekdays);
        assert_eq!(open(&there, "2026-11-20T08:00:00Z"), Ok(()), "five in the afternoon");
        assert_eq!(open(&there, "2026-11-20T16:00:00Z"), Err("outside_hours"), "Saturday at one");
        assert_eq!(open(&use_case(Some("Mars/Base"), &weekdays), "2026-11-20T12:00:00Z"), Err("use_case"));
        assert_eq!(open(&UseCase::new("desk", "p"), "2026-11-21T03:00:00Z"), Ok(()));
    }
}
