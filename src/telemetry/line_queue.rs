//! Log lines on their way to a reader who may be slow, stalled or gone. Nobody who logs waits; what does not fit is dropped
//! and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::metrics::{Counter, Metrics};

/// Bytes that may wait: some thousand lines.
const MOST_WAITING: usize = 1 << 20;

/// Cheap to clone; clones are one queue.
#[derive(Clone, Debug, Default)]
pub(super) struct LineQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Lines dropped before there was anything to count them in.
    dropped_early: AtomicU64,
    metrics: OnceLock<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines, one after the other.
    waiting: Vec<u8>,
    /// The thread is writing lines that it took out of `waiting`.
    writing: bool,
}

impl LineQueue {
    /// Takes a whole line, or drops it when there is no room.
    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + line.len() > MOST_WAITING {
            drop(state);
            return self.count_dropped(1);
        }
        state.waiting.extend_from_slice(line);
        drop(state);
        self.0.changed.notify_all();
    }

    /// Exchanges `written` for all that waits. Waits itself until there is something.
    fn take(&self, written: &mut Vec<u8>) {
        let mut state = self.lock();
        state.writing = false;
        self.0.changed.notify_all();
        let mut state = self
            .0
            .changed
            .wait_while(state, |state| state.waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        written.clear();
        std::mem::swap(&mut state.waiting, written);
        state.writing = true;
    }

    /// Waits until all is written, and no longer than this.
    pub(super) fn flush(&self, longest: Duration) {
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        // Whether it went in time changes nothing for a process that ends.
        drop(self.0.changed.wait_timeout_while(self.lock(), longest, busy));
    }

    pub(super) fn count_in(&self, metrics: &Metrics) {
        let metrics = self.0.metrics.get_or_init(|| metrics.clone());
        metrics.add(Counter::LogLinesDropped, self.0.dropped_early.swap(0, Ordering::Relaxed));
    }

    fn count_dropped(&self, lines: u64) {
        match self.0.metrics.get() {
            Some(metrics) => metrics.add(Counter::LogLinesDropped, lines),
            None => {
                self.0.dropped_early.fetch_add(lines, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes lines to `output` for as long as the process lives.
pub(super) fn writer_thread(lines: LineQueue, mut output: impl Write + Send + 'static) -> io::Result<()> {
    let write = move || {
        let mut taken = Vec::new();
        loop {
            lines.take(&mut taken);
            if output.write_all(&taken).and_then(|()| output.flush()).is_err() {
                lines.count_dropped(taken.split(|byte| *byte == b'\n').count() as u64 - 1);
            }
        }
    };
    std::thread::Builder::new().name("log".to_owned()).spawn(write).map(drop)
}

/// One line. The formatter writes it whole, with its line break, in one go.
#[derive(Debug)]
pub(super) struct Line<'a>(&'a LineQueue);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that passes on what it is given, and stalls for as long as nobody takes it.
    struct Stalling(mpsc::SyncSender<Vec<u8>>);

    impl Write for Stalling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_arrive_in_order_and_whole() {
        let lines = LineQueue::default();
        let (output, read) = mpsc::sync_channel(1000);
        writer_thread(lines.clone(), Stalling(output)).unwrap();
        for number in 0..100 {
            lines.make_writer().write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        lines.flush(Duration::from_secs(10));
        let written = String::from_utf8(read.try_iter().flatten().collect()).unwrap();
        let expected: Vec<_> = (0..100)
            .map(|number| {
                format!(
                    "line {number}
"
                )
            })
            .collect();
        assert_eq!(written, expected.concat());
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time() {
        let lines = LineQueue::default();
        let (output, read) = mpsc::sync_channel(0);
        writer_thread(lines.clone(), Stalling(output)).unwrap();
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        let metrics = Metrics::default();
        for number in 0..3000 {
            if number == 2000 {
                lines.count_in(&metrics);
            }
            lines.make_writer().write_all(&line).unwrap();
        }
        let dropped = metrics.value(Counter::LogLinesDropped);
        // The thread may have taken one load out of the queue before it stalled.
        assert!((952..=1976).contains(&dropped), "{dropped}");
        lines.flush(Duration::from_millis(1));
        // Nobody listens any more: what waits is lost, and counted as such.
        drop(read);
        lines.flush(Duration::from_secs(10));
        assert_eq!(metrics.value(Counter::LogLinesDropped), 3000);
    }
}
