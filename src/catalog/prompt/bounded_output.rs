//! A writer that refuses to grow past a limit.

use std::io;

/// Collects what a template writes.
#[derive(Debug)]
pub(super) struct BoundedOutput {
    bytes: Vec<u8>,
    limit: usize,
}

impl BoundedOutput {
    /// A writer of at most `limit` bytes.
    pub(super) const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// What was written, unless it is no UTF-8.
    pub(super) fn into_text(self) -> Option<String> {
        String::from_utf8(self.bytes).ok()
    }
}

impl io::Write for BoundedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) > self.limit {
            return Err(io::Error::other("the output is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_would_pass_the_limit_is_refused() {
        let mut output = BoundedOutput::new(5);
        output.write_all(b"hello").unwrap();
        assert!(output.write_all(b"!").is_err());
        assert_eq!(output.into_text().as_deref(), Some("hello"));
    }
}
