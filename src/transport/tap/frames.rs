//! Frame Streams: how dnstap messages stand in a file or on a socket (the fstrm library's specification).
//!
//! ```text
//!   data frame      length u32 ≥ 1 | payload
//!   control frame   0 u32 | length u32 ≤ 512 | type u32 | fields: 1 u32 (content type) | length u32 | text
//! ```
//!
//! A file is START, data, STOP. On a socket both sides talk: READY →, ← ACCEPT, START →, data →, STOP →, ← FINISH. All
//! numbers are big-endian.

use std::io::{self, Read};

/// What the payloads are.
pub const CONTENT_TYPE: &[u8] = b"protobuf:dnstap.Dnstap";

/// Longest control frame that is read.
const MAX_CONTROL: usize = 512;
/// The field of a control frame that names a content type.
const FIELD_CONTENT_TYPE: u32 = 1;

/// The control frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The reader will take the content types named.
    Accept = 1,
    /// Data follow.
    Start = 2,
    /// No more data.
    Stop = 3,
    /// The writer can send the content types named.
    Ready = 4,
    /// The reader has seen the stop.
    Finish = 5,
}

/// Composes a control frame; all but STOP and FINISH name the content type.
pub fn control(control: Control) -> Vec<u8> {
    let mut body = (control as u32).to_be_bytes().to_vec();
    if !matches!(control, Control::Stop | Control::Finish) {
        body.extend(FIELD_CONTENT_TYPE.to_be_bytes());
        body.extend((CONTENT_TYPE.len() as u32).to_be_bytes());
        body.extend_from_slice(CONTENT_TYPE);
    }
    [&[0; 4], &(body.len() as u32).to_be_bytes()[..], &body].concat()
}

/// Reads a control frame of the given type; ACCEPT must be for our content type, or for any.
///
/// # Errors
/// What the system says; `InvalidData` for anything else than what is expected.
pub fn expect(stream: &mut impl Read, wanted: Control) -> io::Result<()> {
    let number = |stream: &mut dyn Read| {
        let mut octets = [0; 4];
        stream.read_exact(&mut octets).map(|()| u32::from_be_bytes(octets))
    };
    let escape = number(stream)?;
    let len = number(stream)? as usize;
    if escape != 0 || !(4..=MAX_CONTROL).contains(&len) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body)?;
    let mut rest = &body[..];
    if number(&mut rest)? != wanted as u32 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut accepted = None;
    while !rest.is_empty() {
        let (field, len) = (number(&mut rest)?, number(&mut rest)? as usize);
        let text = rest.split_off(..len).ok_or(io::ErrorKind::InvalidData)?;
        if field == FIELD_CONTENT_TYPE {
            accepted = Some(accepted.unwrap_or(false) || text == CONTENT_TYPE);
        }
    }
    if wanted == Control::Accept && accepted == Some(false) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the reader wants another content type"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_frames_are_as_specified() {
        let start = control(Control::Start);
        assert_eq!(&start[..20], b"\0\0\0\0\0\0\0\x22\0\0\0\x02\0\0\0\x01\0\0\0\x16");
        assert_eq!(&start[20..], CONTENT_TYPE);
        assert_eq!(control(Control::Stop), b"\0\0\0\0\0\0\0\x04\0\0\0\x03");
    }

    #[test]
    fn only_what_is_expected_is_taken() {
        let read = |frame: &[u8], wanted| expect(&mut &frame[..], wanted).is_ok();
        assert!(read(&control(Control::Accept), Control::Accept));
        assert!(read(&control(Control::Finish), Control::Finish));
        assert!(!read(&control(Control::Finish), Control::Accept));
        assert!(read(b"\0\0\0\0\0\0\0\x04\0\0\0\x01", Control::Accept), "any type will do");
        assert!(!read(b"\0\0\0\0\0\0\0\x0e\0\0\0\x01\0\0\0\x01\0\0\0\x02xy", Control::Accept), "another type");
        assert!(!read(b"\0\0\0\0\0\0\0\x0c\0\0\0\x01\0\0\0\x01\0\0\0\xff", Control::Accept), "cut");
        assert!(!read(b"\0\0\0\0\xff\0\0\0", Control::Accept), "too long");
        assert!(!read(b"\0\0\0\x01\0\0\0\x04", Control::Accept), "data");
    }
}
