//! The public address: that Twilio would get from it to a service with the same address and auth token.

use super::finding::Finding;
use super::in_time;
use crate::app::public_reach;
use crate::config::{Settings, SignatureCheck};
use crate::telephony::{PublicReach, Unreached};

const CHECK: &str = "public url";
const FORBIDDEN: u16 = 403;

/// What is signed is only checked when `token_is_known`.
pub(super) async fn check(settings: &Settings, token_is_known: bool) -> Vec<Finding> {
    let reach = match public_reach(settings) {
        Ok(reach) => reach,
        Err(error) => {
            let advice = "Install the certificates of authorities, such as the package ca-certificates.";
            return vec![Finding::problem(CHECK, format!("{error:#}"), advice)];
        }
    };
    in_time(CHECK, async {
        let url = settings.public_url.http("");
        let mut findings = vec![health(&url, &reach).await];
        if findings.iter().any(|finding| *finding != Finding::ok(CHECK, healthy(&url))) {
            return findings;
        }
        let is_checked = matches!(settings.signatures, SignatureCheck::Tokens(_));
        findings.push(upgrade(&reach, is_checked).await);
        if let SignatureCheck::Tokens(tokens) = &settings.signatures
            && token_is_known
        {
            for (index, token) in tokens.iter().enumerate() {
                let which = if tokens.len() == 1 { String::new() } else { format!(" {}", index + 1) };
                findings.push(signed(reach.signed_webhook(token).await, &which));
            }
        }
        findings
    })
    .await
}

fn healthy(url: &str) -> String {
    format!("{url} leads to a service that is healthy")
}

async fn health(url: &str, reach: &PublicReach) -> Finding {
    match reach.health().await {
        Ok(health) if health.is_ours => Finding::ok(CHECK, healthy(url)),
        // Proxies and tunnels answer for a service that does not run.
        Ok(health) if matches!(health.status, 502..=504) => Finding::warning(
            CHECK,
            format!("{url} leads to a proxy that has no service behind it (status {})", health.status),
            "Start the service, or look why the proxy does not find it.",
        ),
        Ok(health) => Finding::problem(
            CHECK,
            format!("{url}/health is answered with status {} by something else", health.status),
            "Have the tunnel or load balancer pass all paths to the service, or correct PUBLIC_URL.",
        ),
        Err(unreached) => not_reached(url, &unreached),
    }
}

fn not_reached(url: &str, unreached: &Unreached) -> Finding {
    match unreached {
        Unreached::Unresolved(reason) => Finding::problem(
            CHECK,
            format!("{url} has no address: {reason}"),
            "Correct PUBLIC_URL, or create the DNS record.",
        ),
        Unreached::Untrusted(reason) => Finding::problem(
            CHECK,
            format!("{url} shows no certificate that is trusted here: {reason}"),
            "Install a certificate for that name with its whole chain; Twilio refuses others as well.",
        ),
        // The service need not run for the other checks, and perhaps only this machine does not get there.
        Unreached::Unconnected(reason) => Finding::warning(
            CHECK,
            format!("{url} takes no connection from here: {reason}"),
            "Start the service, and open the port to the internet.",
        ),
        Unreached::Silent(reason) => Finding::warning(
            CHECK,
            format!("{url} does not answer: {reason}"),
            "Look whether the service runs, and what stands before it.",
        ),
    }
}

async fn upgrade(reach: &PublicReach, is_checked: bool) -> Finding {
    match reach.unsigned_handshake().await {
        Ok(FORBIDDEN) => Finding::ok(CHECK, "WebSocket handshakes get through; an unsigned one is refused"),
        Ok(101) if is_checked => Finding::problem(
            CHECK,
            "the service behind it takes calls from anybody",
            "Unset DANGEROUS_SKIP_SIGNATURE_CHECK there; this command's own settings would check.",
        ),
        Ok(101) => Finding::ok(CHECK, "WebSocket handshakes get through"),
        Ok(status) => Finding::problem(
            CHECK,
            format!("a WebSocket handshake is answered with status {status}"),
            "Have the proxy pass the headers Upgrade and Connection on, over HTTP/1.1.",
        ),
        Err(unreached) => Finding::problem(
            CHECK,
            format!("a WebSocket handshake is not answered: {unreached:?}"),
            "Have the proxy pass the headers Upgrade and Connection on, over HTTP/1.1.",
        ),
    }
}

fn signed(answered: Result<u16, Unreached>, which: &str) -> Finding {
    match answered {
        Ok(200) => Finding::ok(CHECK, format!("a request signed with auth token{which} is taken")),
        Ok(FORBIDDEN) => Finding::problem(
            CHECK,
            format!("a request signed with auth token{which} is refused"),
            "Give the running service the same PUBLIC_URL and TWILIO_AUTH_TOKEN, and start it again.",
        ),
        Ok(status) => Finding::problem(
            CHECK,
            format!("a request signed with auth token{which} is answered with status {status}"),
            "Have the proxy pass POST requests to the service as they are.",
        ),
        Err(unreached) => Finding::problem(
            CHECK,
            format!("a request signed with auth token{which} is not answered: {unreached:?}"),
            "Have the proxy pass POST requests to the service as they are.",
        ),
    }
}
