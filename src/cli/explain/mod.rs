//! `trunkline explain`: prints a call from the table, each turn as a waterfall of its parts.
//!
//! The words of the call are shown, because whoever asks for a call may read the table. Numbers of people are shown only
//! on request.

mod document;
mod page;
mod waterfall;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};
use voice_core::ports::{CallReader, RecordedCall, Usage};

use super::{flag, say, say_error, source};
use crate::app::{aws_config, store};
use crate::config::{SETTINGS, Settings};
use crate::telemetry::causes;

/// What one generation of a model cost, in dollars, if that is known.
type Price<'a> = &'a dyn Fn(&str, &Usage) -> Option<f64>;

/// How a call is shown.
#[derive(Clone, Copy)]
struct View<'a> {
    numbers: bool,
    price: Price<'a>,
}

pub(super) fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new("explain")
        .about("Print a call from the table: what was said and heard, and where the time of each turn went")
        .arg(Arg::new("call-sid").value_name("CALL_SID").required(true).help("Twilio's id of the call"))
        .arg(switch("json", "As one JSON document"))
        .arg(switch("numbers", "With the telephone numbers of the call"))
        .args(
            SETTINGS.iter().filter(|setting| ["TABLE_NAME", "PRICES"].contains(&setting.variable)).map(flag),
        )
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let call_sid = matches.get_one::<String>("call-sid").cloned().unwrap_or_default();
    let table = Settings::read_table_name(&source(matches))?;
    let prices = Settings::read_prices(&source(matches))?;
    let aws = aws_config().await.context("no AWS configuration")?;
    let read = store(&aws, table.clone(), Duration::ZERO).read_call(&call_sid).await;
    let Some(call) = read.map_err(|error| anyhow::anyhow!("{}", causes(&error)))? else {
        say_error(&format!(
            "there is no call {call_sid} in the table {table}; what is kept of a call expires after KEEP_CALLS_HOURS"
        ));
        return Ok(ExitCode::FAILURE);
    };
    let price = |model: &str, usage: &Usage| prices.cost(model, usage);
    let view = View { numbers: matches.get_flag("numbers"), price: &price };
    say(&if matches.get_flag("json") {
        document::of(&call, view).to_string()
    } else {
        page::of(&call, view)
    });
    Ok(ExitCode::SUCCESS)
}

/// What all generations of a call read and wrote, and what that cost as far as prices are known.
fn spent(call: &RecordedCall, view: View<'_>) -> (Usage, Option<f64>) {
    let mut total = Usage::default();
    let mut cost = None;
    for report in call.messages.iter().filter_map(|message| message.generation.as_ref()) {
        let Some(usage) = &report.usage else { continue };
        total.input += usage.input;
        total.output += usage.output;
        total.cache_read += usage.cache_read;
        total.cache_write += usage.cache_write;
        if let Some(price) = (view.price)(report.model.as_deref().unwrap_or(&call.model), usage) {
            cost = Some(cost.unwrap_or_default() + price);
        }
    }
    (total, cost)
}
