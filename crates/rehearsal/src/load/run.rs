//! The phases of a load run: warm up, connect everybody, hold, talk, hang up, ask for more TwiML. It always ends,
//! because the whole of it has a deadline that follows from the plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::caller::{Experience, Part};
use super::delays::{Delays, FarSide};
use super::observer::LoadObserver;
use super::percentile::Distribution;
use super::plan::{CONNECT_TIMEOUT, LoadPlan, TwimlRequests};
use super::process::Process;
use super::report::{LoadReport, ProcessCost};
use crate::twilio::{Answer, CallIdentity, CallOptions, Carrier};

/// Puts the load of `plan` on the service behind `carrier` and reports.
///
/// `observations` must be the observer of the model stand-in that the service uses. With `service_pid`, the
/// service's processor time and memory are measured. Fails when the plan is not sensible, when not even one call
/// works, or when the deadline that follows from the plan is missed.
pub async fn run(
    plan: LoadPlan,
    carrier: Carrier,
    observations: Arc<LoadObserver>,
    service_pid: Option<u32>,
) -> anyhow::Result<LoadReport> {
    plan.validate()?;
    let longest = plan.longest();
    let service = service_pid.map(Process::of);
    let run = Run { plan, carrier, observations, service };
    timeout(longest, Box::pin(run.play()))
        .await
        .map_err(|_| anyhow!("the load run did not end within {longest:?}"))?
}

struct Run {
    plan: LoadPlan,
    carrier: Carrier,
    observations: Arc<LoadObserver>,
    service: Option<Process>,
}

/// All callers, each in a task that dies with the set.
struct Crowd {
    callers: JoinSet<Experience>,
    /// Closed once every caller is connected or has failed.
    connected: mpsc::Receiver<()>,
    talk: watch::Sender<bool>,
}

/// What the clocks of the processes showed around the talk.
struct Talk {
    experiences: Vec<Experience>,
    time: Duration,
    service_cpu: Duration,
    callers_cpu: Duration,
}

impl Run {
    async fn play(self) -> anyhow::Result<LoadReport> {
        self.warm_up().await?;
        let before = self.memory()?;
        let mut crowd = self.gather();
        crowd.wait_until_connected(self.plan.ramp).await;
        sleep(self.plan.idle).await;
        let idle = self.memory()?;
        let talk = self.talk(crowd).await?;
        let extra = match self.plan.twiml_requests {
            Some(requests) => self.request_twiml(requests).await?,
            None => Requests::default(),
        };
        let service = match &self.service {
            Some(_) => Some(ProcessCost {
                cpu: talk.service_cpu,
                memory_before_kb: before,
                memory_idle_kb: idle,
                memory_peak_kb: self.peak()?,
            }),
            None => None,
        };
        Ok(self.report(&talk, extra, service))
    }

    /// One call with one turn, so that neither lazy initialisation nor a cold connection is measured.
    async fn warm_up(&self) -> anyhow::Result<()> {
        let (connected, _) = mpsc::channel(1);
        let (_talk, start) = watch::channel(true);
        let part = Part { turns: 1, wait_to_call: Duration::ZERO, ..self.part(0) };
        match part.play(connected, start).await.error {
            Some(error) => bail!("not even one call works: {error}"),
            None => Ok(()),
        }
    }

    fn gather(&self) -> Crowd {
        let (connected_in, connected) = mpsc::channel(1);
        let (talk, start) = watch::channel(false);
        let mut callers = JoinSet::new();
        for number in 0..self.plan.calls {
            callers.spawn(self.part(number).play(connected_in.clone(), start.clone()));
        }
        Crowd { callers, connected, talk }
    }

    fn part(&self, number: u32) -> Part {
        let options = CallOptions {
            from: format!("+1415{:07}", 5_550_000 + number),
            use_case: self.plan.use_case.clone(),
            ..CallOptions::default()
        };
        Part {
            line: Arc::clone(&self.carrier.line),
            webhook: self.carrier.webhook_url(self.plan.use_case.as_deref()),
            options,
            turns: self.plan.turns,
            think: self.plan.think,
            wait_to_call: self.plan.ramp * number / self.plan.calls,
            wait_to_talk: self.plan.stagger * number / self.plan.calls,
        }
    }

    async fn talk(&self, mut crowd: Crowd) -> anyhow::Result<Talk> {
        let (began, ours) = (Instant::now(), Process::ourselves());
        let (service_before, callers_before) = (self.cpu()?, ours.cpu()?);
        // A crowd in which every caller has failed hears nothing, and its errors are reported below.
        let _ = crowd.talk.send(true);
        let mut experiences = Vec::new();
        while let Some(experience) = crowd.callers.join_next().await {
            experiences.push(experience.context("a caller broke")?);
        }
        let answers = experiences.iter().flat_map(|experience| &experience.turns);
        let last = answers.filter_map(|turn| turn.words.last()).max().copied().unwrap_or(began);
        Ok(Talk {
            experiences,
            time: last.saturating_duration_since(began),
            service_cpu: self.cpu()?.saturating_sub(service_before),
            callers_cpu: ours.cpu()?.saturating_sub(callers_before),
        })
    }

    /// Asks for TwiML at a steady rate. Requests that are late do not make later ones wait.
    async fn request_twiml(&self, requests: TwimlRequests) -> anyhow::Result<Requests> {
        let mut ticks = interval(Duration::from_secs_f64(1.0 / requests.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut asking = JoinSet::new();
        for number in 0..requests.count {
            ticks.tick().await;
            let part = self.part(number % self.plan.calls);
            asking.spawn(async move {
                let identity = CallIdentity::of(&part.options);
                let asked = Instant::now();
                let answer = part.line.post(&part.webhook, &identity.voice_webhook("ringing")).await;
                answer.map(|answer| (answer, asked.elapsed()))
            });
        }
        let mut result = Requests::default();
        while let Some(answer) = timeout(CONNECT_TIMEOUT, asking.join_next()).await? {
            result.add(answer?);
        }
        Ok(result)
    }

    fn report(self, talk: &Talk, extra: Requests, service: Option<ProcessCost>) -> LoadReport {
        let (mut delays, mut errors) = (Delays::default(), extra.errors);
        let (mut webhooks, mut turns) = (Vec::new(), 0);
        for experience in &talk.experiences {
            let far = FarSide {
                generations: self.observations.generations(&experience.call_sid),
                visits: self.observations.visits(&experience.call_sid),
            };
            delays.add_call(&experience.turns, &far, self.plan.tools);
            webhooks.extend(experience.webhook);
            turns += experience.turns.len() as u64;
            if let Some(error) = &experience.error {
                *errors.entry(error.clone()).or_default() += 1;
            }
        }
        if delays.unmatched > 0 {
            errors.insert("turns for which the model stand-in saw no request".to_owned(), delays.unmatched);
        }
        if self.plan.tools.is_some() {
            let without = turns.saturating_sub(delays.dispatch.len() as u64);
            let failures = [
                ("turns in which no tool ran", without),
                ("runs of the tool that failed", self.observations.tool_failures()),
            ];
            let failures = failures.into_iter().filter(|(_, times)| *times > 0);
            errors.extend(failures.map(|(failure, times)| (failure.to_owned(), times)));
        }
        let twiml = if self.plan.twiml_requests.is_some() { extra.delays } else { webhooks };
        LoadReport {
            plan: self.plan,
            turns,
            talk_time: talk.time,
            request_delay: Distribution::of(delays.request),
            first_token_delay: Distribution::of(delays.first_token),
            added_delay: Distribution::of(delays.added),
            token_delay: Distribution::of(delays.every_token),
            dispatch_delay: Distribution::of(delays.dispatch),
            twiml: Distribution::of(twiml),
            service,
            callers_cpu: talk.callers_cpu,
            errors,
        }
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.service.as_ref().map_or(Ok(Duration::ZERO), Process::cpu)
    }

    fn memory(&self) -> anyhow::Result<u64> {
        self.service.as_ref().map_or(Ok(0), |service| Ok(service.memory()?.now_kb))
    }

    fn peak(&self) -> anyhow::Result<u64> {
        self.service.as_ref().map_or(Ok(0), |service| Ok(service.memory()?.peak_kb))
    }
}

impl Crowd {
    async fn wait_until_connected(&mut self, ramp: Duration) {
        // A caller who is not connected by then has an error to report, so that nothing is hidden here.
        let _ = timeout(ramp + CONNECT_TIMEOUT, self.connected.recv()).await;
    }
}

/// The answers to voice webhooks without a call.
#[derive(Debug, Default)]
struct Requests {
    delays: Vec<Duration>,
    errors: BTreeMap<String, u64>,
}

impl Requests {
    fn add(&mut self, answer: anyhow::Result<(Answer, Duration)>) {
        let problem = match answer {
            // A busy line or an apology is quickly said, and is no answer.
            Ok((answer, delay)) if answer.status == 200 && answer.body.contains("<ConversationRelay") => {
                self.delays.push(delay);
                return;
            }
            Ok((Answer { status: 200, .. }, _)) => "a voice webhook did not connect the call".to_owned(),
            Ok((Answer { status, .. }, _)) => format!("a voice webhook was answered with {status}"),
            Err(error) => format!("{error:#}"),
        };
        *self.errors.entry(problem).or_default() += 1;
    }
}
