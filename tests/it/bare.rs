//! The routes of the service between ports that are made by hand: a table in memory, and a carrier that writes down what
//! it is asked and answers as the test says.

mod table;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trunkline::catalog::Catalog;
use trunkline::config::{ConnectionSettings, PublicUrl};
use trunkline::http::{Parts, Service, serve};
use trunkline::metrics::Metrics;
use trunkline::outbound::{Lines, Outbound, OutboundParts};
use trunkline::session::{Calls, Journals, Ports, Unobserved};
use voice_core::message::ToolOutcome;
use voice_core::ports::{
    BoxFuture, CallUpdate, GenerationRequest, LanguageModel, ModelStream, NewCall, Sms, Telephony,
    TelephonyError, TelephonyErrorKind, ToolRequest, ToolResult, ToolRunner, UseCaseSource, Verification,
};
use voice_core::private::Private;
use voice_core::use_case::{UseCase, VerifyChannel};
use voice_protocols::signature::{SignatureValidator, sign};

use crate::support::{CALLED, NoServers, SOON};

pub(crate) use table::Table;

pub(crate) const API_TOKEN: &str = "operator-token-0123456789";
pub(crate) const AUTH_TOKEN: &str = "bare-auth-token";

/// What a service is made with.
pub(crate) struct Setup {
    pub(crate) use_cases: Vec<UseCase>,
    pub(crate) sip_endpoint: Option<&'static str>,
    pub(crate) api_tokens: Vec<&'static str>,
    pub(crate) caller_ids: Vec<&'static str>,
    pub(crate) most_calls: usize,
    pub(crate) has_rest: bool,
    pub(crate) connections: ConnectionSettings,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            use_cases: vec![UseCase::new("desk", "You answer.")],
            sip_endpoint: None,
            api_tokens: vec![API_TOKEN],
            caller_ids: vec![CALLED],
            most_calls: 10,
            has_rest: true,
            connections: ConnectionSettings { most: 1000, most_per_source: 100, trusted_proxies: Vec::new() },
        }
    }
}

/// A running service.
pub(crate) struct Bare {
    pub(crate) url: String,
    pub(crate) table: Arc<Table>,
    pub(crate) carrier: Arc<Carrier>,
    pub(crate) metrics: Metrics,
    pub(crate) draining: CancellationToken,
    asked: mpsc::Receiver<Asked>,
    shutting_down: CancellationToken,
    tasks: TaskTracker,
}

impl Bare {
    pub(crate) async fn with(use_case: UseCase) -> Self {
        Self::start(Setup { use_cases: vec![use_case], ..Setup::default() }).await
    }

    pub(crate) async fn start(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let table = Arc::new(Table::default());
        let (carrier, asked) = Carrier::new();
        let (metrics, tasks) = (Metrics::default(), TaskTracker::new());
        let (draining, shutting_down) = (CancellationToken::new(), CancellationToken::new());
        let service = service(&setup, address, &table, &carrier, &metrics, &tasks, &draining, &shutting_down);
        TaskTracker::new().spawn(serve(listener, service, CancellationToken::new()));
        let url = format!("http://{address}");
        Self { url, table, carrier, metrics, draining, asked, shutting_down, tasks }
    }

    /// A webhook about a call, signed as Twilio would.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let (status, body) = self.post_signed(path, fields).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    pub(crate) async fn post_signed(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        self.post_signed_by(AUTH_TOKEN, path, fields).await
    }

    pub(crate) async fn post_signed_by(
        &self,
        token: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (u16, String) {
        let url = format!("{}{path}", self.url);
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let signature = sign(token, &url, &fields);
        let request = http().post(&url).header("x-twilio-signature", signature).form(&fields);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The next thing that the carrier is asked for.
    pub(crate) async fn asked(&mut self) -> Asked {
        tokio::time::timeout(SOON, self.asked.recv()).await.expect("the carrier is asked").unwrap()
    }

    /// What the carrier was asked besides, once everything has come to its end.
    pub(crate) async fn asked_besides(mut self) -> Vec<Asked> {
        self.draining.cancel();
        self.shutting_down.cancel();
        self.tasks.close();
        tokio::time::timeout(SOON, self.tasks.wait()).await.expect("everything ends");
        let mut rest = Vec::new();
        while let Ok(asked) = self.asked.try_recv() {
            rest.push(asked);
        }
        rest
    }
}

/// Waits for what goes on behind an answer.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(SOON, so).await.is_ok(), "{what}");
}

pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().timeout(SOON).build().unwrap()
}

#[expect(clippy::too_many_arguments, reason = "the parts of one service, named once")]
fn service(
    setup: &Setup,
    address: SocketAddr,
    table: &Arc<Table>,
    carrier: &Arc<Carrier>,
    metrics: &Metrics,
    tasks: &TaskTracker,
    draining: &CancellationToken,
    shutting_down: &CancellationToken,
) -> Service {
    let use_cases: Arc<dyn UseCaseSource> =
        Arc::new(Cases(setup.use_cases.iter().cloned().map(Arc::new).collect()));
    let public_url = PublicUrl::parse(&format!("http://{address}")).unwrap();
    let (calls, lines) = (Calls::new(setup.most_calls), Lines::default());
    let placer = Outbound::new(OutboundParts {
        public_url: public_url.clone(),
        caller_ids: setup.caller_ids.iter().map(|number| (*number).to_owned()).collect(),
        time_zone: TimeZone::UTC,
        use_cases: Arc::clone(&use_cases),
        records: table.clone(),
        launches: table.clone(),
        telephony: carrier.clone(),
        calls: calls.clone(),
        lines: lines.clone(),
        draining: draining.clone(),
        metrics: metrics.clone(),
        tasks: tasks.clone(),
    });
    let ports = Ports {
        model: Arc::new(Nobody),
        tools: Arc::new(Nobody),
        store: table.clone(),
        metrics: metrics.clone(),
        observer: Arc::new(Unobserved),
        journals: Journals::default(),
        tasks: tasks.clone(),
        owner: "bare".into(),
    };
    Service::new(Parts {
        public_url,
        signatures: Some(SignatureValidator::new(vec![AUTH_TOKEN.to_owned()])),
        default_use_case: setup.use_cases[0].name.clone(),
        default_model: Some("model".to_owned()),
        time_zone: TimeZone::UTC,
        use_cases,
        catalog: Catalog::new(table.clone(), Arc::new(NoServers), tasks, metrics.clone()),
        calls,
        ports,
        handoffs: table.clone(),
        launches: table.clone(),
        callers: table.clone(),
        telephony: setup.has_rest.then(|| carrier.clone() as Arc<dyn Telephony>),
        placer: Arc::new(placer),
        lines,
        sip_endpoint: setup.sip_endpoint.map(str::to_owned),
        api_tokens: setup.api_tokens.iter().map(|token| Private::new((*token).to_owned())).collect(),
        connections: setup.connections.clone(),
        draining: draining.clone(),
        shutting_down: shutting_down.clone(),
    })
}

/// A request to the carrier.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Place(NewCall),
    Update(String, CallUpdate),
}

/// Places calls named `CAperson1`, `CAperson2` and so on.
#[derive(Debug)]
pub(crate) struct Carrier {
    asked: mpsc::Sender<Asked>,
    placed: Mutex<u32>,
    /// How the next calls fail that it is asked to place.
    pub(crate) refusals: Mutex<Vec<(TelephonyErrorKind, Option<u32>)>>,
    /// How many changes of calls fail before one is made.
    pub(crate) unreachable: AtomicU32,
    /// How many of its answers may go out.
    pub(crate) answers: Semaphore,
}

impl Carrier {
    fn new() -> (Arc<Self>, mpsc::Receiver<Asked>) {
        let (asked, requests) = mpsc::channel(100);
        let carrier = Self {
            asked,
            placed: Mutex::default(),
            refusals: Mutex::default(),
            unreachable: AtomicU32::new(0),
            answers: Semaphore::new(1000),
        };
        (Arc::new(carrier), requests)
    }
}

impl Telephony for Carrier {
    fn send_sms(&self, _: Sms) -> BoxFuture<'_, Result<String, TelephonyError>> {
        unreachable!("routes send no messages")
    }

    fn start_verification<'a>(
        &'a self,
        _: &'a Private<String>,
        _: VerifyChannel,
    ) -> BoxFuture<'a, Result<(), TelephonyError>> {
        unreachable!("routes send no codes")
    }

    fn check_verification<'a>(
        &'a self,
        _: &'a Private<String>,
        _: &'a Private<String>,
    ) -> BoxFuture<'a, Result<Verification, TelephonyError>> {
        unreachable!("routes check no codes")
    }

    fn place_call(&self, call: NewCall) -> BoxFuture<'_, Result<String, TelephonyError>> {
        Box::pin(async move {
            self.asked.send(Asked::Place(call)).await.unwrap();
            self.answers.acquire().await.unwrap().forget();
            if let Some((kind, code)) = self.refusals.lock().unwrap().pop() {
                return Err(TelephonyError { kind, code, message: String::new(), source: None });
            }
            let mut placed = self.placed.lock().unwrap();
            *placed += 1;
            Ok(format!("CAperson{placed}"))
        })
    }

    fn update_call<'a>(
        &'a self,
        call_sid: &'a str,
        update: CallUpdate,
    ) -> BoxFuture<'a, Result<(), TelephonyError>> {
        Box::pin(async move {
            let fewer = |failures: u32| failures.checked_sub(1);
            if self.unreachable.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() {
                let kind = TelephonyErrorKind::Unavailable;
                return Err(TelephonyError { kind, code: None, message: String::new(), source: None });
            }
            self.asked.send(Asked::Update(call_sid.to_owned(), update)).await.unwrap();
            Ok(())
        })
    }
}

#[derive(Debug)]
struct Cases(Vec<Arc<UseCase>>);

impl UseCaseSource for Cases {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<UseCase>, String>> {
        let found = self.0.iter().find(|known| known.name == name).cloned();
        Box::pin(async move { found.ok_or_else(|| "there is no such use case".to_owned()) })
    }
}

/// Is asked nothing.
#[derive(Debug)]
struct Nobody;

impl LanguageModel for Nobody {
    fn generate(&self, _: GenerationRequest) -> ModelStream {
        unreachable!("no conversation is held")
    }
}

impl ToolRunner for Nobody {
    fn run(&self, request: ToolRequest) -> BoxFuture<'static, ToolResult> {
        let outcome = ToolOutcome::error(request.run.call, "nobody");
        Box::pin(async move { ToolResult { outcome, effect: None } })
    }
}
