//! Asks the public address of the service as Twilio would, for an operator who wants to know whether Twilio gets there.
//!
//! None of the requests changes anything: two are refused or harmless, and none belongs to a call.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{RequestBuilder, Response, StatusCode};
use url::Url;
use voice_core::private::Private;
use voice_protocols::signature::sign;

/// The service as it is seen from outside.
#[derive(Clone, Debug)]
pub struct PublicReach {
    client: reqwest::Client,
    /// `https://host[:port]`
    base: String,
}

/// Why there was no answer from the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The name has no address.
    Unresolved(String),
    /// Nobody listens there, or not for us.
    Unconnected(String),
    /// Whoever is there has no certificate for the name that this machine trusts.
    Untrusted(String),
    /// The connection gave no answer, or none in time.
    Silent(String),
}

/// What `/health` answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub status: u16,
    /// Whether it is the answer of this program.
    pub is_ours: bool,
}

const CONNECTING: Duration = Duration::from_secs(3);
const ANSWERING: Duration = Duration::from_secs(8);
const LONGEST_BODY: usize = 1024;
/// Names no call, and its socket is refused before anybody looks for one.
const NO_CALL: &str = "CA00000000000000000000000000000000";
/// The sample key of RFC 6455; the answer to it is of no interest.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

impl PublicReach {
    /// `base` has no slash at its end. Fails when there is no TLS on this machine.
    pub fn new(base: String) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECTING)
            .timeout(ANSWERING)
            // A handshake of a WebSocket is one of HTTP/1.1.
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, base })
    }

    pub async fn health(&self) -> Result<Health, Unreached> {
        self.resolve().await?;
        let mut response = send(self.client.get(format!("{}/health", self.base))).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreached)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_BODY {
                break;
            }
        }
        let is_ours = response.status() == StatusCode::OK && body == b"Healthy";
        Ok(Health { status: response.status().as_u16(), is_ours })
    }

    /// The status of a handshake that nobody signed: 403 from this program, if it got there as a handshake.
    pub async fn unsigned_handshake(&self) -> Result<u16, Unreached> {
        let request = self.client.get(format!("{}/relay/{NO_CALL}", self.base));
        let request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "websocket");
        let request = request.header(SEC_WEBSOCKET_VERSION, "13").header(SEC_WEBSOCKET_KEY, KEY);
        Ok(send(request).await?.status().as_u16())
    }

    /// The status of a webhook that is signed with this token: 200 from this program, if it has the same token and takes
    /// the same address for its own. It asks for TwiML that nobody will perform.
    pub async fn signed_webhook(&self, token: &Private<String>) -> Result<u16, Unreached> {
        let url = format!("{}/failover", self.base);
        let signature = sign(token.expose(), &url, &[]);
        let request = self.client.post(url).header("x-twilio-signature", signature);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        Ok(send(request).await?.status().as_u16())
    }

    async fn resolve(&self) -> Result<(), Unreached> {
        let unresolved = |reason: String| Unreached::Unresolved(reason);
        let url = Url::parse(&self.base).map_err(|error| unresolved(error.to_string()))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = url.port_or_known_default().unwrap_or(443);
        let lookup = tokio::time::timeout(CONNECTING, tokio::net::lookup_host((host, port)));
        match lookup.await {
            Ok(Ok(mut addresses)) => match addresses.next() {
                Some(_) => Ok(()),
                None => Err(unresolved("it has no address".to_owned())),
            },
            Ok(Err(error)) => Err(unresolved(error.to_string())),
            Err(_) => Err(unresolved("no name server answered in time".to_owned())),
        }
    }
}

async fn send(request: RequestBuilder) -> Result<Response, Unreached> {
    request.send().await.map_err(unreached)
}

fn unreached(error: reqwest::Error) -> Unreached {
    let (is_connect, is_timeout) = (error.is_connect(), error.is_timeout());
    let error = error.without_url();
    // The innermost reason is what happened; the ones around it say that something did.
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    let lower = reason.to_ascii_lowercase();
    if is_timeout && !is_connect {
        Unreached::Silent("no answer in time".to_owned())
    } else if ["certificate", "tls", "handshake"].iter().any(|word| lower.contains(word)) {
        Unreached::Untrusted(reason)
    } else if is_connect {
        Unreached::Unconnected(reason)
    } else {
        Unreached::Silent(reason)
    }
}
