//! What tests of tools need: a request, and the rest of the service played by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use tokio_util::task::TaskTracker;
use voice_core::message::{GenerationId, RunId, ToolCallId, ToolOutcome};
use voice_core::ports::{
    BoxFuture, CallContext, CallPlacer, CallUpdate, Direction, Launch, LaunchStatus, NewCall, NotPlaced,
    OutboundRequest, RecordStore, RunClaim, RunStore, SecretError, SecretSource, Sms, StoreError,
    StoreErrorKind, Telephony, TelephonyError, TelephonyErrorKind, ToolRequest, UseCaseSource, Verification,
};
use voice_core::private::Private;
use voice_core::use_case::{
    CallerProfile, Handler, HttpBody, HttpTool, McpServer, McpTool, ResponseMapping, SecretRef, Tool,
    UseCase, VerifyChannel,
};

use super::{McpCaller, Tools, ToolsParts, http};
use crate::metrics::Metrics;

pub(super) const PERSON: &str = "+14155550100";

/// A tool whose handler does not matter.
pub(super) fn tool(name: &str) -> Tool {
    Tool::new(name, Handler::CurrentTime)
}

pub(super) fn request(tool: Tool, arguments: Value) -> ToolRequest {
    let attributes = json!({ "pk": PERSON, "sk": "profile", "firstName": "Ada" });
    let caller = CallerProfile {
        number: PERSON.to_owned().into(),
        attributes: attributes.as_object().cloned().unwrap_or_default().into(),
        ..CallerProfile::default()
    };
    let call = CallContext {
        call_sid: "CA1".to_owned(),
        account_sid: "AC1".to_owned(),
        from: PERSON.to_owned().into(),
        to: "+18005550199".to_owned().into(),
        direction: Direction::Inbound,
        use_case: "reception".to_owned(),
        caller: Some(Arc::new(caller)),
        variables: BTreeMap::from([("order".to_owned(), "42".to_owned())]).into(),
    };
    ToolRequest {
        run: RunId { generation: GenerationId(3), call: ToolCallId("t-1".to_owned()) },
        tool: Arc::new(tool),
        input: arguments,
        call: Arc::new(call),
        use_case: Arc::new(UseCase::new("reception", "")),
        owner: "owner".into(),
    }
}

/// A request of somebody whose number is withheld.
pub(super) fn anonymous(request: ToolRequest) -> ToolRequest {
    let call = CallContext { from: "anonymous".to_owned().into(), ..(*request.call).clone() };
    ToolRequest { call: Arc::new(call), ..request }
}

/// `POST` of the arguments, whose answer is read whole.
pub(super) fn http_tool(url: &str) -> HttpTool {
    HttpTool {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: BTreeMap::new(),
        body: HttpBody::Arguments,
        response: ResponseMapping::Whole,
        largest_response: 16 * 1024,
        signing_secret: None,
    }
}

/// The rest of the service. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) runs: Arc<FakeRuns>,
    pub(super) records: Arc<FakeRecords>,
    pub(super) carrier: Arc<FakeCarrier>,
    pub(super) others: Arc<FakeOthers>,
    pub(super) metrics: Metrics,
    pub(super) tasks: TaskTracker,
}

impl Default for World {
    fn default() -> Self {
        Self {
            runs: Arc::default(),
            records: Arc::default(),
            carrier: Arc::default(),
            others: Arc::default(),
            metrics: Metrics::default(),
            tasks: TaskTracker::new(),
        }
    }
}

impl World {
    pub(super) fn parts(&self, http: http::Settings) -> ToolsParts {
        ToolsParts {
            runs: self.runs.clone(),
            records: self.records.clone(),
            telephony: self.carrier.clone(),
            secrets: self.others.clone(),
            use_cases: self.others.clone(),
            placer: self.others.clone(),
            mcp: self.others.clone(),
            http,
            time_zone: TimeZone::UTC,
            metrics: self.metrics.clone(),
            tasks: self.tasks.clone(),
        }
    }

    pub(super) fn tools(&self, http: http::Settings) -> Tools {
        Tools::new(self.parts(http)).unwrap()
    }

    /// Waits for what runs behind the runs.
    pub(super) async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[derive(Debug, Default)]
pub(super) struct FakeRuns {
    /// What claims are answered with; granted when there is nothing.
    pub(super) claim: Mutex<Option<Result<RunClaim, StoreErrorKind>>>,
    /// Claims wait for this, when there is one.
    pub(super) gate: Mutex<Option<Arc<tokio::sync::Notify>>>,
    pub(super) completed: Mutex<Vec<ToolOutcome>>,
}

impl RunStore for FakeRuns {
    fn claim_run<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a RunId,
        _: &'a str,
    ) -> BoxFuture<'a, Result<RunClaim, StoreError>> {
        Box::pin(async {
            let gate = self.gate.lock().unwrap().clone();
            if let Some(gate) = gate {
                gate.notified().await;
            }
            let claim = self.claim.lock().unwrap().clone().unwrap_or(Ok(RunClaim::Granted));
            claim.map_err(|kind| StoreError { kind, source: None })
        })
    }

    fn complete_run<'a>(
        &'a self,
        _: &'a str,
        _: &'a RunId,
        outcome: &'a ToolOutcome,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.completed.lock().unwrap().push(outcome.clone());
        Box::pin(async { Ok(()) })
    }
}

#[derive(Debug, Default)]
pub(super) struct FakeRecords {
    pub(super) items: Mutex<Vec<Map<String, Value>>>,
    pub(super) kept_for: Mutex<Vec<Option<Duration>>>,
    pub(super) is_out_of_reach: Mutex<bool>,
}

impl FakeRecords {
    pub(super) fn add(&self, item: &Value) {
        self.items.lock().unwrap().push(item.as_object().unwrap().clone());
    }

    fn matching(&self, attributes: &[(&str, &str)]) -> Result<Vec<Map<String, Value>>, StoreError> {
        if *self.is_out_of_reach.lock().unwrap() {
            return Err(StoreError { kind: StoreErrorKind::Unavailable, source: None });
        }
        let items = self.items.lock().unwrap();
        let matches = |item: &&Map<String, Value>| {
            attributes.iter().all(|(name, value)| item.get(*name).is_some_and(|found| found == value))
        };
        Ok(items.iter().filter(matches).cloned().collect())
    }
}

impl RecordStore for FakeRecords {
    fn get_record<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
    ) -> BoxFuture<'a, Result<Option<Map<String, Value>>, StoreError>> {
        Box::pin(async move { Ok(self.matching(&[("pk", pk), ("sk", sk)])?.pop()) })
    }

    fn put_record(
        &self,
        item: Map<String, Value>,
        keep_for: Option<Duration>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.matching(&[])?;
            let mut items = self.items.lock().unwrap();
            items.retain(|other| other["pk"] != item["pk"] || other["sk"] != item["sk"]);
            items.push(item);
            self.kept_for.lock().unwrap().push(keep_for);
            Ok(())
        })
    }

    fn put_new_record(&self, _: Map<String, Value>) -> BoxFuture<'_, Result<bool, StoreError>> {
        panic!("tools write under keys of their own")
    }

    fn update_record<'a>(
        &'a self,
        pk: &'a str,
        sk: &'a str,
        set: Map<String, Value>,
    ) -> BoxFuture<'a, Result<Option<Map<String, Value>>, StoreError>> {
        Box::pin(async move {
            self.matching(&[])?;
            let mut items = self.items.lock().unwrap();
            let item = items.iter_mut().find(|item| item["pk"] == pk && item["sk"] == sk);
            Ok(item.map(|item| {
                item.extend(set);
                item.clone()
            }))
        })
    }

    fn list_records<'a>(
        &'a self,
        pk1: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<Map<String, Value>>, StoreError>> {
        Box::pin(async move {
            let mut items = self.matching(&[("pk1", pk1)])?;
            items.sort_by(|one, other| other["sk1"].as_str().cmp(&one["sk1"].as_str()));
            items.truncate(most);
            Ok(items)
        })
    }
}

/// Keeps what it is asked for, and fails with a code when it is told to.
#[derive(Debug, Default)]
pub(super) struct FakeCarrier {
    pub(super) failure: Mutex<Option<(TelephonyErrorKind, Option<u32>)>>,
    pub(super) messages: Mutex<Vec<Sms>>,
    /// Numbers that codes were sent to.
    pub(super) verifying: Mutex<Vec<String>>,
}

/// The code that this carrier sends to everybody.
pub(super) const CODE: &str = "482913";

impl FakeCarrier {
    fn answer(&self) -> Result<(), TelephonyError> {
        match *self.failure.lock().unwrap() {
            Some((kind, code)) => Err(TelephonyError { kind, code, message: String::new(), source: None }),
            None => Ok(()),
        }
    }
}

impl Telephony for FakeCarrier {
    fn send_sms(&self, sms: Sms) -> BoxFuture<'_, Result<String, TelephonyError>> {
        self.messages.lock().unwrap().push(sms);
        Box::pin(async { self.answer().map(|()| "SM1".to_owned()) })
    }

    fn start_verification<'a>(
        &'a self,
        to: &'a Private<String>,
        _: VerifyChannel,
    ) -> BoxFuture<'a, Result<(), TelephonyError>> {
        self.verifying.lock().unwrap().push(to.expose().clone());
        Box::pin(async { self.answer() })
    }

    fn check_verification<'a>(
        &'a self,
        to: &'a Private<String>,
        code: &'a Private<String>,
    ) -> BoxFuture<'a, Result<Verification, TelephonyError>> {
        Box::pin(async move {
            self.answer()?;
            let was_sent = self.verifying.lock().unwrap().contains(to.expose());
            Ok(match (was_sent, code.expose() == CODE) {
                (true, true) => Verification::Approved,
                (true, false) => Verification::Wrong,
                (false, _) => Verification::NothingPending,
            })
        })
    }

    fn place_call(&self, _: NewCall) -> BoxFuture<'_, Result<String, TelephonyError>> {
        Box::pin(async { self.answer().map(|()| "CA2".to_owned()) })
    }

    fn update_call<'a>(&'a self, _: &'a str, _: CallUpdate) -> BoxFuture<'a, Result<(), TelephonyError>> {
        Box::pin(async { self.answer() })
    }
}

/// Secrets, use cases, calls and MCP servers.
#[derive(Debug, Default)]
pub(super) struct FakeOthers {
    /// By the name of their variable.
    pub(super) secrets: Mutex<BTreeMap<String, String>>,
    /// What secrets are after they were refused.
    pub(super) newer: Mutex<BTreeMap<String, String>>,
    pub(super) placed: Mutex<Vec<OutboundRequest>>,
    pub(super) refusal: Mutex<Option<NotPlaced>>,
    /// MCP servers do not answer.
    pub(super) hangs: Mutex<bool>,
}

pub(super) fn mcp_tool() -> McpTool {
    let server = McpServer {
        name: "crm".to_owned(),
        url: "https://mcp.example.com/".to_owned(),
        headers: BTreeMap::new(),
        allow: Vec::new(),
        prefix: String::new(),
        timeout: Duration::from_secs(1),
        idempotent: Vec::new(),
    };
    McpTool { server: Arc::new(server), name: "find".to_owned() }
}

impl SecretSource for FakeOthers {
    fn secret<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<Private<String>, SecretError>> {
        let SecretRef::Environment(name) = reference else { panic!("{reference:?} is not in these tests") };
        let secret = self.secrets.lock().unwrap().get(name).cloned().map(Private::new);
        let missing = SecretError { name: name.clone(), reason: "is not set", source: None };
        Box::pin(async { secret.ok_or(missing) })
    }

    fn refused(&self, reference: &SecretRef) {
        let SecretRef::Environment(name) = reference else { panic!("{reference:?} is not in these tests") };
        if let Some(newer) = self.newer.lock().unwrap().remove(name) {
            self.secrets.lock().unwrap().insert(name.clone(), newer);
        }
    }
}

impl UseCaseSource for FakeOthers {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<UseCase>, String>> {
        Box::pin(async move {
            match name {
                "broken" => Err("it does not parse".to_owned()),
                name => Ok(Arc::new(UseCase::new(name, "You are somebody else."))),
            }
        })
    }
}

impl CallPlacer for FakeOthers {
    fn place(&self, request: OutboundRequest) -> BoxFuture<'_, Result<Launch, NotPlaced>> {
        self.placed.lock().unwrap().push(request);
        let refusal = self.refusal.lock().unwrap().take();
        let launch =
            Launch { id: "L1".to_owned(), call_sid: None, status: LaunchStatus::Queued, is_new: true };
        Box::pin(async { refusal.map_or(Ok(launch), Err) })
    }
}

impl McpCaller for FakeOthers {
    fn call<'a>(
        &'a self,
        tool: &'a McpTool,
        request: &'a ToolRequest,
    ) -> BoxFuture<'a, Result<Value, String>> {
        Box::pin(async move {
            if *self.hangs.lock().unwrap() {
                return std::future::pending().await;
            }
            Ok(json!({ "tool": tool.name, "given": request.input }))
        })
    }
}
