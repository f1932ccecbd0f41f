//! The carrier's way to the service: signed webhooks and signed socket handshakes, each with a deadline.
//! It knows where public addresses really lead. It does not know what a call is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls};
use url::Url;
use voice_protocols::signature::sign;

/// Twilio waits 15 seconds for the answer to a webhook.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TWIML_BYTES: usize = 64 * 1024;

/// A socket to the service, with or without TLS.
pub(crate) type RelaySocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where the service is and what proves to it that a request is ours.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    service: Url,
    public: Url,
    auth_token: Option<String>,
    connect_to: Option<SocketAddr>,
    http: reqwest::Client,
}

/// The answer to a webhook.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) is_xml: bool,
}

impl Line {
    pub(crate) fn new(
        service: Url,
        public_url: &str,
        auth_token: Option<String>,
        connect_to: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let public =
            Url::parse(public_url).with_context(|| format!("the public URL {public_url:?} is no URL"))?;
        if public.cannot_be_a_base() || service.cannot_be_a_base() {
            bail!("the service needs an http or https address");
        }
        let http = http().build().context("no HTTP client")?;
        Ok(Self { service, public, auth_token, connect_to, http })
    }

    /// The same line, on which every webhook has a connection of its own.
    pub(crate) fn with_fresh_connections(&self) -> anyhow::Result<Self> {
        let http = http().pool_max_idle_per_host(0).build().context("no HTTP client")?;
        Ok(Self { http, ..self.clone() })
    }

    /// The public address of a path at the service.
    pub(crate) fn public_url(&self, segments: &[&str]) -> String {
        let mut url = self.public.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url.into()
    }

    /// Posts a form to a public URL, signed over that URL.
    pub(crate) async fn post(&self, url: &str, form: &[(String, String)]) -> anyhow::Result<Answer> {
        let target = self.real_url(url)?;
        let mut request = self.http.post(target).header(USER_AGENT, "TwilioProxy/1.1 (stand-in)").form(form);
        if let Some(token) = &self.auth_token {
            request = request.header("X-Twilio-Signature", sign(token, url, form));
        }
        // Reqwest's errors name the URL as well.
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        let mut response = sent.with_context(|| format!("no answer from {url}"))?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_xml = content_type.is_some_and(|value| value.contains("/xml"));
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await.map_err(reqwest::Error::without_url);
            let Some(chunk) = chunk.with_context(|| format!("{url} stopped in its answer"))? else { break };
            body.extend_from_slice(&chunk);
            if body.len() > MAX_TWIML_BYTES {
                bail!("{url} answered more than {MAX_TWIML_BYTES} bytes");
            }
        }
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), is_xml })
    }

    /// Opens a relay socket. The handshake is signed over `url` exactly as the TwiML gives it.
    pub(crate) async fn connect(&self, url: &str) -> anyhow::Result<RelaySocket> {
        let target = Url::parse(url).with_context(|| format!("{url:?} is no URL"))?;
        let is_plain = target.scheme() == "ws" || self.is_plain_behind(&target);
        let request = self.handshake(url, &target, is_plain)?;
        let address = self.address(&target).await?;
        let opened = timeout(CONNECT_TIMEOUT, async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            anyhow::Ok(client_async_tls(request, stream).await?)
        });
        let (socket, _) = opened
            .await
            .map_err(|_| anyhow!("no handshake within {CONNECT_TIMEOUT:?}"))?
            .with_context(|| format!("no relay socket at {url}"))?;
        Ok(socket)
    }

    fn handshake(&self, url: &str, target: &Url, is_plain: bool) -> anyhow::Result<Request> {
        let mut dialled = target.clone();
        if dialled.set_scheme(if is_plain { "ws" } else { "wss" }).is_err() {
            bail!("{url:?} is no socket address");
        }
        let mut request = dialled.as_str().into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("user-agent", HeaderValue::from_static("Jetty/11.0.24"));
        if let Some(token) = &self.auth_token {
            headers.insert("x-twilio-signature", HeaderValue::from_str(&sign(token, url, &[]))?);
        }
        Ok(request)
    }

    async fn address(&self, target: &Url) -> anyhow::Result<SocketAddr> {
        if let Some(address) = self.connect_to.filter(|_| self.is_public(target)) {
            return Ok(address);
        }
        let endpoint = if self.is_plain_behind(target) { &self.service } else { target };
        let host =
            endpoint.host_str().ok_or_else(|| anyhow!("{endpoint} names no host"))?.trim_matches(['[', ']']);
        let port = endpoint.port_or_known_default().ok_or_else(|| anyhow!("{endpoint} names no port"))?;
        let mut addresses = timeout(CONNECT_TIMEOUT, lookup_host((host, port))).await??;
        addresses.next().ok_or_else(|| anyhow!("{host} has no address"))
    }

    /// A public address leads to the service itself, whose own listener may speak no TLS.
    fn is_plain_behind(&self, target: &Url) -> bool {
        self.is_public(target) && (self.connect_to.is_some() || self.service.scheme() == "http")
    }

    fn is_public(&self, target: &Url) -> bool {
        target.host() == self.public.host()
            && target.port_or_known_default() == self.public.port_or_known_default()
    }

    /// Where a webhook URL really leads: public addresses to the service, all others to themselves.
    fn real_url(&self, url: &str) -> anyhow::Result<Url> {
        let mut target = Url::parse(url).with_context(|| format!("{url:?} is no URL"))?;
        if self.is_public(&target) {
            let mut service = self.service.clone();
            service.set_path(target.path());
            service.set_query(target.query());
            target = service;
        }
        Ok(target)
    }
}

fn http() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .timeout(WEBHOOK_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_webhook_that_fails_names_its_url_once() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{free}/twiml");
        let line = Line::new(url.parse().unwrap(), &url, None, None).unwrap();
        let error = format!("{:#}", line.post(&url, &[]).await.unwrap_err());
        assert!(error.starts_with("no answer from ") && error.matches(&url).count() == 1, "{error}");
    }
}
