//! The service whole, between stand-ins: one binary, one module for each subject.

mod answering;
mod support;
