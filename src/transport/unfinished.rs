//! Octets of requests that have begun and not ended, counted for each connection.
//!
//! On HTTP/2, HTTP/3 and DoQ a request is a stream, and there may be a hundred at a time. Flow control bounds what has
//! not been read; what has been read and waits for its end is bounded here.

use http::StatusCode;
use std::cell::Cell;
use std::rc::Rc;

/// Most octets of unfinished requests that one connection holds. Our choice: four of the longest, or thousands of those
/// that resolvers send.
const MAX_UNFINISHED: usize = 256 << 10;

/// What the unfinished requests of one connection hold.
#[derive(Clone, Debug, Default)]
pub struct Unfinished(Rc<Cell<usize>>);

impl Unfinished {
    /// Begins a request of at most `most` octets.
    pub fn begin(&self, most: usize) -> Beginning {
        Beginning { octets: Vec::new(), most, all: self.clone() }
    }
}

/// The beginning of one request.
#[derive(Debug)]
pub struct Beginning {
    octets: Vec<u8>,
    most: usize,
    all: Unfinished,
}

/// Why no more of a request is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    /// It is longer than it may be.
    Request,
    /// The connection's requests are, together.
    Connection,
}

impl Beginning {
    /// Takes the next part.
    ///
    /// # Errors
    /// [`TooMuch`]; nothing of the part is taken then.
    pub fn add(&mut self, part: &[u8]) -> Result<(), TooMuch> {
        let held = self.all.0.get() + part.len();
        if self.octets.len() + part.len() > self.most {
            return Err(TooMuch::Request);
        }
        if held > MAX_UNFINISHED {
            return Err(TooMuch::Connection);
        }
        self.octets.extend_from_slice(part);
        self.all.0.set(held);
        Ok(())
    }

    /// The whole request, which is unfinished no more.
    pub fn finish(mut self) -> Vec<u8> {
        self.give_back();
        std::mem::take(&mut self.octets)
    }

    fn give_back(&self) {
        self.all.0.set(self.all.0.get() - self.octets.len());
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// The status that refuses the request (RFC 9110 sections 15.5.14 and 15.6.4).
impl From<TooMuch> for StatusCode {
    fn from(too_much: TooMuch) -> StatusCode {
        match too_much {
            TooMuch::Request => StatusCode::PAYLOAD_TOO_LARGE,
            TooMuch::Connection => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ends, in whatever way, gives back what it took.
    #[test]
    fn connections_hold_so_much() {
        let all = Unfinished::default();
        let part = [7; 60_000];
        let mut begun: Vec<Beginning> = (0..5).map(|_| all.begin(65_535)).collect();
        let taken: Vec<_> = begun.iter_mut().map(|one| one.add(&part)).collect();
        assert_eq!(taken, [Ok(()), Ok(()), Ok(()), Ok(()), Err(TooMuch::Connection)]);
        assert_eq!(begun[0].add(&part), Err(TooMuch::Request));
        assert_eq!(begun.swap_remove(0).finish().len(), 60_000);
        drop(begun.pop());
        let mut one = all.begin(65_535);
        assert_eq!(one.add(&part), Ok(()));
        drop((one, begun));
        assert_eq!(all.0.get(), 0);
    }
}
