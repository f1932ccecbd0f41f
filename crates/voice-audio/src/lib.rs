//! G.711 µ-law, the audio of telephone networks: 8000 samples a second, one byte each, for 16-bit linear PCM.
//!
//! Not for framing, resampling or levels, and not for the other law of G.711 (A-law).

/// Added to a magnitude so that each segment begins at a power of two.
const BIAS: i32 = 0x84;
/// The largest magnitude that still fits the top segment with the bias added.
const CLIP: i32 = 32_635;

static DECODED: [i16; 256] = decode_table();
static ENCODED: [u8; 65_536] = encode_table();

/// The linear sample of a code, from -32124 to 32124.
pub fn decode(code: u8) -> i16 {
    DECODED[usize::from(code)]
}

/// The code of a linear sample, by the decision values of G.711. Silence (0) becomes 0xFF; what is beyond the
/// range is clipped.
pub fn encode(sample: i16) -> u8 {
    ENCODED[usize::from(sample.cast_unsigned())]
}

/// Appends the samples of `codes`. It allocates only where `samples` has no room left.
pub fn decode_into(codes: &[u8], samples: &mut Vec<i16>) {
    samples.extend(codes.iter().map(|&code| decode(code)));
}

/// Appends the codes of `samples`. It allocates only where `codes` has no room left.
pub fn encode_into(samples: &[i16], codes: &mut Vec<u8>) {
    codes.extend(samples.iter().map(|&sample| encode(sample)));
}

const fn decode_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    loop {
        table[code as usize] = expand(code);
        if code == u8::MAX {
            return table;
        }
        code += 1;
    }
}

#[expect(clippy::large_stack_arrays, reason = "the compiler evaluates it; no stack ever holds it")]
const fn encode_table() -> [u8; 65_536] {
    let mut table = [0; 65_536];
    let mut sample = i16::MIN;
    loop {
        table[sample.cast_unsigned() as usize] = compress(sample);
        if sample == i16::MAX {
            return table;
        }
        sample += 1;
    }
}

/// A code is sent inverted: one sign bit (1 is negative), three of the segment, four of the step in it.
#[expect(clippy::cast_possible_truncation, reason = "the magnitude is at most 32124")]
const fn expand(code: u8) -> i16 {
    let bits = !code;
    let segment = (bits >> 4) & 0x07;
    let step = (bits & 0x0F) as i32;
    let magnitude = (((step << 3) + BIAS) << segment) - BIAS;
    if bits & 0x80 == 0 { magnitude as i16 } else { -magnitude as i16 }
}

#[expect(clippy::cast_possible_truncation, reason = "sign, segment and step fill exactly eight bits")]
#[expect(clippy::cast_sign_loss, reason = "the magnitude is not negative")]
const fn compress(sample: i16) -> u8 {
    let magnitude = (sample as i32).abs();
    let biased = (if magnitude > CLIP { CLIP } else { magnitude }) + BIAS;
    let segment = biased.ilog2() - 7;
    let step = (biased >> (segment + 3)) & 0x0F;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment << 4) as u8 | step as u8)
}

#[cfg(test)]
mod tests;
