use super::*;

/// The rule of ITU-T G.711 told in another way: 8 segments of 16 steps, the steps of each twice as wide as
/// those of the one before, counted from the middle of the first step, which is silence.
fn samples_by_the_standard() -> Vec<i16> {
    let mut samples = vec![0];
    let mut width = 8;
    while samples.len() < 128 {
        let last = samples[samples.len() - 1];
        // Between two segments the distance is half of either width each.
        let distance = if samples.len() % 16 == 0 { width + width / 2 } else { width };
        if samples.len() % 16 == 0 {
            width *= 2;
        }
        samples.push(last + distance);
    }
    samples
}

#[test]
fn decodes_every_code_as_the_standard_says() {
    let samples = samples_by_the_standard();
    for (index, &sample) in samples.iter().enumerate() {
        let index = u8::try_from(index).unwrap();
        assert_eq!(decode(0xFF - index), sample, "positive {index}");
        assert_eq!(decode(0x7F - index), -sample, "negative {index}");
    }
    assert_eq!((decode(0x80), decode(0x00)), (32_124, -32_124));
}

#[test]
fn every_code_survives_decoding() {
    for code in 0..=u8::MAX {
        // 0x7F is a negative zero, which linear samples do not have.
        let expected = if code == 0x7F { 0xFF } else { code };
        assert_eq!(encode(decode(code)), expected, "{code:#x}");
    }
}

/// The magnitudes at which one step ends and the next begins: half a step of silence, then 15 steps of 8, then
/// 16 each of 16, 32 … 1024.
fn decision_values() -> Vec<u16> {
    let mut edges = vec![4];
    while edges.len() < 127 {
        let width = 8 << ((edges.len()) / 16);
        edges.push(edges[edges.len() - 1] + width);
    }
    edges
}

#[test]
fn every_sample_gets_the_code_between_its_decision_values() {
    let edges = decision_values();
    // The ends of the segments, as the standard lists them in units of four.
    let ends = [15, 31, 47, 63, 79, 95, 111].map(|last| edges[last] / 4);
    assert_eq!(ends, [31, 95, 223, 479, 991, 2015, 4063]);
    for sample in i16::MIN..=i16::MAX {
        let index = edges.partition_point(|&edge| edge <= sample.unsigned_abs());
        let index = u8::try_from(index).unwrap();
        let expected = if sample < 0 { 0x7F - index } else { 0xFF - index };
        assert_eq!(encode(sample), expected, "{sample}");
    }
}

#[test]
fn louder_samples_never_get_quieter() {
    for sample in i16::MIN..i16::MAX {
        assert!(decode(encode(sample)) <= decode(encode(sample + 1)), "{sample}");
    }
}

#[test]
fn slices_are_appended() {
    let mut codes = vec![1];
    encode_into(&[0, -1, i16::MAX, i16::MIN], &mut codes);
    assert_eq!(codes, [1, 0xFF, 0x7F, 0x80, 0x00]);
    let mut samples = vec![7];
    decode_into(&codes[1..], &mut samples);
    assert_eq!(samples, [7, 0, 0, 32_124, -32_124]);
}
