//! A relay socket held in the bare hand, for frames that no carrier would send.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use trunkline_dev::stage::Stage;
use voice_protocols::signature::sign;

use crate::support::{SOON, webhook};

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) call_sid: String,
}

/// A call that was answered and set up.
pub(crate) async fn connected(stage: &Stage) -> Socket {
    let mut socket = answered(stage).await;
    socket.set_up().await;
    socket
}

/// A call that was answered, with its socket open and nothing sent.
pub(crate) async fn answered(stage: &Stage) -> Socket {
    let webhook = webhook(stage, "/twiml");
    webhook.post().await.relay();
    open(stage, &webhook.call_sid()).await
}

pub(crate) async fn open(stage: &Stage, call_sid: &str) -> Socket {
    let url = relay_url(stage, call_sid);
    let signature = sign(&stage.auth_token, &url, &[]);
    handshake(stage, call_sid, Some(&signature)).await.expect("the socket opens")
}

pub(crate) fn relay_url(stage: &Stage, call_sid: &str) -> String {
    format!("ws://{}/relay/{call_sid}", stage.address)
}

/// Opens a socket with whatever signature is given; fails with the status of the refusal.
pub(crate) async fn handshake(stage: &Stage, call_sid: &str, signature: Option<&str>) -> Result<Socket, u16> {
    to(&relay_url(stage, call_sid), call_sid, signature).await
}

/// The same at any address.
pub(crate) async fn to(url: &str, call_sid: &str, signature: Option<&str>) -> Result<Socket, u16> {
    let mut request = url.into_client_request().expect("an address");
    if let Some(signature) = signature {
        let signature = signature.parse().expect("a signature fits a header");
        request.headers_mut().insert("x-twilio-signature", signature);
    }
    match timeout(SOON, connect_async(request)).await.expect("the service answers") {
        Ok((stream, _)) => Ok(Socket { stream, call_sid: call_sid.to_owned() }),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

impl Socket {
    pub(crate) async fn send(&mut self, frame: impl Into<String>) {
        let sent = timeout(SOON, self.stream.send(Message::text(frame.into()))).await;
        sent.expect("the service reads").expect("the socket is open");
    }

    pub(crate) async fn set_up(&mut self) {
        let call_sid = self.call_sid.clone();
        self.set_up_for(&call_sid).await;
    }

    pub(crate) async fn set_up_for(&mut self, call_sid: &str) {
        self.send(json!({ "type": "setup", "sessionId": "VX1", "callSid": call_sid }).to_string()).await;
    }

    pub(crate) async fn say(&mut self, words: &str) {
        let prompt = json!({ "type": "prompt", "voicePrompt": words, "lang": "en-US", "last": true });
        self.send(prompt.to_string()).await;
    }

    /// All tokens up to the one that says that it is the last.
    pub(crate) async fn agent_turn(&mut self) -> String {
        let mut said = String::new();
        loop {
            let Message::Text(frame) = self.next().await else { continue };
            let frame: Value = serde_json::from_str(frame.as_str()).expect("the service sends JSON");
            assert_eq!(frame["type"], "text", "{frame}");
            said.push_str(frame["token"].as_str().expect("a token is text"));
            if frame["last"] == true {
                return said;
            }
        }
    }

    /// The code with which the service closes; what it says before that is skipped.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.map_or(1005, |frame| frame.code.into());
            }
        }
    }

    async fn next(&mut self) -> Message {
        let next = timeout(SOON, self.stream.next()).await.expect("something comes");
        next.expect("the socket is open").expect("the socket is sound")
    }
}
