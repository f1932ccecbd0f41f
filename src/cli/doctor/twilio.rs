//! The account at Twilio: that the credentials are its own, and that its numbers lead here.

use voice_core::ports::{TelephonyError, TelephonyErrorKind};
use voice_core::private::Private;

use super::finding::Finding;
use super::{in_time, machine};
use crate::app::twilio_account;
use crate::config::{Settings, SignatureCheck};
use crate::telephony::{AccountInspection, NOT_AUTHENTIC, OwnNumber};

const CHECK: &str = "twilio";
/// Paths of the voice webhook; what follows one of them is the name of a use case.
const WEBHOOKS: [&str; 2] = ["/twiml", "/incoming-call"];

/// Where numbers lead is only told when `address_is_known`.
pub(super) async fn check(settings: &Settings, address_is_known: bool) -> Vec<Finding> {
    if settings.twilio.account.is_none() {
        return vec![Finding::warning(
            CHECK,
            "no account is set, so there are no messages, codes, warm transfers and placed calls; that the auth token is \
             the account's shows at the first call",
            "Set TWILIO_ACCOUNT_SID, TWILIO_API_SID and TWILIO_API_SECRET if they are wanted.",
        )];
    }
    let account = match twilio_account(settings) {
        Ok(account) => account,
        Err(error) => {
            let advice = "Install the certificates of authorities, such as the package ca-certificates.";
            return vec![Finding::problem(CHECK, format!("{error:#}"), advice)];
        }
    };
    in_time(CHECK, async {
        let (mut findings, is_open) = credentials(&account).await;
        findings.extend(account.clock_ahead_by().map(|ahead_by| machine::clock("Twilio", ahead_by)));
        if !is_open {
            return findings;
        }
        findings.extend(tokens(settings, &account).await);
        if address_is_known {
            findings.extend(numbers(settings, &account).await);
        }
        findings.extend(verify(settings, &account).await);
        findings
    })
    .await
}

/// Whether anything else can be asked for, too.
async fn credentials(account: &AccountInspection) -> (Vec<Finding>, bool) {
    let finding = match account.account().await {
        Ok(found) if found.status != "active" => Finding::problem(
            CHECK,
            format!("the account is {}", found.status),
            "Open it again in Twilio's console; no call is carried before.",
        ),
        Ok(found) if found.kind == "Trial" => Finding::warning(
            CHECK,
            "the account is active, and a trial: it calls and texts verified numbers only",
            "Upgrade it before others are to be called.",
        ),
        Ok(_) => Finding::ok(CHECK, "the credentials are the account's, and it is active"),
        Err(error) => return (vec![refused("the account", &error)], false),
    };
    (vec![finding], true)
}

/// Auth tokens also open the account, so it can be asked whether they are its own.
async fn tokens(settings: &Settings, account: &AccountInspection) -> Vec<Finding> {
    let SignatureCheck::Tokens(tokens) = &settings.signatures else { return Vec::new() };
    let mut findings = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let which = if tokens.len() == 1 { String::new() } else { format!(" {}", index + 1) };
        findings.push(match account.knows_token(token).await {
            Ok(true) => Finding::ok(CHECK, format!("auth token{which} is the account's")),
            Ok(false) => Finding::problem(
                CHECK,
                format!("auth token{which} is not the account's, so what Twilio signs is refused"),
                "Copy the auth token from Twilio's console to TWILIO_AUTH_TOKEN. The token of a subaccount is its own.",
            ),
            Err(error) => Finding::warning(
                CHECK,
                format!("whether auth token{which} is the account's is not known{}", error.message),
                "Whether it is shows at the first call.",
            ),
        });
    }
    findings
}

async fn numbers(settings: &Settings, account: &AccountInspection) -> Vec<Finding> {
    let numbers = match account.numbers().await {
        Ok(numbers) => numbers,
        Err(error) => {
            return vec![Finding::warning(
                CHECK,
                format!("its numbers could not be looked at{}", error.message),
                "Allow the API key to read phone numbers, or compare their webhooks yourself.",
            )];
        }
    };
    let here = |path: &str| settings.public_url.http(path);
    let mut findings = Vec::new();
    let (leading, others): (Vec<_>, Vec<_>) = numbers.iter().partition(|number| leads_here(number, &here));
    if leading.is_empty() {
        findings.push(Finding::warning(
            CHECK,
            format!("none of its {} numbers leads here", numbers.len()),
            format!("Set a number's webhook for incoming calls to {}, HTTP POST.", here("/twiml")),
        ));
    } else {
        let ends: Vec<_> = leading.iter().map(|number| shown(&number.number)).collect();
        findings.push(Finding::ok(CHECK, format!("calls to {} lead here", ends.join(", "))));
    }
    for number in others.iter().filter(|number| number.voice_url.starts_with(&here("/"))) {
        let found = if number.is_answered_elsewhere {
            "has the right webhook, but an application or a trunk answers it".to_owned()
        } else {
            format!("leads here, but to no webhook for calls: {}", number.voice_url)
        };
        findings.push(Finding::problem(
            CHECK,
            format!("{} {found}", shown(&number.number)),
            format!("Set its webhook for incoming calls to {}, and nothing else.", here("/twiml")),
        ));
    }
    findings.extend(strange_caller_ids(&settings.twilio.caller_ids, &numbers));
    findings
}

fn leads_here(number: &OwnNumber, here: &impl Fn(&str) -> String) -> bool {
    let is_webhook = WEBHOOKS.iter().map(|path| here(path)).any(|url| {
        number.voice_url.strip_prefix(&url).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let is_callback = ["/twiml/ended", "/twiml/status", "/twiml/handoff"]
        .iter()
        .any(|path| number.voice_url.starts_with(&here(path)));
    is_webhook && !is_callback && !number.is_answered_elsewhere
}

fn strange_caller_ids(caller_ids: &[String], numbers: &[OwnNumber]) -> Option<Finding> {
    let is_own = |id: &&String| numbers.iter().any(|number| number.number.expose() == *id);
    let strange: Vec<_> =
        caller_ids.iter().filter(|id| !is_own(id)).map(|id| shown(&Private::new(id.clone()))).collect();
    (!strange.is_empty()).then(|| {
        Finding::warning(
            CHECK,
            format!("of OUTBOUND_CALLER_IDS, {} is no number of the account", strange.join(", ")),
            "Twilio places calls only from numbers of the account and from caller ids that it has verified.",
        )
    })
}

async fn verify(settings: &Settings, account: &AccountInspection) -> Option<Finding> {
    settings.twilio.verify_service_sid.as_ref()?;
    Some(match account.verify_service().await {
        Ok(name) => Finding::ok(CHECK, format!("the Verify service is there: {name}")),
        Err(error) => refused("the Verify service", &error),
    })
}

fn refused(what: &str, error: &TelephonyError) -> Finding {
    let advice = match (error.kind, error.code) {
        (_, Some(NOT_AUTHENTIC)) => "Check TWILIO_ACCOUNT_SID, TWILIO_API_SID and TWILIO_API_SECRET.",
        (TelephonyErrorKind::Throttled, _) => "Try again in a moment.",
        (TelephonyErrorKind::NotSent | TelephonyErrorKind::Unavailable, _) => {
            "Look whether this machine reaches TWILIO_API_URL and TWILIO_VERIFY_URL."
        }
        (_, Some(20404)) => "Check TWILIO_ACCOUNT_SID and TWILIO_VERIFY_SERVICE_SID.",
        _ => "Look Twilio's code up, and allow the API key to read this.",
    };
    Finding::problem(CHECK, format!("{what} could not be looked at: {error}"), advice)
}

/// A number by its last two digits.
fn shown(number: &Private<String>) -> String {
    let digits = number.expose();
    let end = digits.char_indices().nth_back(1).map_or(0, |(index, _)| index);
    format!("…{}", &digits[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(voice_url: &str) -> OwnNumber {
        OwnNumber {
            number: Private::new("+18005550199".to_owned()),
            voice_url: voice_url.to_owned(),
            voice_method: "POST".to_owned(),
            is_answered_elsewhere: false,
        }
    }

    #[test]
    fn webhooks_of_this_service_are_known() {
        let here = |path: &str| format!("https://a.example{path}");
        for (url, expected) in [
            ("https://a.example/twiml", true),
            ("https://a.example/twiml/albert-einstein", true),
            ("https://a.example/incoming-call", true),
            ("https://a.example/twiml-old", false),
            ("https://a.example/twiml/status", false),
            ("https://a.example", false),
            ("https://b.example/twiml", false),
            ("", false),
        ] {
            assert_eq!(leads_here(&number(url), &here), expected, "{url}");
        }
        let elsewhere = OwnNumber { is_answered_elsewhere: true, ..number("https://a.example/twiml") };
        assert!(!leads_here(&elsewhere, &here));
    }

    #[test]
    fn a_number_is_shown_by_two_digits() {
        assert_eq!(shown(&Private::new("+18005550199".to_owned())), "…99");
        assert_eq!(shown(&Private::new("9".to_owned())), "…9");
        let ids = ["+18005550199".to_owned(), "+18005550142".to_owned()];
        let strange = format!("{:?}", strange_caller_ids(&ids, &[number("")]).unwrap());
        assert!(
            strange.contains("…42") && !strange.contains("55501") && !strange.contains("…99"),
            "{strange}"
        );
        assert_eq!(strange_caller_ids(&ids[..1], &[number("")]), None);
    }
}
