//! Stand-ins that speak the real protocols of the systems around the service, and what is played against it with
//! them: callers, scenarios and load. It knows the service only from outside.

pub mod balancer;
pub mod bedrock;
pub mod draws;
pub mod dynamodb;
pub mod load;
pub mod scenario;
pub mod twilio;
