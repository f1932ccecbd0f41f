//! The health check: asks a target `GET /ready`, again and again, each time on a connection of its own.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::targets::{Answer, Targets};

/// Real balancers ask every few seconds; here nobody wants to wait for that.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(150);
const ANSWERING: Duration = Duration::from_secs(1);
/// A status line begins with `HTTP/1.1 200`.
const STATUS_LINE: usize = 12;

/// Asks for ever, and tells `targets` what was answered.
pub(super) async fn keep_asking(target: SocketAddr, targets: Targets) {
    let mut ticks = interval(BETWEEN_QUESTIONS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = match timeout(ANSWERING, ask(target)).await {
            Ok(Ok(true)) => Answer::Ready,
            Ok(Ok(false) | Err(_)) => Answer::NotReady,
            Err(_) => Answer::Missed,
        };
        targets.note(target, answer);
    }
}

/// Whether the target answers with status 200.
async fn ask(target: SocketAddr) -> io::Result<bool> {
    let mut connection = TcpStream::connect(target).await?;
    let question = format!("GET /ready HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    connection.write_all(question.as_bytes()).await?;
    let mut line = [0; STATUS_LINE];
    connection.read_exact(&mut line).await?;
    if !line.starts_with(b"HTTP/1.") {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(line.ends_with(b" 200"))
}
