//! One call of the soak, as people make them: they think, interrupt, press keys, lose their connection, and some hang up in
//! the middle of an answer.

use std::fmt;
use std::time::{Duration, Instant};

use rehearsal::draws::Draws;
use rehearsal::twilio::{CallerAct, Carrier};

use crate::chaos::caller::Caller;
use crate::chaos::script;

const PATIENCE: Duration = Duration::from_secs(15);
const RECONNECTING: Duration = Duration::from_secs(15);
/// An answer is not heard longer than this.
const LONGEST_ANSWER: Duration = Duration::from_secs(20);
/// How many troubles of a seat are kept.
const MOST_TROUBLES: usize = 20;

/// What callers did and met with.
#[derive(Debug, Default)]
pub(super) struct Diary {
    calls: usize,
    turns: usize,
    interruptions: usize,
    keys: usize,
    resumes: usize,
    cut_short: usize,
    pub(super) unanswered: usize,
    pub(super) not_connected_again: usize,
    pub(super) troubles: Vec<String>,
}

/// One call.
#[derive(Debug)]
pub(super) struct Visit {
    draws: Draws,
    over: Instant,
    thinking: (Duration, Duration),
}

/// What a caller does next.
#[derive(Clone, Copy, Debug)]
enum Whim {
    HearOut,
    Interrupt,
    Press,
    LoseTheSocket,
}

impl Whim {
    fn drawn(draws: &mut Draws) -> Self {
        match draws.below(100) {
            0..15 => Self::Interrupt,
            15..25 => Self::Press,
            25..30 => Self::LoseTheSocket,
            _ => Self::HearOut,
        }
    }
}

impl Visit {
    /// Half a minute to two minutes long, but not beyond `latest`.
    pub(super) fn drawn(draws: &mut Draws, latest: Instant) -> Self {
        let length = draws.between(Duration::from_secs(30), Duration::from_mins(2));
        let own = Draws::of(draws.number(), 0);
        let over = (Instant::now() + length).min(latest);
        Self { draws: own, over, thinking: (Duration::from_secs(1), Duration::from_secs(6)) }
    }

    /// Some seconds long, with hardly a thought.
    pub(super) fn short(draws: Draws) -> Self {
        let thinking = (Duration::ZERO, Duration::from_millis(200));
        Self { draws, over: Instant::now() + Duration::from_secs(2), thinking }
    }

    pub(super) async fn pay(mut self, carrier: &Carrier, number: u64, diary: &mut Diary) {
        if let Err(error) = self.attempt(carrier, number, diary).await {
            diary.trouble(&format!("{error:#}"));
        }
    }

    async fn attempt(&mut self, carrier: &Carrier, number: u64, diary: &mut Diary) -> anyhow::Result<()> {
        let mut caller = Caller::connect(carrier, script::call_options(number)).await?;
        diary.calls += 1;
        // What goes wrong in the call must not keep it from being hung up.
        let talked = self.talk(&mut caller, diary).await;
        let problems = caller.hang_up().await?;
        for problem in problems {
            diary.trouble(&problem);
        }
        talked
    }

    async fn talk(&mut self, caller: &mut Caller, diary: &mut Diary) -> anyhow::Result<()> {
        for line in 0.. {
            caller.attend(self.draws.between(self.thinking.0, self.thinking.1)).await?;
            if Instant::now() >= self.over {
                break;
            }
            self.turn(caller, line, diary).await?;
        }
        if self.draws.percent(30) {
            diary.cut_short += 1;
            self.ask(caller, 1000, diary).await?;
            caller.attend(self.draws.between(Duration::ZERO, Duration::from_secs(1))).await?;
        }
        Ok(())
    }

    async fn turn(&mut self, caller: &mut Caller, line: u32, diary: &mut Diary) -> anyhow::Result<()> {
        self.ask(caller, line, diary).await?;
        match Whim::drawn(&mut self.draws) {
            Whim::HearOut => {}
            Whim::Interrupt => {
                diary.interruptions += 1;
                caller.attend(self.draws.between(Duration::ZERO, Duration::from_secs(2))).await?;
                self.ask(caller, line, diary).await?;
            }
            Whim::Press => {
                diary.keys += 1;
                caller.act(CallerAct::Press('1')).await?;
                caller.attend(Duration::from_secs(2)).await?;
            }
            Whim::LoseTheSocket => {
                diary.resumes += 1;
                caller.attend(self.draws.between(Duration::ZERO, Duration::from_secs(2))).await?;
                let is_back = caller.lose_the_socket(RECONNECTING).await?;
                diary.not_connected_again += usize::from(!is_back);
                caller.attend(Duration::from_secs(2)).await?;
            }
        }
        caller.hear_out(LONGEST_ANSWER).await
    }

    async fn ask(&mut self, caller: &mut Caller, line: u32, diary: &mut Diary) -> anyhow::Result<()> {
        let turn = caller.turn(&script::line(line), PATIENCE).await?;
        diary.turns += 1;
        diary.unanswered += usize::from(turn.told.is_empty());
        Ok(())
    }
}

impl Diary {
    pub(super) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.turns += other.turns;
        self.interruptions += other.interruptions;
        self.keys += other.keys;
        self.resumes += other.resumes;
        self.cut_short += other.cut_short;
        self.unanswered += other.unanswered;
        self.not_connected_again += other.not_connected_again;
        self.troubles.extend(other.troubles);
    }

    /// Without the ids of calls, so that the same trouble of many calls counts as the same.
    fn trouble(&mut self, trouble: &str) {
        if self.troubles.len() < MOST_TROUBLES {
            let words: Vec<&str> = trouble.split(' ').filter(|word| !word.starts_with("CA")).collect();
            self.troubles.push(words.join(" "));
        }
    }
}

impl fmt::Display for Diary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} calls, {} turns, {} interruptions, {} keys, {} lost sockets, {} hung up in mid-answer",
            self.calls, self.turns, self.interruptions, self.keys, self.resumes, self.cut_short
        )
    }
}
