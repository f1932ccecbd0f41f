//! `place`: a scenario that begins with a call which the service is asked to place, through its operator API.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use crate::twilio::Call;

const PATIENCE: Duration = Duration::from_secs(10);

/// The operator API of the service.
#[derive(Clone, Debug)]
pub struct OperatorApi {
    /// The base address of the service, such as `http://127.0.0.1:3000`.
    pub service: Url,
    pub token: String,
}

/// What is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub(super) to: String,
    from: Option<String>,
    pub(super) use_case: String,
    #[serde(default)]
    variables: Map<String, Value>,
    /// As the API takes it: `"ignore"`, `"hangUp"` or `{ say = … }`.
    machine: Option<Value>,
    /// The service refuses with this code, and there is no call.
    pub(super) refused: Option<String>,
}

/// What the API answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Placed {
    Accepted,
    /// `code` is the problem's, `none` when it has none.
    Refused {
        status: u16,
        code: String,
    },
}

impl OperatorApi {
    /// Asks the service to place a call; `body` is that of `POST /api/calls`.
    ///
    /// # Errors
    /// When there was no answer in time, or one of something else.
    pub async fn place(&self, body: &Value) -> anyhow::Result<Placed> {
        let http =
            reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().context("no HTTP client")?;
        let url = self.service.join("/api/calls").context("the service has no usable address")?;
        let request = http.post(url.clone()).bearer_auth(&self.token).json(body);
        let response = request.send().await.context("the operator API did not answer")?;
        let status = response.status().as_u16();
        let is_success = response.status().is_success();
        let answer: Value = response.json().await.unwrap_or_default();
        if is_success {
            ensure!(answer["id"].is_string(), "the service has no operator API: {url} answered no launch");
            return Ok(Placed::Accepted);
        }
        let code = answer["code"].as_str().unwrap_or("none").to_owned();
        Ok(Placed::Refused { status, code })
    }
}

impl Place {
    pub(super) async fn ask(&self, api: &OperatorApi) -> anyhow::Result<Placed> {
        api.place(&self.body()).await
    }

    /// Asks the service and waits for the call that it places.
    pub(super) async fn begin(
        &self,
        api: &OperatorApi,
        placed: &mut mpsc::Receiver<Call>,
    ) -> anyhow::Result<Call> {
        match self.ask(api).await? {
            Placed::Accepted => {}
            Placed::Refused { status, code } => {
                bail!("the operator API refused to place the call: {status}, code {code}")
            }
        }
        let call = timeout(PATIENCE, placed.recv()).await;
        call.map_err(|_| anyhow!("the service placed no call within {PATIENCE:?}"))?
            .context("another listener takes the placed calls")
    }

    fn body(&self) -> Value {
        let mut body = json!({ "to": self.to, "useCase": self.use_case });
        let further = [("from", self.from.clone().map(Value::String)), ("machine", self.machine.clone())];
        for (name, value) in further {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        if !self.variables.is_empty() {
            body["variables"] = Value::Object(self.variables.clone());
        }
        body
    }
}
