//! One text frame of ConversationRelay, read as the service reads it and as a stand-in for Twilio would: what was
//! understood is still the same after it was written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use voice_protocols::relay::{Inbound, MalformedFrame, Outbound};

fuzz_target!(|text: &str| {
    if let Ok(frame) = Inbound::parse(text) {
        if let Inbound::Error(report) = &frame {
            let _ = report.code();
        }
        assert_eq!(Inbound::parse(&frame.to_json()).as_ref(), Ok(&frame));
    }
    if let Ok(message) = Outbound::parse(text) {
        let json = message.to_json();
        assert_eq!(Outbound::parse(&json).as_ref(), Ok(&message));
        assert!(
            !matches!(Inbound::parse(&json), Err(MalformedFrame::NotJson { .. })),
            "what is sent is JSON"
        );
    }
});
