//! placeholder
#[test]
fn a() {}
