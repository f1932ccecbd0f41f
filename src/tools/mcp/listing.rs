//! What is remembered of a server's list of tools, and when to ask again. Not the asking.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::Tool as FoundTool;
use tokio::time::Instant;

use super::server::Joint;
use super::trouble::Trouble;

/// So long a list is taken as it is.
const FRESH: Duration = Duration::from_mins(5);
/// So long an old list is better than none.
const STALE: Duration = Duration::from_hours(1);
/// A server that did not tell is left in peace for as long, so that use cases do not wait for it one after the other.
const PEACE: Duration = Duration::from_secs(5);

/// A server's tools as it described them.
pub(super) type Found = Arc<[FoundTool]>;

#[derive(Debug, Default)]
pub(super) struct Listing {
    kept: Option<(Found, Instant)>,
    asking: Asking,
}

#[derive(Debug, Default)]
enum Asking {
    #[default]
    Idle,
    UnderWay(Joint<Found>),
    Failed {
        at: Instant,
        trouble: Trouble,
    },
}

/// What is to be done for somebody who wants the list.
#[derive(Debug)]
pub(super) enum Next {
    Know(Listed),
    Join(Joint<Found>),
    Fetch,
}

/// What somebody who wanted the list gets.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) tools: Result<Found, Trouble>,
    /// The server was asked on this occasion, and nobody else reports what came of it.
    pub(super) is_news: bool,
    /// Why the list is old, or there is none.
    trouble: Option<Trouble>,
}

impl Listed {
    pub(super) fn news_of_trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref().filter(|_| self.is_news)
    }
}

impl Listing {
    pub(super) fn next(&self, now: Instant) -> Next {
        if let Some((tools, at)) = &self.kept
            && now.duration_since(*at) < FRESH
        {
            return Next::Know(Listed { tools: Ok(Arc::clone(tools)), is_news: false, trouble: None });
        }
        match &self.asking {
            Asking::UnderWay(fetching) if fetching.peek().is_none() => Next::Join(fetching.clone()),
            Asking::Failed { at, trouble } if now.duration_since(*at) < PEACE => {
                Next::Know(self.without_answer(trouble.clone(), false, now))
            }
            Asking::Idle | Asking::UnderWay(_) | Asking::Failed { .. } => Next::Fetch,
        }
    }

    pub(super) fn fetching(&mut self, fetching: Joint<Found>) {
        self.asking = Asking::UnderWay(fetching);
    }

    /// Takes what asking led to.
    pub(super) fn fetched(&mut self, result: Result<Found, Trouble>, is_news: bool, now: Instant) -> Listed {
        match result {
            Ok(tools) => {
                self.kept = Some((Arc::clone(&tools), now));
                self.asking = Asking::Idle;
                Listed { tools: Ok(tools), is_news, trouble: None }
            }
            Err(trouble) => {
                self.asking = Asking::Failed { at: now, trouble: trouble.clone() };
                self.without_answer(trouble, is_news, now)
            }
        }
    }

    fn without_answer(&self, trouble: Trouble, is_news: bool, now: Instant) -> Listed {
        let old = self.kept.as_ref().filter(|(_, at)| now.duration_since(*at) < STALE);
        let tools = old.map(|(tools, _)| Arc::clone(tools)).ok_or_else(|| trouble.clone());
        Listed { tools, is_news, trouble: Some(trouble) }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::{pending, ready};

    use super::*;

    fn found() -> Found {
        Arc::from([FoundTool::new("book", "Books", serde_json::Map::new())])
    }

    fn trouble() -> Trouble {
        Trouble::NotReachable("refused".to_owned())
    }

    #[test]
    fn a_young_list_is_taken_as_it_is_and_an_older_one_asked_for() {
        let (mut listing, start) = (Listing::default(), Instant::now());
        assert!(matches!(listing.next(start), Next::Fetch));
        let listed = listing.fetched(Ok(found()), true, start);
        assert!(listed.is_news && listed.news_of_trouble().is_none());
        let Next::Know(known) = listing.next(start + FRESH - Duration::from_secs(1)) else {
            panic!("{listing:?}")
        };
        assert!(known.tools.is_ok() && !known.is_news);
        assert!(matches!(listing.next(start + FRESH), Next::Fetch));
    }

    #[test]
    fn who_comes_while_the_server_is_asked_waits_for_the_same_answer() {
        let mut listing = Listing::default();
        listing.fetching(pending().boxed().shared());
        assert!(matches!(listing.next(Instant::now()), Next::Join(_)));
        let answered: Joint<Found> = ready(Ok(found())).boxed().shared();
        assert!(answered.clone().now_or_never().is_some());
        listing.fetching(answered);
        assert!(matches!(listing.next(Instant::now()), Next::Fetch), "an answer that nobody took is no list");
    }

    #[test]
    fn an_old_list_is_served_for_an_hour_when_the_server_does_not_answer() {
        let (mut listing, start) = (Listing::default(), Instant::now());
        listing.fetched(Ok(found()), true, start);
        let almost = start + STALE - Duration::from_secs(1);
        let listed = listing.fetched(Err(trouble()), true, almost);
        assert!(listed.tools.is_ok());
        assert_eq!(listed.news_of_trouble(), Some(&trouble()));
        let gone = listing.fetched(Err(trouble()), true, start + STALE);
        assert_eq!(gone.tools.unwrap_err(), trouble());
    }

    #[test]
    fn a_server_that_does_not_answer_is_left_in_peace_for_a_while() {
        let (mut listing, start) = (Listing::default(), Instant::now());
        listing.fetched(Err(trouble()), true, start);
        let Next::Know(listed) = listing.next(start + PEACE - Duration::from_secs(1)) else {
            panic!("{listing:?}")
        };
        assert!(listed.tools.is_err());
        assert_eq!(listed.news_of_trouble(), None, "it was told when it happened");
        assert!(matches!(listing.next(start + PEACE), Next::Fetch));
    }
}
