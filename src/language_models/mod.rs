//! Adapters for models that answer in text.

pub mod bedrock;
