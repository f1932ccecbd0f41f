//! The SDK's HTTP client, but a streamed answer is read to its end, so that its network connection serves again.
//!
//! The SDK lets go of a stream when the response has come out of it, a moment before its end. A connection that is left
//! in the middle of an answer must be closed, and the next request would pay for a new one, with TLS.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use reqwest::header::{HeaderName, HeaderValue};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// The end follows the response at once; a server that has more to say is not listened to.
const END_FOLLOWS: Duration = Duration::from_millis(200);

type Events = BoxStream<'static, Result<Sse, SseError>>;
type Answer<T> = Result<T, StreamableHttpError<reqwest::Error>>;

#[derive(Clone)]
pub(super) struct HttpClient {
    pub(super) client: reqwest::Client,
    pub(super) tasks: TaskTracker,
}

impl HttpClient {
    fn read_to_its_end(&self, answer: StreamableHttpPostResponse) -> StreamableHttpPostResponse {
        match answer {
            StreamableHttpPostResponse::Sse(events, session) => {
                let events = ReadToItsEnd { events: Some(events), tasks: self.tasks.clone() };
                StreamableHttpPostResponse::Sse(events.boxed(), session)
            }
            other => other,
        }
    }
}

impl StreamableHttpClient for HttpClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<StreamableHttpPostResponse> {
        let answer = self.client.post_message(uri, message, session, authorization, headers).await?;
        Ok(self.read_to_its_end(answer))
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
        largest: usize,
    ) -> Answer<StreamableHttpPostResponse> {
        let sent = self.client.post_message_with_max_sse_event_size(
            uri,
            message,
            session,
            authorization,
            headers,
            largest,
        );
        Ok(self.read_to_its_end(sent.await?))
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<()> {
        self.client.delete_session(uri, session, authorization, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<Events> {
        self.client.get_stream(uri, session, last_event, authorization, headers).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
        largest: usize,
    ) -> Answer<Events> {
        let client = &self.client;
        client
            .get_stream_with_max_sse_event_size(uri, session, last_event, authorization, headers, largest)
            .await
    }
}

/// Dropped before its end, it is read on behind whoever dropped it.
struct ReadToItsEnd {
    /// None after its end.
    events: Option<Events>,
    tasks: TaskTracker,
}

impl Stream for ReadToItsEnd {
    type Item = Result<Sse, SseError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        let next = events.poll_next_unpin(context);
        if let Poll::Ready(None) = next {
            self.events = None;
        }
        next
    }
}

impl Drop for ReadToItsEnd {
    fn drop(&mut self) {
        // Streams are also dropped when the process ends, and then there is nobody to read on.
        if let (Some(events), Ok(runtime)) = (self.events.take(), Handle::try_current()) {
            let reading = timeout(END_FOLLOWS, events.for_each(|_| std::future::ready(())));
            self.tasks.spawn_on(reading, &runtime);
        }
    }
}
