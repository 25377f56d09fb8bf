//! The outer form of a block: a check sum, the length of what is inside, and that compressed (LZ4).

use lz4_flex::block::{compress, decompress_into};

/// Most bytes of a block when it is open. A single event can fill one; a larger event is not kept.
pub(crate) const MAX_RAW: usize = 4 << 20;

/// First bytes of the BLAKE3 hash over all that follows them: neither LZ4 nor SQLite notices a bit that fell over.
const CHECK: usize = 8;
const LENGTH: usize = 4;

fn check(rest: &[&[u8]]) -> [u8; CHECK] {
    let mut hasher = blake3::Hasher::new();
    for part in rest {
        hasher.update(part);
    }
    let mut sum = [0; CHECK];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// Closes a block.
pub(crate) fn seal(raw: &[u8]) -> Vec<u8> {
    let (length, packed) = ((raw.len() as u32).to_le_bytes(), compress(raw));
    [&check(&[&length, &packed])[..], &length, &packed].concat()
}

/// Opens a block; `None` when it is damaged. Nothing larger than [`MAX_RAW`] is ever allocated.
pub(crate) fn unseal(data: &[u8]) -> Option<Vec<u8>> {
    let (sum, rest) = data.split_at_checked(CHECK)?;
    if check(&[rest]) != sum {
        return None;
    }
    let (length, packed) = rest.split_at_checked(LENGTH)?;
    let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
    if length > MAX_RAW {
        return None;
    }
    let mut raw = vec![0; length];
    (decompress_into(packed, &mut raw).ok()? == length).then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_was_touched_anywhere_does_not_open() {
        let raw: Vec<u8> = (0..5000u32).flat_map(|i| (i % 700).to_le_bytes()).collect();
        let sealed = seal(&raw);
        assert_eq!(unseal(&sealed), Some(raw));
        for cut in [0, 3, 8, 11, 12, sealed.len() / 2, sealed.len() - 1] {
            assert_eq!(unseal(&sealed[..cut]), None, "torn at {cut}");
        }
        for place in (0..sealed.len()).step_by(7) {
            let mut hurt = sealed.clone();
            hurt[place] ^= 0x10;
            assert_eq!(unseal(&hurt), None, "bit turned in byte {place}");
        }
    }

    #[test]
    fn a_block_that_claims_to_be_huge_is_not_believed() {
        let rest = [&u32::MAX.to_le_bytes()[..], &compress(b"x")].concat();
        assert_eq!(unseal(&[&check(&[&rest])[..], &rest].concat()), None);
    }
}
