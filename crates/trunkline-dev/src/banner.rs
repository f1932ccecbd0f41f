//! What `cargo dev` shows: where everything is, and what the stand-in for Twilio would have sent.

use rehearsal::twilio::rest::{RestStandIn, Sent};
use tokio::sync::broadcast::error::RecvError;

use crate::stage::{REGION, Stage, TABLE};

/// Where everything is.
pub fn banner(stage: &Stage) -> String {
    let (dynamodb, service) = (stage.dynamodb.endpoint(), format!("http://{}", stage.address));
    let model = stage.bedrock.as_ref().map_or_else(
        || "Amazon Bedrock".to_owned(),
        |bedrock| format!("a stand-in for Amazon Bedrock at {}; it says that it is one", bedrock.endpoint()),
    );
    let is_local = stage.public_url.starts_with("http:");
    let private =
        if stage.bedrock.is_some() && is_local { " Nothing of it leaves this machine." } else { "" };
    let twilio = if is_local {
        format!(
            "a stand-in for Twilio's REST API at {}; what it would send appears here",
            stage.rest.endpoint()
        )
    } else {
        "Twilio itself, with TWILIO_ACCOUNT_SID and what else is in the environment".to_owned()
    };
    format!(
        "
Trunkline is up.{private}

  webhook  {public}/twiml      (service at {service}, /health, /ready)
  calls    POST {service}/api/calls      (Authorization: Bearer {token})
  twilio   {twilio}
  model    {model}
  table    {TABLE} at {dynamodb}
           AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws dynamodb scan --table-name {TABLE} \\
             --endpoint-url {dynamodb} --region {REGION}
  phone    cargo dev call                               (in another terminal)
           cargo dev call --use-case albert-einstein
           cargo dev place --use-case albert-einstein   (the service calls you)

Ctrl-C stops it.
",
        public = stage.public_url,
        token = stage.api_token,
    )
}

/// Shows what is sent, as long as it is waited for.
pub async fn show_what_is_sent(rest: &RestStandIn, show: fn(&str)) {
    let mut sent = rest.watch();
    loop {
        match sent.recv().await {
            Ok(sent) => show(&line_of(&sent)),
            Err(RecvError::Lagged(number)) => show(&format!("-- {number} messages were not shown")),
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn line_of(sent: &Sent) -> String {
    match sent {
        Sent::Message(message) => format!("-- text message to {}: {}", message.to, message.body),
        Sent::Code(code) => format!("-- code to {} ({}): {}", code.to, code.channel, code.code),
    }
}
