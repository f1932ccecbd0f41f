//! Keeps connections to the model and to the table open, so that the first call after a quiet night is answered as fast as
//! any other.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info_span};
use voice_core::ports::RecordStore;

use crate::language_models::bedrock::Bedrock;

/// How often connections are looked at. What is used in every second round is never idle for a minute, after which load
/// balancers begin to forget connections.
const ROUND: Duration = Duration::from_secs(25);
/// There is no item of this key, and none will be.
const NO_ITEM: &str = "warm-up";

/// Looks after the connections from now on until the service stops taking calls: those to the table, and those to the model
/// if there is one.
pub(crate) fn keep(
    tasks: &TaskTracker,
    stop: &CancellationToken,
    model: Option<Arc<Bedrock>>,
    records: &Arc<dyn RecordStore>,
) {
    let records = Arc::clone(records);
    let rounds = async move {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            let of_the_model = async {
                if let Some(model) = &model {
                    model.warm_up(ROUND).await;
                }
            };
            let of_the_table = async {
                if let Err(error) = records.get_record(NO_ITEM, NO_ITEM).await {
                    debug!(%error, "the connection to the table could not be kept warm");
                }
            };
            tokio::join!(of_the_model, of_the_table);
        }
    };
    tasks.spawn(stop.clone().run_until_cancelled_owned(rounds).instrument(info_span!("warm_up")));
}
