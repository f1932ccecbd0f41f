//! The command line: what can be asked of `trunkline`, and with which exit code it answers.

mod call;
mod doctor;
mod explain;
mod healthcheck;
mod serve;
mod use_case;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{SETTINGS, Setting, SettingError, environment};

/// A setting is missing or wrong (`EX_USAGE` of sysexits).
const BAD_SETTING: u8 = 64;

/// Runs the command that `arguments` ask for.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match command().try_get_matches_from(arguments) {
        Ok(matches) => run(&matches),
        Err(error) => {
            // Help and version are no errors; what fails to be printed has nobody to read it.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(BAD_SETTING) } else { ExitCode::SUCCESS }
        }
    }
}

fn run(matches: &ArgMatches) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match matches.subcommand() {
            Some(("use-case", matches)) => use_case::run(matches).await,
            Some(("call", matches)) => call::run(matches).await,
            Some(("doctor", matches)) => Box::pin(doctor::run(matches)).await,
            Some(("explain", matches)) => explain::run(matches).await,
            Some(("healthcheck", matches)) => healthcheck::run(source(matches)).await,
            Some((_, matches)) => serve::run(source(matches)).await,
            None => serve::run(source(matches)).await,
        }
    });
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    say_error(&format!("{error:#}"));
    if error.downcast_ref::<SettingError>().is_some() {
        ExitCode::from(BAD_SETTING)
    } else {
        ExitCode::FAILURE
    }
}

fn command() -> Command {
    let serve =
        Command::new("serve").about("Run the service (the default command)").args(SETTINGS.iter().map(flag));
    let healthcheck = Command::new("healthcheck")
        .about("Ask the service on this machine whether it lives; exit 0 or 1")
        .args(SETTINGS.iter().filter(|setting| setting.variable == "PORT").map(flag));
    Command::new("trunkline")
        .about("Answers telephone calls with AI agents")
        .version(env!("CARGO_PKG_VERSION"))
        .args(SETTINGS.iter().map(flag))
        .args_conflicts_with_subcommands(true)
        .subcommand(serve)
        .subcommand(use_case_command())
        .subcommand(call_command())
        .subcommand(doctor_command())
        .subcommand(explain::command())
        .subcommand(healthcheck)
}

fn use_case_command() -> Command {
    let paths = || {
        Arg::new("path")
            .value_name("PATH")
            .action(ArgAction::Append)
            .required(true)
            .value_parser(clap::value_parser!(PathBuf))
            .help("A folder of authored items, a use case's folder, or a TOML or JSON file")
    };
    let table = || SETTINGS.iter().filter(|setting| setting.variable == "TABLE_NAME").map(flag);
    Command::new("use-case")
        .about("Check, print and load use cases, caller profiles and phone numbers")
        .subcommand_required(true)
        .subcommand(
            Command::new("check")
                .about("Say what is wrong with authored items; exit 1 if anything is")
                .arg(paths()),
        )
        .subcommand(
            Command::new("item")
                .about("Print one item as DynamoDB JSON, fit for `aws dynamodb put-item --item`")
                .arg(paths()),
        )
        .subcommand(
            Command::new("put")
                .about("Check items and write them to the table")
                .arg(paths())
                .arg(
                    Arg::new("overwrite-records")
                        .long("overwrite-records")
                        .action(ArgAction::SetTrue)
                        .help("Write records that exist already too, which calls may have changed since"),
                )
                .args(table()),
        )
        .subcommand(Command::new("list").about("List the use cases in the table").args(table()))
}

fn call_command() -> Command {
    let own = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help);
    let of_service = |setting: &&Setting| ["PUBLIC_URL", "WS_URL", "API_TOKEN"].contains(&setting.variable);
    Command::new("call")
        .about("Have a running service place a call; prints its id, and exits 1 when it was not placed")
        .arg(own("to", "The number to call, such as +14155550100").value_name("NUMBER").required(true))
        .arg(own("use-case", "Who talks to the person").value_name("NAME").required(true))
        .arg(own("from", "One of OUTBOUND_CALLER_IDS; the first of them when absent").value_name("NUMBER"))
        .arg(
            own("variables", "What prompts and tools may know of it")
                .value_name("NAME=VALUE")
                .num_args(1..)
                .action(ArgAction::Append)
                .value_parser(call::variable),
        )
        .arg(
            own("machine", "When a machine answers: ignore, hangUp, or say:<what is left as a message>")
                .value_name("WHAT")
                .value_parser(call::machine),
        )
        .arg(own("idempotency-key", "The same key again is the same call").value_name("KEY"))
        .arg(own("url", "Where the service is, instead of PUBLIC_URL").value_name("URL"))
        .args(SETTINGS.iter().filter(of_service).map(flag))
}

fn doctor_command() -> Command {
    Command::new("doctor")
        .about(
            "Check table, models, public address, Twilio and clock, and say what to do; exit 1 for a problem",
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print the findings as one JSON object"),
        )
        .args(SETTINGS.iter().map(flag))
}

fn flag(setting: &Setting) -> Arg {
    let default = setting.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
    let names = [&[setting.variable], setting.aliases].concat().join(" or ");
    let text = format!("{} [env: {names}]{default}", capitalised(setting.help));
    Arg::new(setting.variable).long(setting.flag()).value_name(setting.variable).help(text)
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Flags win over the environment.
fn source(matches: &ArgMatches) -> impl Fn(&str) -> Option<String> + '_ {
    |name| {
        let flag = matches.try_get_one::<String>(name).ok().flatten();
        flag.cloned().or_else(|| environment(name))
    }
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the complaint of a command")]
fn say_error(text: &str) {
    eprintln!("trunkline: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_lists_every_setting() {
        let mut command = command();
        command.clone().debug_assert();
        let help = command.find_subcommand_mut("serve").unwrap().render_long_help().to_string();
        for setting in SETTINGS {
            assert!(
                help.contains(setting.variable) && help.contains(&format!("--{}", setting.flag())),
                "{help}"
            );
        }
    }

    #[test]
    fn a_flag_wins_over_the_environment() {
        let matches = command().try_get_matches_from(["trunkline", "--port", "4000"]).unwrap();
        assert_eq!(source(&matches)("PORT").as_deref(), Some("4000"));
        assert_eq!(source(&matches)("NO_SUCH_VARIABLE"), None);
    }
}
