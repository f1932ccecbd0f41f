//! A telephone in the terminal: what you type is said, what the agent says appears as it comes.

mod notes;
mod screen;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rehearsal::twilio::{Call, CallEvent, CallerAct, Party};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::time::sleep_until;

use screen::Screen;

const HELP: &str = "  type a sentence   say it; while the agent is speaking, that interrupts it
  !                 interrupt without a word
  #5  ##  #415      press a key, or several
  /say es-US Hola   say it in another language
  /party            let the person hang up whom you were put through to
  /hangup           hang up; so do Ctrl-C and Ctrl-D
  /help             this";

/// When input is a file, the next line is said after the agent has been quiet for this long.
const PAUSE: Duration = Duration::from_millis(900);
/// A caller who hears nothing for this long gives up.
const SILENCE: Duration = Duration::from_secs(15);
/// Waiting for what happens next has no end of its own; the call has.
const LONGEST_CALL: Duration = Duration::from_hours(4);

/// Holds a call until it ends. Fails when it was not taken, or broke down.
pub async fn hold(call: Call) -> anyhow::Result<()> {
    let interactive = std::io::stdin().is_terminal();
    let mut phone = Phone {
        screen: Screen::new(),
        lines: BufReader::new(tokio::io::stdin()).lines(),
        input: if interactive { Input::Typed } else { Input::Piped { ready: None } },
        said_at: None,
        trouble: None,
        call,
    };
    phone.screen.note(&format!("in the call {} (/help for help)", phone.call.sid));
    phone.talk().await
}

struct Phone {
    call: Call,
    screen: Screen,
    lines: Lines<BufReader<Stdin>>,
    input: Input,
    /// When the caller last said something that the agent has not answered.
    said_at: Option<Instant>,
    /// What the service did wrong last.
    trouble: Option<Trouble>,
}

/// Where the caller's words come from.
#[derive(Clone, Copy)]
enum Input {
    Typed,
    /// A file is read a line a turn: the next one once the agent has been quiet until `ready`.
    Piped {
        ready: Option<tokio::time::Instant>,
    },
    Ended,
}

enum Trouble {
    /// The webhook was answered with this status.
    Refused(u16),
    Protocol(String),
}

/// What a line that the caller entered asks for.
enum Command {
    Act(Vec<CallerAct>),
    Help,
    /// It cannot be done; why.
    Unclear(&'static str),
    Nothing,
}

impl Phone {
    async fn talk(&mut self) -> anyhow::Result<()> {
        loop {
            let ready = match self.input {
                Input::Piped { ready } => ready,
                Input::Typed | Input::Ended => None,
            };
            let may_read = matches!(self.input, Input::Typed) || ready.is_some();
            let read_at = ready.unwrap_or_else(tokio::time::Instant::now);
            tokio::select! {
                biased;
                event = self.call.next_event(LONGEST_CALL) => {
                    if let Some((by, reason)) = self.show(event?) {
                        return self.end(by, &reason);
                    }
                }
                pressed = tokio::signal::ctrl_c() => {
                    pressed.context("signals cannot be listened for")?;
                    if matches!(self.input, Input::Ended) {
                        // The service has been given its chance to end the call well.
                        return Ok(());
                    }
                    self.hang_up().await?;
                }
                line = async { sleep_until(read_at).await; self.lines.next_line().await }, if may_read => {
                    match line? {
                        Some(line) => self.take(line.trim()).await?,
                        None => self.hang_up().await?,
                    }
                }
            }
        }
    }

    async fn hang_up(&mut self) -> anyhow::Result<()> {
        self.screen.end_line();
        self.input = Input::Ended;
        self.call.act(CallerAct::HangUp).await
    }

    /// Does what the caller typed.
    async fn take(&mut self, line: &str) -> anyhow::Result<()> {
        match &mut self.input {
            Input::Piped { ready } => {
                *ready = Some(tokio::time::Instant::now() + SILENCE);
                self.screen.own(&format!("caller: {line}"));
            }
            Input::Typed | Input::Ended => self.screen.entered(),
        }
        match Command::read(line) {
            Command::Act(acts) if acts == [CallerAct::HangUp] => return self.hang_up().await,
            Command::Act(acts) => {
                let wants_answer = |act: &CallerAct| {
                    matches!(act, CallerAct::Say(_) | CallerAct::SayIn { .. } | CallerAct::Press(_))
                };
                if acts.iter().any(wants_answer) {
                    self.said_at = Some(Instant::now());
                }
                for act in acts {
                    self.call.act(act).await?;
                }
            }
            Command::Help => self.screen.own(HELP),
            Command::Unclear(reason) => self.screen.note(reason),
            Command::Nothing => {}
        }
        Ok(())
    }

    /// Shows what happened; who hung up and why when the call is over.
    fn show(&mut self, event: CallEvent) -> Option<(Party, String)> {
        match event {
            CallEvent::Greeting(text) => self.screen.own(&format!("agent:  {text}")),
            CallEvent::Token { text, last, at } => {
                let latency = self.said_at.take_if(|_| !text.is_empty()).map(|said| at.duration_since(said));
                self.screen.token(&text, latency, last);
            }
            CallEvent::Interrupted { heard } => {
                let heard = match heard.trim() {
                    "" => "nothing of the clause".to_owned(),
                    heard => format!("{heard:?}"),
                };
                self.screen.note(&format!("interrupted; heard {heard}"));
            }
            CallEvent::Spoken(text) => self.screen.own(&format!("voice:  {text}")),
            CallEvent::PersonSaid(text) => self.screen.own(&format!("person: {text}")),
            CallEvent::Received { from, text } => self.screen.own(&format!("text:   {text} (from {from})")),
            CallEvent::Ignored(what) => self.screen.note(&format!("not delivered to the agent: {what}")),
            CallEvent::Protocol(problem) => self.protocol(problem),
            CallEvent::Refused { status } => self.trouble = Some(Trouble::Refused(status)),
            CallEvent::SocketLost => self.screen.note("the socket is lost; the carrier connects again"),
            CallEvent::SessionEnded { status, handoff_data, .. } => {
                let data = handoff_data.map(|data| format!(", handing over {data}")).unwrap_or_default();
                self.screen.note(&format!("session {status}{data}"));
            }
            CallEvent::HungUp { by, reason, .. } => return Some((by, reason)),
            event => {
                if let Some(note) = notes::note(&event) {
                    self.screen.note(&note);
                }
            }
        }
        self.put_off_reading();
        None
    }

    fn protocol(&mut self, problem: String) {
        // That a refusal is no TwiML goes without saying.
        if !matches!(self.trouble, Some(Trouble::Refused(_))) {
            self.screen.note(&format!("protocol: {problem}"));
            self.trouble = Some(Trouble::Protocol(problem));
        }
    }

    fn end(&mut self, by: Party, reason: &str) -> anyhow::Result<()> {
        self.screen.end_line();
        match &self.trouble {
            Some(Trouble::Refused(403)) => bail!(
                "the service did not take the call: it answered 403, because the request was not signed as it wants \
                 it; see --auth-token and --public-url"
            ),
            Some(Trouble::Refused(status)) => {
                bail!("the service did not take the call: it answered {status}")
            }
            Some(Trouble::Protocol(problem)) if problem == reason => bail!("the call broke down"),
            Some(Trouble::Protocol(_)) | None => {}
        }
        self.screen.note(&match by {
            Party::Caller => "you hung up".to_owned(),
            Party::Service => format!("the service hung up: {reason}"),
        });
        Ok(())
    }

    /// Nothing is read from a file while the agent may still be speaking.
    fn put_off_reading(&mut self) {
        if let Input::Piped { ready } = &mut self.input {
            let now = tokio::time::Instant::now();
            let awaits_answer = ready.is_some_and(|ready| ready > now + PAUSE) && self.said_at.is_some();
            *ready = Some(now + if awaits_answer { SILENCE } else { PAUSE });
        }
    }
}

impl Command {
    fn read(line: &str) -> Self {
        match line {
            "" => Self::Nothing,
            "!" => Self::Act(vec![CallerAct::Interrupt]),
            "/hangup" => Self::Act(vec![CallerAct::HangUp]),
            "/party" => Self::Act(vec![CallerAct::HangUpParty]),
            "/help" => Self::Help,
            _ if line.starts_with("/say ") => Self::say_in(&line["/say ".len()..]),
            _ if line.starts_with('/') => Self::Unclear("there is no such command; /help tells them all"),
            _ => match line.strip_prefix('#') {
                Some(keys) => Self::press(keys),
                None => Self::Act(vec![CallerAct::Say(line.to_owned())]),
            },
        }
    }

    fn say_in(rest: &str) -> Self {
        match rest.trim().split_once(' ') {
            Some((lang, words)) if !words.trim().is_empty() => {
                let (words, lang) = (words.trim().to_owned(), lang.to_owned());
                Self::Act(vec![CallerAct::SayIn { words, lang }])
            }
            _ => Self::Unclear("say a language and then words, such as /say es-US Hola"),
        }
    }

    fn press(keys: &str) -> Self {
        let is_key = |key: char| key.is_ascii_digit() || matches!(key, '*' | '#');
        if keys.is_empty() || !keys.chars().all(is_key) {
            return Self::Unclear("keys are # and then some of 0-9 * #");
        }
        Self::Act(keys.chars().map(CallerAct::Press).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts(line: &str) -> Vec<CallerAct> {
        match Command::read(line) {
            Command::Act(acts) => acts,
            Command::Help | Command::Unclear(_) | Command::Nothing => Vec::new(),
        }
    }

    #[test]
    fn a_line_is_said_unless_it_begins_like_a_command() {
        assert_eq!(acts("Hello! #1?"), [CallerAct::Say("Hello! #1?".to_owned())]);
        assert_eq!(acts("!"), [CallerAct::Interrupt]);
        assert_eq!(acts("/hangup"), [CallerAct::HangUp]);
        let (words, lang) = ("Hola a todos".to_owned(), "es-US".to_owned());
        assert_eq!(acts("/say es-US Hola a todos"), [CallerAct::SayIn { words, lang }]);
        assert_eq!(acts("/party"), [CallerAct::HangUpParty]);
        assert!(matches!(Command::read("/say es-US"), Command::Unclear(_)));
        assert!(matches!(Command::read("/hlep"), Command::Unclear(_)));
        assert!(matches!(Command::read(""), Command::Nothing));
    }

    #[test]
    fn keys_are_pressed_one_after_the_other() {
        assert_eq!(acts("#4*#"), ['4', '*', '#'].map(CallerAct::Press));
        assert!(matches!(Command::read("#"), Command::Unclear(_)));
        assert!(matches!(Command::read("#4a"), Command::Unclear(_)));
    }
}
