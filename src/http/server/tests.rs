//! Connections that dawdle, and systems that run out of files: over pipes in memory and in paused time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Accept, serve};
use crate::config::ConnectionSettings;
use crate::metrics::{Counter, Metrics};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Accepts what the test gives it.
struct Scripted(mpsc::Receiver<io::Result<(DuplexStream, SocketAddr)>>);

impl Accept for Scripted {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }
}

struct Server {
    accepted: mpsc::Sender<io::Result<(DuplexStream, SocketAddr)>>,
    metrics: Metrics,
    stop: CancellationToken,
    tasks: TaskTracker,
    started: Instant,
}

impl Server {
    fn start() -> Self {
        let (accepted, connections) = mpsc::channel(100);
        let (metrics, stop, tasks) = (Metrics::default(), CancellationToken::new(), TaskTracker::new());
        let slow = get(|| async {
            sleep(Duration::from_secs(20)).await;
            "At last."
        });
        let routes = Router::new()
            .route("/", get(async || "Hi."))
            .route("/slow", slow)
            .route("/length", post(async |body: Bytes| body.len().to_string()));
        let limits = ConnectionSettings { most: 100, most_per_source: 2, trusted_proxies: Vec::new() };
        tasks.spawn(serve(Scripted(connections), routes, limits, metrics.clone(), stop.clone()));
        Self { accepted, metrics, stop, tasks, started: Instant::now() }
    }

    async fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
        self.accepted.send(Ok((theirs, peer))).await.unwrap();
        ours
    }

    /// What comes until the connection is closed, and how long after the start that is.
    async fn until_closed(&self, connection: &mut DuplexStream) -> (String, Duration) {
        let mut read = Vec::new();
        connection.read_to_end(&mut read).await.unwrap();
        (String::from_utf8(read).unwrap(), self.started.elapsed())
    }
}

/// Sends a request, and reads its answer.
async fn ask(connection: &mut DuplexStream) {
    connection.write_all(REQUEST).await.unwrap();
    let mut read = String::new();
    while !read.ends_with("Hi.") {
        let mut some = [0; 1024];
        let length = connection.read(&mut some).await.unwrap();
        assert!(length > 0, "closed behind {read:?}");
        read.push_str(std::str::from_utf8(&some[..length]).unwrap());
    }
    assert!(read.starts_with("HTTP/1.1 200"), "{read}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_waited_for_ten_seconds() {
    let server = Server::start();
    let (mut silent, mut dripping) = (server.connect().await, server.connect().await);
    for byte in &REQUEST[..4] {
        dripping.write_all(&[*byte]).await.unwrap();
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(server.until_closed(&mut dripping).await, (String::new(), Duration::from_secs(10)));
    assert_eq!(server.until_closed(&mut silent).await, (String::new(), Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_a_load_balancers_patience_and_no_more() {
    let server = Server::start();
    let mut connection = server.connect().await;
    ask(&mut connection).await;
    sleep(Duration::from_secs(75)).await;
    ask(&mut connection).await;
    assert_eq!(server.until_closed(&mut connection).await.1, Duration::from_secs(75 + 90));
}

#[tokio::test(start_paused = true)]
async fn a_later_head_has_no_more_time_than_the_first() {
    let server = Server::start();
    let mut connection = server.connect().await;
    ask(&mut connection).await;
    sleep(Duration::from_mins(1)).await;
    connection.write_all(&REQUEST[..10]).await.unwrap();
    assert_eq!(server.until_closed(&mut connection).await.1, Duration::from_secs(70));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_refused_after_five_seconds() {
    let server = Server::start();
    let mut connection = server.connect().await;
    connection.write_all(b"POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n").await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(connection);
    let drip = async {
        while writing.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let mut answer = vec![0; 12];
    tokio::select! {
        () = drip => panic!("it was closed without an answer"),
        read = reading.read_exact(&mut answer) => { read.unwrap(); }
    }
    assert_eq!((answer.as_slice(), server.started.elapsed()), (&b"HTTP/1.1 400"[..], Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_system_without_files_is_waited_for() {
    let server = Server::start();
    let out_of_files = io::Error::from_raw_os_error(24);
    server.accepted.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    server.accepted.send(Err(out_of_files)).await.unwrap();
    let mut connection = server.connect().await;
    ask(&mut connection).await;
    assert_eq!(server.started.elapsed(), Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_answered_before_the_server_stops() {
    let server = Server::start();
    let (mut idle, mut busy) = (server.connect().await, server.connect().await);
    ask(&mut idle).await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    server.stop.cancel();
    assert_eq!(server.until_closed(&mut idle).await.1, Duration::from_secs(1));
    let (answer, at) = server.until_closed(&mut busy).await;
    assert!(answer.ends_with("At last."), "{answer}");
    assert_eq!(at, Duration::from_secs(20));
    server.tasks.close();
    server.tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn strangers_who_wait_make_room() {
    let server = Server::start();
    let (mut oldest, mut older) = (server.connect().await, server.connect().await);
    ask(&mut older).await;
    sleep(Duration::from_secs(3)).await;
    let mut newest = server.connect().await;
    assert_eq!(server.until_closed(&mut oldest).await.1, Duration::from_secs(3));
    ask(&mut newest).await;
    ask(&mut older).await;
    assert_eq!(server.metrics.value(Counter::ConnectionsRefused), 1);
}

#[tokio::test(start_paused = true)]
async fn http_2_is_spoken_within_limits_and_not_for_ever() {
    const MAX_CONCURRENT_STREAMS: [u8; 6] = [0, 3, 0, 0, 0, 128];
    const MAX_HEADER_LIST_SIZE: [u8; 6] = [0, 6, 0, 0, 128, 0];
    let server = Server::start();
    let mut connection = server.connect().await;
    let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    connection.write_all(&empty_settings).await.unwrap();
    let mut head = [0; 9];
    connection.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "settings come first");
    let mut settings = vec![0; usize::from(head[2])];
    connection.read_exact(&mut settings).await.unwrap();
    let settings: Vec<_> = settings.chunks(6).collect();
    assert!(settings.contains(&MAX_CONCURRENT_STREAMS.as_slice()), "{settings:?}");
    assert!(settings.contains(&MAX_HEADER_LIST_SIZE.as_slice()), "{settings:?}");
    let mut rest = Vec::new();
    connection.read_to_end(&mut rest).await.unwrap();
    assert_eq!(server.started.elapsed(), Duration::from_secs(10));
}
