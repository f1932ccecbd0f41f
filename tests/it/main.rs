//! The service whole, between stand-ins: one binary, one module for each subject.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is tests; clippy takes only functions marked as such for tests"
)]

mod answering;
mod api;
mod architecture;
mod bad_input;
mod bare;
mod command_line;
mod conversing;
mod doctor;
mod draining;
mod explaining;
mod failing_models;
mod guide;
mod handoff;
mod limits;
mod mcp_server;
mod mcp_tools;
mod outbound;
mod overload;
mod privacy;
mod requests;
mod resuming;
mod scenarios;
mod socket;
mod support;
mod task_protection;
mod telemetry;
mod telephony;
mod tool_rounds;
mod two_services;
