//! What a service that takes no new calls answers to one that reaches it all the same: a redirect to the same webhook, where
//! a moment later another task is asked.

use axum::http::Uri;
use axum::response::Response;
use tracing::info;
use voice_protocols::twiml::Verb;
use voice_protocols::webhook::parse_form;

use super::Service;
use super::answers::{apologise, verbs};
use crate::metrics::Counter;

/// In the query of the webhook, how often the call was redirected.
const REDIRECTED: &str = "redirected";
/// A load balancer that still sends calls here after so many has nobody else to send them to.
const MOST_REDIRECTS: u32 = 3;
/// By then a load balancer has asked `/ready` again, perhaps.
const MOMENT: u32 = 1;

/// The answer to a new call while the service drains; `None` when it takes calls. `uri` is that of the webhook.
pub(super) fn elsewhere(service: &Service, uri: &Uri) -> Option<Response> {
    if !service.draining.is_cancelled() {
        return None;
    }
    let redirects = redirects(uri);
    if redirects >= MOST_REDIRECTS {
        return Some(apologise(service));
    }
    service.metrics().count(Counter::CallsRedirected);
    info!(redirects, "a new call is sent elsewhere: the service is draining");
    let target = service.public_url.http(&format!("{}?{REDIRECTED}={}", uri.path(), redirects + 1));
    Some(verbs(vec![Verb::Pause { seconds: MOMENT }, Verb::Redirect(target)]))
}

fn redirects(uri: &Uri) -> u32 {
    let query = uri.query().unwrap_or_default();
    let count = parse_form(query.as_bytes()).into_iter().find(|(name, _)| name == REDIRECTED);
    count.and_then(|(_, count)| count.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_counted_in_the_query() {
        for (uri, count) in [
            ("/twiml", 0),
            ("/twiml?redirected=2", 2),
            ("/twiml/desk?a=1&redirected=1", 1),
            ("/twiml?redirected=many", 0),
        ] {
            assert_eq!(redirects(&uri.parse().unwrap()), count, "{uri}");
        }
    }
}
