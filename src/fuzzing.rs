//! What the targets under `fuzz/` call of parsers that are nobody else's business. Only there with the feature `fuzzing`.

pub use crate::config::authored::fuzzing as authored;
pub use crate::http::fuzzing as http;
pub use crate::session::fuzzing as session;
pub use crate::tools::fuzzing as tools;
pub use crate::tools::http::fuzzing as http_tools;
pub use crate::tools::mcp::fuzzing as mcp_tools;
