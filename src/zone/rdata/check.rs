//! Contents that have the right form and cannot be right.

/// The field that contradicts another, by position, and why; `None` if all is well. `rdata` has the type's form.
pub fn contents(rtype: u16, rdata: &[u8]) -> Option<(usize, String)> {
    let digest = |algorithm: u8, lengths: &[(u8, usize, &str)], at: usize, field: usize| {
        let (_, len, name) = lengths.iter().find(|(a, _, _)| *a == algorithm)?;
        let found = rdata.len() - at;
        (found != *len).then(|| (field, format!("a {name} digest has {len} octets, not {found}")))
    };
    match rtype {
        // DS, CDS (IANA DS digest types); digest type 0 is the request to delete (RFC 8078 section 4).
        43 | 59 => digest(rdata[3], &[(1, 20, "SHA-1"), (2, 32, "SHA-256"), (3, 32, "GOST"), (4, 48, "SHA-384")], 4, 3),
        // SSHFP (RFC 4255 section 3.1.2, RFC 6594).
        44 => digest(rdata[1], &[(1, 20, "SHA-1"), (2, 32, "SHA-256")], 2, 2),
        // TLSA, SMIMEA (RFC 6698 section 2.1.3).
        52 | 53 => digest(rdata[2], &[(1, 32, "SHA-256"), (2, 64, "SHA-512")], 3, 3),
        // DNSKEY, CDNSKEY (RFC 4034 section 2.1.2).
        48 | 60 if rdata[2] != 3 => Some((1, format!("the protocol of a key is 3, not {}", rdata[2]))),
        // ZONEMD (RFC 8976 section 2.2.3).
        63 => digest(rdata[5], &[(1, 48, "SHA-384"), (2, 64, "SHA-512")], 6, 3),
        _ => None,
    }
}
