//! placeholder
#[test] fn a() {}
