//! Names of traces and spans. A call's trace has the name of the call, so that an operator who knows its `CallSid` finds
//! it, and sessions on different tasks tell the same trace.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The trace of one call; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId(u128);

/// One span; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanId(u64);

impl TraceId {
    /// The 32 hexadecimal digits after `CA`; of anything else, the beginning of its SHA-256.
    pub(super) fn of_call(call_sid: &str) -> Self {
        let digits = call_sid.strip_prefix("CA").filter(|digits| is_hexadecimal(digits));
        let id = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok()).filter(|id| *id != 0);
        Self(id.unwrap_or_else(|| {
            Sha256::digest(call_sid).iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte))
        }))
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    /// The same for every session of a call, on every task.
    pub(super) fn root_span(self) -> SpanId {
        SpanId(self.last_half().max(1))
    }

    /// Whether this call is among those that are traced. Decides as OpenTelemetry's consistent probability sampling does,
    /// by the last 56 bits: the ones before them are not random in ids made by UUID generators.
    pub(super) fn is_traced(self, ratio: f64) -> bool {
        const RANDOM: u64 = 1 << 56;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a ratio between 0 and 1 of a bound that is a power of two"
        )]
        let left_out = ((1.0 - ratio) * RANDOM as f64) as u64;
        self.last_half() % RANDOM >= left_out
    }

    fn last_half(self) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the other half is not wanted")]
        let half = self.0 as u64;
        half
    }
}

impl SpanId {
    pub(super) fn random() -> Self {
        Self(Uuid::new_v4().as_u64_pair().0.max(1))
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

fn is_hexadecimal(digits: &str) -> bool {
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_found_by_the_sid_of_its_call() {
        let id = TraceId::of_call("CA00112233445566778899aabbccddeeff");
        assert_eq!(id.bytes()[..3], [0x00, 0x11, 0x22]);
        assert_eq!(id.root_span().bytes(), [0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
    }

    #[test]
    fn every_text_has_a_trace_of_its_own_and_none_is_zero() {
        let odd = ["", "CA", "CA00000000000000000000000000000000", "CA+0112233445566778899aabbccddeeff", "x"];
        let ids = odd.map(TraceId::of_call);
        for (index, id) in ids.iter().enumerate() {
            assert_ne!(id.0, 0);
            assert_ne!(id.root_span().0, 0);
            assert!(!ids[..index].contains(id), "{}", odd[index]);
        }
        assert_ne!(TraceId(1 << 64).root_span().0, 0);
        assert_ne!(SpanId::random(), SpanId::random());
    }

    #[test]
    fn a_ratio_traces_about_that_part_of_all_calls() {
        let traced = |ratio| {
            let calls = (0..1000).map(|_| TraceId::of_call(&format!("CA{}", Uuid::new_v4().simple())));
            calls.filter(|id| id.is_traced(ratio)).count()
        };
        assert_eq!((traced(0.0), traced(1.0)), (0, 1000));
        assert!((150..350).contains(&traced(0.25)));
    }
}
