//! A session with a server over the SDK's transport, and the two things that are asked in it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
    Implementation, PaginatedRequestParams,
};
use rmcp::service::{RunningService, serve_client};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceError};
use url::Url;
use voice_core::use_case::HeaderSource;

use super::listing::Found;
use super::server::{Address, Means};
use super::transport::HttpClient;
use super::trouble::Trouble;

/// Of one message of the server. A list of a hundred tools is far below it.
const LARGEST_EVENT: usize = 2 * 1024 * 1024;
/// Requests on their way to one server at the same time.
const AT_ONCE: usize = 256;
/// How often a stream that broke is opened again.
const STREAM_ATTEMPTS: usize = 5;
/// Of a server's tools, no more are looked at.
const MOST_TOOLS: usize = 100;
/// A server that goes on and on is broken off.
const MOST_PAGES: usize = 20;

type Headers = HashMap<HeaderName, HeaderValue>;

/// Dropping it ends the session.
pub(super) struct Connection(RunningService<RoleClient, ClientConfig>);

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects and introduces itself. When the server does not accept that, and a secret was changed since it was fetched,
    /// it is tried again with the new one.
    pub(super) async fn open(address: &Address, means: &Means) -> Result<Self, Trouble> {
        check(address, means)?;
        let known = headers(address, means).await?;
        match Self::open_with(address, means, known.clone()).await {
            Err(Trouble::NotLetIn(detail)) => {
                address.doubt_secrets(means);
                let newer = headers(address, means).await?;
                if newer == known {
                    return Err(Trouble::NotLetIn(detail));
                }
                Self::open_with(address, means, newer).await
            }
            opened => opened,
        }
    }

    /// The SDK begins a new session by itself when the server has forgotten this one.
    async fn open_with(address: &Address, means: &Means, headers: Headers) -> Result<Self, Trouble> {
        let mut settings = StreamableHttpClientTransportConfig::with_uri(address.url.as_str());
        settings.custom_headers = headers;
        settings.max_sse_event_size = LARGEST_EVENT;
        settings.max_concurrent_requests = AT_ONCE;
        let mut retries = ExponentialBackoff::default();
        retries.max_times = Some(STREAM_ATTEMPTS);
        settings.retry_config = Arc::new(retries);
        let client = HttpClient { client: means.client.clone(), tasks: means.tasks.clone() };
        let transport = StreamableHttpClientTransport::with_client(client, settings);
        let ourselves = Implementation::new("trunkline", env!("CARGO_PKG_VERSION"));
        let introduction = ClientConfig::new(ClientCapabilities::default(), ourselves);
        let session = serve_client(introduction, transport).await;
        session.map(Self).map_err(|error| Trouble::of_connecting(&error))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.0.is_closed() && !self.0.is_transport_closed()
    }

    /// Runs a tool. Dropping the future tells the server that nobody waits.
    pub(super) async fn call(&self, question: CallToolRequestParams) -> Result<CallToolResult, Trouble> {
        match self.0.call_tool_once(question).await.map_err(|error| Trouble::of_asking(&error))? {
            CallToolResponse::Complete(result) => Ok(result),
            // A caller on the telephone cannot fill in a form, and a task would end after the conversation.
            _ => Err(Trouble::of_asking(&ServiceError::UnexpectedResponse)),
        }
    }

    /// The server's tools, page after page.
    pub(super) async fn tools(&self) -> Result<Found, Trouble> {
        let mut tools = Vec::new();
        let mut page = None;
        for _ in 0..MOST_PAGES {
            let asked = PaginatedRequestParams::default().with_cursor(page);
            let answer = self.0.list_tools(Some(asked)).await.map_err(|error| Trouble::of_asking(&error))?;
            tools.extend(answer.tools);
            page = answer.next_cursor;
            if page.is_none() || tools.len() >= MOST_TOOLS {
                break;
            }
        }
        tools.truncate(MOST_TOOLS);
        Ok(tools.into())
    }
}

fn check(address: &Address, means: &Means) -> Result<(), Trouble> {
    let url = Url::parse(&address.url).map_err(|error| format!("its URL is none: {error}"));
    url.and_then(|url| (means.check)(&url)).map_err(Trouble::NotReachable)
}

/// The headers of every request. Secrets are read when a session begins, so that a new one is used after it failed.
async fn headers(address: &Address, means: &Means) -> Result<Headers, Trouble> {
    let mut headers = HashMap::new();
    for (name, source) in &address.headers {
        let value = match source {
            HeaderSource::Template(text) => HeaderValue::from_str(text),
            HeaderSource::Secret { prefix, secret } => {
                let secret = means.secrets.secret(secret).await;
                let secret = secret.map_err(|error| Trouble::NotReachable(error.to_string()))?;
                HeaderValue::from_str(&format!("{prefix}{}", secret.expose()))
            }
        };
        let (Ok(name), Ok(mut value)) = (name.parse::<HeaderName>(), value) else {
            return Err(Trouble::NotReachable(format!("{name:?} cannot be sent as a header")));
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
