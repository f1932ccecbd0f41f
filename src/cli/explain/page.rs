//! A call as a page for people: what is known of it, then its dialogue with a waterfall before each answer.

use jiff::Timestamp;
use voice_core::message::Message;
use voice_core::ports::{RecordedCall, RecordedMessage, RecordedRun, TurnEnd, TurnTrace, Usage};

use super::waterfall::{lines, parts, short, signed, slowest, time};
use super::{View, spent};

const WIDTH: usize = 100;
/// Where words begin: behind the time and who speaks.
const INDENT: usize = 17;

pub(super) fn of(call: &RecordedCall, view: View<'_>) -> String {
    let mut page = header(call, view);
    let started = call.session.started_at.parse().ok();
    let mut traces = call.traces.iter().peekable();
    for message in &call.messages {
        if is_agents(message) {
            // A turn began before what the agent said in it.
            let said_at: Option<Timestamp> = message.at.parse().ok();
            let precedes = |trace: &&TurnTrace| said_at.is_none_or(|said| at(trace) <= said);
            while let Some(trace) = traces.next_if(precedes) {
                page.extend(turn(trace, started, view));
            }
        }
        page.extend(said(call, message, started));
    }
    page.extend(traces.flat_map(|trace| turn(trace, started, view)));
    if call.messages.is_empty() {
        page.extend([String::new(), "No words of this call are kept.".to_owned()]);
    }
    page.join("\n")
}

fn header(call: &RecordedCall, view: View<'_>) -> Vec<String> {
    let (session, (usage, cost)) = (&call.session, spent(call, view));
    let mut lines = vec![format!("call {}", call.call_sid)];
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {name:<10}{value}"));
        }
    };
    fact("use case", session.use_case.clone());
    fact("model", call.model.clone());
    fact("channel", format!("{}, {}", call.channel, session.direction.as_str()));
    if view.numbers {
        fact("from", session.from.expose().clone());
        fact("to", session.to.expose().clone());
    }
    let started: Option<Timestamp> = session.started_at.parse().ok();
    fact("started", started.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()));
    fact("lasted", lasted(call).unwrap_or_else(|| "it is not over, or nobody noted its end".to_owned()));
    fact("sessions", sessions(session.epoch, session.resumes));
    fact("ended", call.ended_because.as_deref().map(ended).unwrap_or_default());
    if let Some(handoff) = &call.handoff {
        fact("handoff", format!("{}: {}", handoff.target, handoff.status.as_str()));
    }
    if let Some(launch) = &call.launch {
        let by = launch.answered_by.as_ref().map(|who| format!(", answered by {who}")).unwrap_or_default();
        fact("placed", format!("launch {}: {}{by}", launch.id, launch.status.as_str()));
    }
    fact("tokens", tokens(&usage));
    fact("cost", cost.map(dollars).unwrap_or_default());
    lines
}

fn sessions(epoch: u64, resumes: u64) -> String {
    match (epoch, resumes) {
        (0, _) => "none: its socket never came, or it was never claimed".to_owned(),
        (1, 0) => "1".to_owned(),
        (sessions, 0) => sessions.to_string(),
        (sessions, resumes) => format!("{sessions}, connected again {resumes} times after one was lost"),
    }
}

fn lasted(call: &RecordedCall) -> Option<String> {
    let started: Timestamp = call.session.started_at.parse().ok()?;
    let ended: Timestamp = call.ended_at.as_ref()?.parse().ok()?;
    Some(clock(started, ended))
}

/// Why a call ended, in the word that the table has and in a sentence.
fn ended(because: &str) -> String {
    let sentence = match because {
        "caller-hung-up" => "the caller hung up",
        "agent-ended" => "the agent ended the call",
        "handed-over" => "the call went to a person",
        "caller-silent" => "the caller did not answer any more",
        "time-limit" => "the call lasted as long as it may",
        "budget" => "the call cost as much as it may",
        "lost" => "the connection was lost and did not come back",
        "carrier-failed" => "the carrier was not heard of any more, or not understood",
        "taken-over" => "another session took the call and has not ended yet",
        "shut-down" => "the service stopped, and no other went on with the call",
        _ => return because.to_owned(),
    };
    format!("{because}: {sentence}")
}

/// One message, with what was not heard of it marked.
fn said(call: &RecordedCall, message: &RecordedMessage, started: Option<Timestamp>) -> Vec<String> {
    let said_at = message.at.parse().ok();
    let sent = message.said.as_ref().map(|said| said.expose().trim()).unwrap_or_default();
    match &message.message {
        Some(Message::Caller { text }) => speech(started, said_at, "caller", text),
        Some(Message::Agent { text, tool_calls }) => {
            let mut lines = speech(started, said_at, "agent", text);
            lines.extend(unheard(sent, text.trim()));
            if call.traces.is_empty() {
                lines.extend(tool_calls.iter().map(|asked| {
                    let run = call.runs.iter().find(|run| run.run.call == asked.id && run.tool == asked.name);
                    margin(&tool(&asked.name, run))
                }));
            }
            lines
        }
        Some(Message::Outcomes { text, .. }) if !text.is_empty() => speech(started, said_at, "caller", text),
        Some(Message::Outcomes { .. }) => Vec::new(),
        None if sent.is_empty() => Vec::new(),
        None => {
            let mut lines = speech(started, said_at, "agent", "(nothing of it was heard)");
            lines.extend(unheard(sent, ""));
            lines
        }
    }
}

fn tool(name: &str, run: Option<&RecordedRun>) -> String {
    let took = run.and_then(|run| {
        let (from, to): (Timestamp, Timestamp) =
            (run.started_at.parse().ok()?, run.completed_at.as_ref()?.parse().ok()?);
        Some(time(i64::try_from(to.duration_since(from).as_millis()).ok()?))
    });
    format!("tool {name}: {}", took.as_deref().unwrap_or("its end is not known"))
}

fn unheard(sent: &str, heard: &str) -> Vec<String> {
    let rest = match sent.strip_prefix(heard) {
        Some(rest) => rest.trim(),
        // What was heard is told in the carrier's letters.
        None if heard.is_empty() => sent,
        None => return wrapped(&format!("[all that was sent: {sent}]")).map(|line| margin(&line)).collect(),
    };
    if rest.is_empty() {
        return Vec::new();
    }
    wrapped(&format!("[not heard: {rest}]")).map(|line| margin(&line)).collect()
}

/// A turn's parts, before what the agent said in it.
fn turn(trace: &TurnTrace, started: Option<Timestamp>, view: View<'_>) -> Vec<String> {
    let parts = parts(trace);
    let mut headline = vec![match trace.first_audio.or(trace.first_text) {
        Some(after) => format!("{}: spoke after {}", trace.trigger.as_str(), time(signed(after))),
        None => format!("{}: said nothing", trace.trigger.as_str()),
    }];
    headline
        .extend(slowest(&parts).map(|part| format!("slowest: {} {}", part.label, time(part.milliseconds()))));
    headline.push(match trace.end {
        TurnEnd::Heard => "heard in full".to_owned(),
        TurnEnd::Interrupted => format!("interrupted after {}", time(signed(trace.ended))),
        TurnEnd::Superseded => "superseded by more words".to_owned(),
        TurnEnd::Left => "the session ended meanwhile".to_owned(),
    });
    let models: Vec<&str> = trace.generations.iter().filter_map(|part| part.model.as_deref()).collect();
    let (usage, cost) = spent_in(trace, view);
    let spent = [models.last().map(|model| short(model).to_owned()), Some(tokens(&usage)), cost.map(dollars)];
    let mut told = vec![String::new(), line(started, Some(at(trace)), "turn", &headline.join("; "))];
    let spent: Vec<String> = spent.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    if !spent.is_empty() {
        told.push(margin(&spent.join(", ")));
    }
    told.extend(lines(&parts).iter().map(|bar| margin(bar)));
    told
}

fn spent_in(trace: &TurnTrace, view: View<'_>) -> (Usage, Option<f64>) {
    let (mut total, mut cost) = (Usage::default(), None);
    for generation in &trace.generations {
        let Some(usage) = &generation.usage else { continue };
        total.input += usage.input + usage.cache_read + usage.cache_write;
        total.output += usage.output;
        if let Some(price) = generation.model.as_deref().and_then(|model| (view.price)(model, usage)) {
            cost = Some(cost.unwrap_or_default() + price);
        }
    }
    (total, cost)
}

fn tokens(usage: &Usage) -> String {
    let read = usage.input + usage.cache_read + usage.cache_write;
    if read + usage.output == 0 { String::new() } else { format!("{read} tokens in, {} out", usage.output) }
}

fn dollars(cost: f64) -> String {
    format!("${cost:.5}")
}

fn speech(started: Option<Timestamp>, at: Option<Timestamp>, who: &str, text: &str) -> Vec<String> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let mut words = wrapped(text.trim());
    let first = line(started, at, who, &words.next().unwrap_or_default());
    [String::new(), first].into_iter().chain(words.map(|rest| margin(&rest))).collect()
}

fn line(started: Option<Timestamp>, at: Option<Timestamp>, who: &str, text: &str) -> String {
    let offset = match (started, at) {
        (Some(started), Some(at)) => format!("+{}", clock(started, at)),
        _ => String::new(),
    };
    format!("{offset:>8}  {who:<7}{text}")
}

fn margin(text: &str) -> String {
    format!("{:INDENT$}{text}", "")
}

/// Minutes, seconds and tenths.
fn clock(from: Timestamp, to: Timestamp) -> String {
    let tenths = to.duration_since(from).as_millis().max(0) / 100;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

fn wrapped(text: &str) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map(|line| line.chars().count()).unwrap_or_default();
        if line > 0 && line + 1 + word.chars().count() > WIDTH - INDENT {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.into_iter()
}

fn is_agents(message: &RecordedMessage) -> bool {
    message.said.is_some() || matches!(message.message, Some(Message::Agent { .. }))
}

fn at(trace: &TurnTrace) -> Timestamp {
    // A time that no calendar knows is of no call.
    Timestamp::try_from(trace.started_at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_heard_is_marked() {
        let marked =
            |sent, heard| unheard(sent, heard).iter().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(marked("We open at nine.", "We open at nine."), Vec::<String>::new());
        assert_eq!(marked("We open at nine.", "We open"), ["[not heard: at nine.]"]);
        assert_eq!(marked("We open.", ""), ["[not heard: We open.]"]);
        assert_eq!(marked("We open at 9.", "We open at nine."), ["[all that was sent: We open at 9.]"]);
    }

    #[test]
    fn words_are_wrapped_and_none_is_lost() {
        let text = "one two three four five six seven eight nine ten ".repeat(9);
        let lines: Vec<String> = wrapped(&text).collect();
        assert!(lines.len() > 4 && lines.iter().all(|line| line.len() <= WIDTH - INDENT));
        assert_eq!(lines.join(" "), text.trim());
    }
}
