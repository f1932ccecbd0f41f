//! What operators configured, ready to use: use cases, caller profiles and phone numbers, cached.
//!
//! A record is fresh for half a minute. It is read anew behind the call, and when the table is out of reach the last good
//! one keeps answering. Who may answer and what is said is not decided here. The do-not-call list is never cached.

mod cache;
pub mod dynamodb_json;
pub mod profile_item;
pub mod prompt;
pub mod references;
mod remote_tools;
pub mod use_case_item;

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};
use voice_core::ports::{BoxFuture, RecordStore, RemoteTools, StoreError, StoreErrorKind, UseCaseSource};
use voice_core::use_case::{CallerProfile, UseCase};

use crate::metrics::{Counter, Metrics};
use cache::{Cache, Refresh};

/// Cheap to clone; clones share one cache.
#[derive(Clone, Debug)]
pub struct Catalog {
    records: Arc<dyn RecordStore>,
    remote: Arc<dyn RemoteTools>,
    metrics: Metrics,
    use_cases: Arc<Cache<UseCase>>,
    profiles: Arc<Cache<CallerProfile>>,
    numbers: Arc<Cache<String>>,
}

/// Why there is no use case to answer with.
#[derive(Debug, thiserror::Error)]
pub enum NoUseCase {
    #[error("there is no use case {0:?}")]
    Missing(String),
    #[error("the use case {name:?} cannot be used: {problem}")]
    Broken { name: String, problem: String },
    #[error("its record was not read")]
    Unreachable(#[source] Arc<StoreError>),
}

impl Catalog {
    /// `remote` tells which tools the servers of a use case have.
    pub fn new(
        records: Arc<dyn RecordStore>,
        remote: Arc<dyn RemoteTools>,
        tasks: &TaskTracker,
        metrics: Metrics,
    ) -> Self {
        let use_cases = Cache::new(tasks.clone(), metrics.clone());
        Self {
            records,
            remote,
            // The first caller waits for the record, and for the servers that it names.
            use_cases: Arc::new(use_cases.with_first_patience(cache::PATIENCE + remote_tools::LISTING)),
            profiles: Arc::new(Cache::new(tasks.clone(), metrics.clone())),
            numbers: Arc::new(Cache::new(tasks.clone(), metrics.clone())),
            metrics,
        }
    }

    pub async fn use_case(&self, name: &str) -> Result<Arc<UseCase>, NoUseCase> {
        let this = self.clone();
        let found =
            self.use_cases.get(name, move |name| Box::pin(async move { this.read_use_case(&name).await }));
        match found.await {
            Ok(Some(use_case)) => Ok(use_case),
            Ok(None) => Err(NoUseCase::Missing(name.to_owned())),
            Err(Refresh::Unreachable(error)) => Err(NoUseCase::Unreachable(error)),
            Err(Refresh::Broken(problem)) => Err(NoUseCase::Broken { name: name.to_owned(), problem }),
        }
    }

    /// What is known of a caller. Nothing, when the table is out of reach: the call goes on without.
    pub async fn profile(&self, number: &str) -> Option<Arc<CallerProfile>> {
        let records = Arc::clone(&self.records);
        let read = move |number: String| -> cache::Reading<CallerProfile> {
            Box::pin(async move {
                Ok(read_record(&*records, &number, "profile")
                    .await?
                    .map(|item| profile_item::parse_profile(&item)))
            })
        };
        self.profiles.get(number, read).await.unwrap_or_else(|failure| {
            warn!(%failure, "a caller's profile was not read");
            None
        })
    }

    /// The use case of a called number.
    pub async fn use_case_of_number(&self, number: &str) -> Option<Arc<String>> {
        let records = Arc::clone(&self.records);
        let read = move |number: String| -> cache::Reading<String> {
            Box::pin(async move {
                Ok(read_record(&*records, &number, "number")
                    .await?
                    .and_then(|item| profile_item::parse_number(&item)))
            })
        };
        self.numbers.get(number, read).await.unwrap_or_else(|failure| {
            warn!(%failure, "a phone number's record was not read");
            None
        })
    }

    async fn read_use_case(&self, name: &str) -> Result<Option<UseCase>, Refresh> {
        let reading = read_record(&*self.records, name, "configuration");
        // What is left of a first reader's patience belongs to the servers of tools.
        let Some(item) = timeout(cache::PATIENCE, reading).await.map_err(|_| too_slow())?? else {
            return Ok(None);
        };
        match use_case_item::parse_use_case(&item) {
            Ok(parsed) => {
                for problem in parsed.warnings.iter().chain(&parsed.attribute_errors) {
                    warn!(use_case = name, %problem, "a use case has a flaw");
                }
                Ok(Some(remote_tools::added(parsed.use_case, &*self.remote, &self.metrics).await))
            }
            Err(problems) => {
                self.metrics.count(Counter::UseCasesBroken);
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                let problem = problems.join("; ");
                error!(use_case = name, problem, "a use case cannot be used");
                Err(Refresh::Broken(problem))
            }
        }
    }
}

impl UseCaseSource for Catalog {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<UseCase>, String>> {
        Box::pin(async move { self.use_case(name).await.map_err(|error| error.to_string()) })
    }
}

async fn read_record(
    records: &dyn RecordStore,
    pk: &str,
    sk: &str,
) -> Result<Option<Map<String, Value>>, Refresh> {
    if pk.is_empty() {
        return Ok(None);
    }
    records.get_record(pk, sk).await.map_err(|error| Refresh::Unreachable(Arc::new(error)))
}

fn too_slow() -> Refresh {
    Refresh::Unreachable(Arc::new(StoreError { kind: StoreErrorKind::Unavailable, source: None }))
}
