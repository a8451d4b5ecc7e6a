//! Sets of types in wire form (RFC 4034 section 4.1.2): what NSEC, NSEC3 and CSYNC say is there.

/// Appends the bitmap of types, which ascend (RFC 4034 section 4.1.2).
pub fn put_bitmap(types: &[u16], out: &mut Vec<u8>) {
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let last = window[window.len() - 1] as u8;
        out.extend([(window[0] >> 8) as u8, last / 8 + 1]);
        let at = out.len();
        out.resize(at + usize::from(last / 8) + 1, 0);
        for rtype in window {
            let bit = *rtype as u8;
            out[at + usize::from(bit / 8)] |= 0x80 >> (bit % 8);
        }
    }
}

/// The types of a bitmap; those before the fault, if it is malformed.
pub fn types_of(mut bitmap: &[u8]) -> Vec<u16> {
    let mut types = Vec::new();
    while let [window, len, rest @ ..] = bitmap {
        let Some((octets, rest)) = rest.split_at_checked(usize::from(*len)) else { break };
        for (i, octet) in octets.iter().enumerate() {
            let set = (0..8u16).filter(|bit| octet & (0x80 >> bit) != 0);
            types.extend(set.map(|bit| (u16::from(*window) << 8) + i as u16 * 8 + bit));
        }
        bitmap = rest;
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4034 section 4.3: A, MX, RRSIG, NSEC and TYPE1234.
    #[test]
    fn bitmaps_are_as_published() {
        let types = [1, 15, 46, 47, 1234];
        let mut out = Vec::new();
        put_bitmap(&types, &mut out);
        let window_4: Vec<u8> = [vec![4, 0x1b], vec![0; 26], vec![0x20]].concat();
        assert_eq!(out, [vec![0, 6, 0x40, 1, 0, 0, 0, 3], window_4].concat());
        assert_eq!(types_of(&out), types);
        assert_eq!(types_of(&out[..9]), [1, 15, 46, 47]);
    }
}
