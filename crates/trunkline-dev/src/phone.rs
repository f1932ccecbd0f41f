//! A telephone in the terminal: what you type is said, what the agent says appears as it comes.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::bail;
use rehearsal::twilio::{Call, CallEvent, CallOptions, CallerAct, Carrier, Party};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::time::sleep_until;

/// How a call from the terminal is made.
#[derive(Clone, Debug)]
pub struct PhoneOptions {
    pub from: String,
    pub to: String,
    pub use_case: Option<String>,
}

const HELP: &str = "\
  type a sentence   say it (over the agent, if it is speaking)
  !                 interrupt without a word
  #5  ##  #*        press a key
  /hangup           hang up (or end of input)
  /help             this";

/// When input is a file, the next line is said after the agent has been quiet for this long.
const PAUSE: Duration = Duration::from_millis(900);
/// A caller who hears nothing for this long gives up.
const SILENCE: Duration = Duration::from_secs(15);
/// Waiting for what happens next has no end of its own; the call has.
const LONGEST_CALL: Duration = Duration::from_hours(4);

/// Makes a call and holds it until it ends.
pub async fn call(carrier: &Carrier, options: PhoneOptions) -> anyhow::Result<()> {
    let interactive = std::io::stdin().is_terminal();
    let call_options = CallOptions {
        from: options.from,
        to: options.to,
        use_case: options.use_case,
        ..CallOptions::default()
    };
    let call = carrier.call(call_options).await?;
    let mut phone = Phone {
        screen: Screen { line: Line::Empty },
        lines: BufReader::new(tokio::io::stdin()).lines(),
        input: if interactive { Input::Typed } else { Input::Piped { ready: None } },
        said_at: None,
        call,
        refused: false,
    };
    phone.screen.note(&format!("calling as {} ({HELP_HINT})", phone.call.sid));
    phone.talk().await?;
    if phone.refused {
        bail!("the service did not take the call");
    }
    Ok(())
}

const HELP_HINT: &str = "/help for help";

struct Phone {
    call: Call,
    screen: Screen,
    lines: Lines<BufReader<Stdin>>,
    input: Input,
    /// When the caller last said something that the agent has not answered.
    said_at: Option<Instant>,
    refused: bool,
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
                    if self.show(event?) {
                        return Ok(());
                    }
                }
                line = async { sleep_until(read_at).await; self.lines.next_line().await }, if may_read => {
                    self.take(line?).await?;
                }
            }
        }
    }

    /// Does what the caller typed.
    async fn take(&mut self, line: Option<String>) -> anyhow::Result<()> {
        let piped = matches!(self.input, Input::Piped { .. });
        let Some(line) = line else {
            self.input = Input::Ended;
            return self.call.act(CallerAct::HangUp).await;
        };
        let line = line.trim();
        let act = match line {
            "" => return Ok(()),
            "/help" => {
                self.screen.note(HELP);
                return Ok(());
            }
            "/hangup" => CallerAct::HangUp,
            "!" => CallerAct::Interrupt,
            _ => match line.strip_prefix('#').map(|keys| keys.chars().collect::<Vec<_>>()) {
                Some(keys) if keys.len() == 1 => CallerAct::Press(keys[0]),
                Some(_) => {
                    self.screen.note("a key is # and one of 0-9 * #");
                    return Ok(());
                }
                None => CallerAct::Say(line.to_owned()),
            },
        };
        if piped {
            self.screen.own(&format!("caller: {line}"));
            self.input = Input::Piped { ready: Some(tokio::time::Instant::now() + SILENCE) };
        }
        if matches!(act, CallerAct::Say(_) | CallerAct::Press(_)) {
            self.said_at = Some(Instant::now());
        }
        self.call.act(act).await
    }

    /// Shows what happened; true when the call is over.
    fn show(&mut self, event: CallEvent) -> bool {
        match event {
            CallEvent::Greeting(text) => self.screen.own(&format!("agent:  {text}")),
            CallEvent::Token { text, last, at } => {
                let latency = self.said_at.take_if(|_| !text.is_empty()).map(|said| at.duration_since(said));
                self.screen.token(&text, latency, last);
            }
            CallEvent::Interrupted { heard } => {
                let heard =
                    if heard.is_empty() { "nothing of the clause".to_owned() } else { format!("{heard:?}") };
                self.screen.note(&format!("interrupted; heard {heard}"));
            }
            CallEvent::Spoken(text) => self.screen.own(&format!("voice:  {text}")),
            CallEvent::Dialled(target) => self.screen.note(&format!("dialling {target}")),
            CallEvent::Digits(digits) => self.screen.note(&format!("the agent presses {digits}")),
            CallEvent::Ignored(what) => self.screen.note(&format!("not delivered to the agent: {what}")),
            CallEvent::Protocol(problem) => self.screen.note(&format!("protocol: {problem}")),
            CallEvent::Refused { status } => {
                self.refused = true;
                self.screen.note(&format!("the webhook was answered with {status}"));
            }
            CallEvent::SessionEnded { status, handoff_data, .. } => {
                let data = handoff_data.map(|data| format!(", handing over {data}")).unwrap_or_default();
                self.screen.note(&format!("session {status}{data}"));
            }
            CallEvent::HungUp { by, reason } => {
                let who = if by == Party::Caller { "you" } else { "the service" };
                self.screen.note(&format!("{who} hung up: {reason}"));
                return true;
            }
            _ => {}
        }
        if let Input::Piped { ready } = &mut self.input {
            // Nothing is read while the agent may still be speaking.
            let pause = if ready.is_some_and(|ready| ready > tokio::time::Instant::now() + PAUSE)
                && self.said_at.is_some()
            {
                SILENCE
            } else {
                PAUSE
            };
            *ready = Some(tokio::time::Instant::now() + pause);
        }
        false
    }
}

/// What stands on the last line of the terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Empty,
    /// The agent's words are appearing.
    Agent,
}

struct Screen {
    line: Line,
}

impl Screen {
    fn token(&mut self, text: &str, latency: Option<Duration>, last: bool) {
        if !text.is_empty() && self.line == Line::Empty {
            let latency = latency.map(|latency| format!(" ({} ms)", latency.as_millis())).unwrap_or_default();
            show(&format!("agent:{latency}  "));
            self.line = Line::Agent;
        }
        show(text);
        if last {
            self.end_line();
        }
    }

    fn own(&mut self, text: &str) {
        self.end_line();
        show(&format!("{text}\n"));
    }

    fn note(&mut self, text: &str) {
        self.own(&format!("-- {text}"));
    }

    fn end_line(&mut self) {
        if self.line == Line::Agent {
            show("\n");
            self.line = Line::Empty;
        }
    }
}

/// Writes at once, so that tokens appear as they come.
fn show(text: &str) {
    let mut out = std::io::stdout();
    // A terminal that is gone shows nothing.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
