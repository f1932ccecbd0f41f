//! What day and time it is.

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::json;
use voice_core::ports::ToolRequest;

use crate::tools::arguments::text;
use crate::tools::{Answer, Handled};

/// The date and time in the service's time zone, or in the one that the argument `timeZone` names.
pub(super) fn current(now: &Zoned, request: &ToolRequest) -> Handled {
    let Some(name) = text(request, "timeZone") else { return Ok(told(now)) };
    let time_zone = TimeZone::get(name)
        .map_err(|_| "The argument timeZone must be an IANA time zone such as Europe/Vienna.".to_owned())?;
    Ok(told(&now.with_time_zone(time_zone)))
}

fn told(now: &Zoned) -> Answer {
    let name = now.time_zone().iana_name().map_or_else(|| now.strftime("%Z").to_string(), str::to_owned);
    Answer::from(json!({
        "date": now.strftime("%Y-%m-%d").to_string(),
        "year": now.year(),
        "month": now.month(),
        "day": now.day(),
        "dayOfWeek": now.strftime("%A").to_string().to_uppercase(),
        "time": now.strftime("%I:%M %p").to_string(),
        "timeZone": name,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing;

    #[test]
    fn the_time_is_told_where_it_is_asked_for() {
        let now: Zoned = "2025-05-03T15:05:00-07:00[America/Los_Angeles]".parse().unwrap();
        let ask = |arguments| current(&now, &testing::request(testing::tool("t"), arguments));
        let here = json!({
            "date": "2025-05-03", "year": 2025, "month": 5, "day": 3, "dayOfWeek": "SATURDAY",
            "time": "03:05 PM", "timeZone": "America/Los_Angeles",
        });
        assert_eq!(ask(json!({})).unwrap().content, here);
        let there = ask(json!({ "timeZone": "Europe/Vienna" })).unwrap().content;
        assert_eq!((&there["date"], &there["time"]), (&json!("2025-05-04"), &json!("12:05 AM")));
        assert!(ask(json!({ "timeZone": "Mars/Base" })).is_err());
    }
}
