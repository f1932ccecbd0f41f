//! Trunkline whole on one machine, for development and tests.
//!
//! [`stage`] puts the real service between stand-ins. Nothing of this is in the service's own binary.

pub mod banner;
pub mod chaos;
pub mod home;
pub mod load;
pub mod phone;
pub mod samples;
pub mod scenarios;
pub mod service_process;
pub mod stage;
