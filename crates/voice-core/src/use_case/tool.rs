//! Tools that a model may call, and what runs when it does. All of it is data; running is the tool runner's business.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

/// How long a tool may run when its record does not say.
pub const DEFAULT_TOOL_TIMEOUT: Duration = Duration::from_secs(10);

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// JSON Schema of the arguments: an object schema.
    pub input_schema: Value,
    pub handler: Handler,
    /// Past it the run's outcome is an error that the model sees.
    pub timeout: Duration,
    pub on_interrupt: OnInterrupt,
    /// Runs only when the turn that called it was completed and heard.
    pub terminal: bool,
    /// Runs only for a caller who has proved who they are in this call.
    pub requires_verified: bool,
    /// Running it twice does no harm.
    pub idempotent: bool,
    /// Spoken when the run is slow.
    pub filler: Option<String>,
}

impl Tool {
    /// A tool without arguments, with the settings that a record leaves out.
    pub fn new(name: impl Into<String>, handler: Handler) -> Self {
        Self {
            name: name.into(),
            description: None,
            input_schema: serde_json::json!({ "type": "object" }),
            handler,
            timeout: DEFAULT_TOOL_TIMEOUT,
            on_interrupt: OnInterrupt::default(),
            terminal: false,
            requires_verified: false,
            idempotent: false,
            filler: None,
        }
    }
}

/// What becomes of a tool run when the caller interrupts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInterrupt {
    /// It goes on, and its outcome enters history.
    #[default]
    Finish,
    /// It is dropped, and history says so.
    Cancel,
}

/// What runs when the model calls a tool.
#[derive(Clone, Debug, PartialEq)]
pub enum Handler {
    /// Ends the call once the agent's goodbye was heard.
    EndCall,
    /// Hands the call over to one of the use case's handoff targets.
    TransferToHuman,
    SendSms(SendSms),
    /// Keys sent to the other side, for walking through somebody else's menu.
    SendDigits,
    /// Goes on in another of the use case's languages.
    SwitchLanguage,
    /// Plays one of these recordings: name to https URL.
    PlayAudio {
        sources: BTreeMap<String, String>,
    },
    /// What the table knows of the caller.
    GetCustomer,
    PlaceCall(PlaceCall),
    /// Sends the caller a code.
    VerifySend {
        channel: VerifyChannel,
    },
    /// Checks the code that the caller tells.
    VerifyCode,
    CurrentTime,
    /// Goes on as one of these use cases.
    SetUseCase {
        use_cases: Vec<String>,
    },
    Http(Arc<HttpTool>),
    Mcp(McpTool),
    Record(Arc<RecordTool>),
    /// Orders and promises of the sample restaurant.
    Restaurant(RestaurantTool),
    /// Names no handler there is; every run fails.
    Unknown(String),
}

impl Handler {
    /// Whether it ends the conversation, so that it waits until the agent's words were heard.
    pub const fn ends_the_conversation(&self) -> bool {
        matches!(self, Self::EndCall | Self::TransferToHuman)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestaurantTool {
    PlaceOrder,
    PickUpTime,
    DeliveryTime,
}

/// Text messages go to the caller, or to one of `numbers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendSms {
    /// Name to E.164 number.
    pub numbers: BTreeMap<String, String>,
    /// The sender: an E.164 number, or the SID of a messaging service. The called number when absent.
    pub from: Option<String>,
}

/// Calls go to one of `numbers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceCall {
    /// Name to E.164 number.
    pub numbers: BTreeMap<String, String>,
    /// Who talks to the person called; the use case of this call when absent.
    pub use_case: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyChannel {
    #[default]
    Sms,
    Call,
}

impl VerifyChannel {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Call => "call",
        }
    }
}

/// A request to somebody's HTTP service. Texts are templates over `args`, `call`, `caller`, `variables` and `run`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpTool {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    pub url: String,
    pub headers: BTreeMap<String, HeaderSource>,
    pub body: HttpBody,
    pub response: ResponseMapping,
    /// A larger response is an error.
    pub largest_response: usize,
    /// Key of the HMAC that signs the request.
    pub signing_secret: Option<SecretRef>,
}

/// Headers that no record sets, in lower case: they say how a request is carried, or what the service itself vouches for.
pub const OWN_HEADERS: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "idempotency-key",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-trunkline-call",
    "x-trunkline-signature",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderSource {
    Template(String),
    Secret { prefix: String, secret: SecretRef },
}

#[derive(Clone, Debug, PartialEq)]
pub enum HttpBody {
    None,
    /// The tool's arguments as they are.
    Arguments,
    /// The tool's arguments with the call's context beside them, under `call`.
    ArgumentsAndCall,
    /// JSON whose texts are templates. A text that is one expression keeps the type of its value.
    Template(Value),
}

/// What of a JSON response the model sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResponseMapping {
    #[default]
    Whole,
    /// A JSON pointer.
    At(String),
    /// Name to JSON pointer.
    Fields(BTreeMap<String, String>),
}

/// Where a secret is kept; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretRef {
    /// An environment variable of the service.
    Environment(String),
    /// A secret of AWS Secrets Manager: its name or ARN, and a key when it holds a JSON object.
    SecretsManager { id: String, key: Option<String> },
}

/// A server of tools that speaks the Model Context Protocol over streamable HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    /// By which the record names it.
    pub name: String,
    pub url: String,
    pub headers: BTreeMap<String, HeaderSource>,
    /// Only these tools are offered to the model; names as the server has them.
    pub allow: Vec<String>,
    /// Stands before the names of its tools.
    pub prefix: String,
    /// Of one tool call.
    pub timeout: Duration,
    /// Of its tools, these may be run twice without harm.
    pub idempotent: Vec<String>,
}

/// A tool of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpTool {
    pub server: Arc<McpServer>,
    /// As the server has it.
    pub name: String,
}

/// Reads or writes the operator's own records in the table: items under `record::<kind>::<key>`, so that no tool can
/// reach an item of another sort.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordTool {
    pub kind: String,
    pub action: RecordAction,
    /// What the model sees of a record; everything of the operator's when empty.
    pub fields: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RecordAction {
    /// The record of one key: a template.
    Get { key: String },
    /// All records of the kind, at most this many.
    List { limit: usize },
    /// Sets fields of a record that exists. Texts are templates.
    Update { key: String, set: Map<String, Value> },
    /// Writes a new record under the run's own key.
    Put { set: Map<String, Value>, keep: Option<Duration> },
}
