//! The service as `trunkline serve` in a process of its own, run by this same program, so that it can be measured, told to
//! stop and killed.

mod summaries;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

pub use self::summaries::{Summaries, Summary};
use crate::stage::{MODEL, REGION, TABLE};

/// What Twilio signs with.
pub const AUTH_TOKEN: &str = "load-auth-token";
const STARTING: Duration = Duration::from_secs(20);
const STOPPING: Duration = Duration::from_secs(30);

/// What is around the service: base URLs.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub dynamodb: String,
    pub bedrock: String,
    /// Where callers find it; at its own address when absent.
    pub public_url: Option<String>,
}

/// What becomes of what the service writes to its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// It is shown, as it comes.
    Shown,
    /// What the service tells of itself every minute is kept, and the rest is left out but for warnings and errors.
    Summarised,
}

/// A running service. It is killed when this is dropped.
#[derive(Debug)]
pub struct ServiceProcess {
    child: Child,
    address: SocketAddr,
    summaries: Option<Summaries>,
}

impl ServiceProcess {
    /// Starts a service on a free port of loopback, and waits until it listens. `settings` win over those that suit most.
    ///
    /// # Errors
    /// When it ends by itself, or does not listen within twenty seconds.
    pub async fn start(surroundings: &Surroundings, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        Self::start_with_output(surroundings, settings, Output::Shown).await
    }

    /// Like [`ServiceProcess::start`], with a say in what becomes of its log.
    ///
    /// # Errors
    /// When it ends by itself, or does not listen within twenty seconds.
    pub async fn start_with_output(
        surroundings: &Surroundings,
        settings: &[(&str, String)],
        output: Output,
    ) -> anyhow::Result<Self> {
        let address = free_address().await?;
        let public_url = surroundings.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let program = std::env::current_exe().context("this program was not found")?;
        let mut child = Command::new(program)
            .arg("serve")
            .envs([
                ("AWS_ACCESS_KEY_ID", "local"),
                ("AWS_SECRET_ACCESS_KEY", "local"),
                ("AWS_REGION", REGION),
                ("AWS_ENDPOINT_URL_DYNAMODB", surroundings.dynamodb.as_str()),
                ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", surroundings.bedrock.as_str()),
                ("TABLE_NAME", TABLE),
                ("STACK_USE_CASE", "restaurant-ordering"),
                ("MODEL_IDENTIFIER", MODEL),
                ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
                ("LISTEN_ADDRESS", "127.0.0.1"),
                ("LOG_FORMAT", "json"),
                ("RUST_LOG", "warn"),
                ("DRAIN_SECONDS", "5"),
                // What tools ask is on this machine too.
                ("DANGEROUS_ALLOW_PRIVATE_TOOL_HOSTS", "true"),
            ])
            .env("PORT", address.port().to_string())
            .env("PUBLIC_URL", public_url)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(if output == Output::Shown { Stdio::inherit() } else { Stdio::piped() })
            .kill_on_drop(true)
            .spawn()
            .context("the service was not started")?;
        let summaries = child.stdout.take().map(Summaries::read);
        let mut service = Self { child, address, summaries };
        timeout(STARTING, service.is_up()).await.context("the service did not come up")??;
        Ok(service)
    }

    async fn is_up(&mut self) -> anyhow::Result<()> {
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the service ended with {status}");
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// What the service tells of itself, when its output is [`Output::Summarised`].
    pub fn summaries(&self) -> Option<&Summaries> {
        self.summaries.as_ref()
    }

    /// Of the process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends SIGTERM and does not wait.
    ///
    /// # Errors
    /// When no signal can be sent.
    pub async fn terminate(&self) -> anyhow::Result<()> {
        let Some(id) = self.child.id() else { return Ok(()) };
        let sent = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        sent.map(drop).context("the service was not told to stop")
    }

    /// Ends the process at once, as `kill -9` does, and waits for it.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("the service was not killed")
    }

    /// Waits until the process has ended by itself, and well, for as long as `longest`.
    ///
    /// # Errors
    /// When it has not ended; then it is killed. When it ended with another status than success.
    pub async fn ended(&mut self, longest: Duration) -> anyhow::Result<()> {
        ended_well(&mut self.child, longest).await
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When it does not end within thirty seconds; then it is killed. When it ends with another status than success.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.terminate().await?;
        self.ended(STOPPING).await
    }
}

async fn ended_well(child: &mut Child, longest: Duration) -> anyhow::Result<()> {
    let Ok(status) = timeout(longest, child.wait()).await else {
        child.kill().await?;
        bail!("the service did not stop in time");
    };
    let status = status?;
    ensure!(status.success(), "the service ended with {status}");
    Ok(())
}

async fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn end_of(script: &str) -> anyhow::Result<()> {
        let mut child = Command::new("sh").args(["-c", script]).kill_on_drop(true).spawn()?;
        ended_well(&mut child, STARTING).await
    }

    #[tokio::test]
    async fn an_end_with_a_failure_is_no_good_end() {
        end_of("exit 0").await.unwrap();
        assert!(end_of("exit 3").await.unwrap_err().to_string().contains('3'));
        end_of("kill -9 $$").await.unwrap_err();
    }
}
