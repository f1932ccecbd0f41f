//! `trunkline healthcheck`: for containers that have no other HTTP client.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Settings;

const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(source: impl Fn(&str) -> Option<String>) -> anyhow::Result<ExitCode> {
    let port = Settings::read_port(&source)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    timeout(PATIENCE, ask(address)).await.with_context(|| format!("{address} did not answer in time"))??;
    Ok(ExitCode::SUCCESS)
}

async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream =
        TcpStream::connect(address).await.with_context(|| format!("nobody listens on {address}"))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut status = [0_u8; 12];
    stream.read_exact(&mut status).await.context("the answer is too short")?;
    if &status != b"HTTP/1.1 200" {
        bail!("the service answered {:?}", String::from_utf8_lossy(&status));
    }
    Ok(())
}
