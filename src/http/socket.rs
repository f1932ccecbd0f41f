//! An upgraded connection as the frames of a session.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{Sink, SinkExt, Stream};

use crate::session::{CloseCode, Frame, SocketError};

pub(super) struct CallSocket(WebSocket);

const CLOSING: Duration = Duration::from_secs(5);

impl CallSocket {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self(socket)
    }

    pub(super) async fn close(mut self, code: CloseCode) {
        // The peer may be gone already.
        let _ = tokio::time::timeout(CLOSING, self.send(Frame::Close(code))).await;
    }
}

impl Stream for CallSocket {
    type Item = Result<Frame, SocketError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(context).map(|message| message.map(from_result))
    }
}

impl Sink<Frame> for CallSocket {
    type Error = SocketError;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.0).poll_ready(context).map_err(socket_error)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), SocketError> {
        Pin::new(&mut self.0).start_send(to_message(frame)).map_err(socket_error)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.0).poll_flush(context).map_err(socket_error)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.0).poll_close(context).map_err(socket_error)
    }
}

fn from_result(message: Result<Message, axum::Error>) -> Result<Frame, SocketError> {
    let error = match message {
        Ok(message) => return Ok(from_message(message)),
        Err(error) => error.into_inner(),
    };
    match error.downcast_ref() {
        Some(tungstenite::Error::Capacity(_)) => Ok(Frame::Oversize),
        _ => Err(SocketError(error)),
    }
}

fn from_message(message: Message) -> Frame {
    match message {
        Message::Text(text) => Frame::Text(text.as_str().to_owned()),
        Message::Close(frame) => Frame::Close(CloseCode::Other(frame.map_or(1005, |frame| frame.code))),
        Message::Binary(_) => Frame::Binary,
        Message::Ping(_) | Message::Pong(_) => Frame::Other,
    }
}

fn to_message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(text.into()),
        Frame::Binary | Frame::Oversize => Message::Binary(axum::body::Bytes::new()),
        Frame::Other | Frame::Ping => Message::Ping(axum::body::Bytes::new()),
        Frame::Close(code) => Message::Close(Some(CloseFrame { code: code.number(), reason: "".into() })),
    }
}

fn socket_error(error: axum::Error) -> SocketError {
    SocketError(Box::new(error))
}
