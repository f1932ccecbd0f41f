//! The `trunkline` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    trunkline::cli::main(std::env::args_os())
}
