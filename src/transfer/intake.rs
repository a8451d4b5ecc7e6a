//! The messages of a transfer, as they come, become a zone or differences (RFC 5936 section 3, RFC 1995 section 4).
//!
//! Everything here is somebody else's word: every record is checked for its form and its place before it is taken, and
//! nothing of a transfer counts before its last record has come.

use crate::wire::name::{MAX_NAME, expand};
use crate::wire::records::{Records, Soa, is_newer};
use crate::wire::walk::{self, Section};
use crate::wire::{Name, rtype};
use crate::zone::diff::Difference;
use crate::zone::rdata;
use crate::zone::store::{Added, Builder};

/// Most octets of one transfer. Our choice: some ten million names.
const MOST_OCTETS: usize = 2 << 30;

//----------- Intake ---------------------------------------------------------

/// A transfer on its way in.
pub struct Intake {
    apex: Name,
    /// The serial of the copy there is, where differences to it were asked for.
    has: Option<u32>,
    /// The SOA that the zone will have: serial, TTL, RDATA.
    soa: Option<(u32, u32, Vec<u8>)>,
    stage: Stage,
    octets: usize,
}

/// How far it is.
enum Stage {
    /// Nothing, or the first SOA alone.
    Opening,
    Whole(Box<Builder>),
    /// Differences that are whole, and the one at hand; whether it is at what comes.
    Differences {
        chain: Vec<Difference>,
        removed: Records,
        added: Records,
        comes: bool,
    },
    /// Nothing may follow.
    Over(Outcome),
}

/// What a transfer came to.
pub enum Outcome {
    /// The copy there is has this serial, or the primary an older one.
    Current,
    /// The whole zone.
    Whole(Box<Builder>),
    /// What leads to the new version.
    Differences(Vec<Difference>),
}

impl Intake {
    /// For a zone; `has`: the serial that differences were asked from, `None` if the whole was.
    pub fn new(apex: &Name, has: Option<u32>) -> Intake {
        Intake { apex: apex.clone(), has, soa: None, stage: Stage::Opening, octets: 0 }
    }

    /// Takes the records of the next message; true once nothing is to follow.
    ///
    /// # Errors
    /// A text for people, after which nothing of it is of use.
    pub fn take(&mut self, message: &[u8]) -> Result<bool, String> {
        self.octets += message.len();
        if self.octets > MOST_OCTETS {
            return Err(format!("it has more than {MOST_OCTETS} octets"));
        }
        let (mut wire, mut data) = ([0; MAX_NAME], Vec::new());
        let mut n = 0;
        for record in walk::records(message) {
            let record = record.ok_or("a record is malformed")?;
            if record.section != Section::Answer {
                break;
            }
            n += 1;
            let (len, _) = expand(message, record.start, &mut wire).ok_or("a name is malformed")?;
            data.clear();
            rdata::wire::expand(record.rtype, message, record.range(), &mut data)
                .ok_or_else(|| format!("a {} record is malformed", rdata::type_text(record.rtype)))?;
            if record.class != rtype::CLASS_IN || matches!(record.rtype, 0 | rtype::OPT | 128..=255) {
                return Err(format!("a record of type {} has no place in a zone", rdata::type_text(record.rtype)));
            }
            self.record(&wire[..len], record.rtype, record.ttl.min(i32::MAX as u32), &data)?;
        }
        if n == 0 {
            return Err("a message has no records".into());
        }
        // A SOA alone: there is nothing newer (RFC 1995 section 2).
        if let (Stage::Opening, Some(has), Some((serial, ..))) = (&self.stage, self.has, &self.soa)
            && !is_newer(*serial, has)
        {
            self.stage = Stage::Over(Outcome::Current);
        }
        Ok(matches!(self.stage, Stage::Over(_)))
    }

    fn record(&mut self, owner: &[u8], of: u16, ttl: u32, data: &[u8]) -> Result<(), String> {
        let soa = if of == rtype::SOA { Soa::parse(data).map(|soa| soa.serial) } else { None };
        if soa.is_some() && owner != self.apex.as_wire() {
            return Err("a SOA stands below the apex".into());
        }
        let Some((last, ..)) = self.soa else {
            let serial = soa.ok_or("it does not begin with a SOA")?;
            self.soa = Some((serial, ttl, data.to_vec()));
            return Ok(());
        };
        let opens = |from| {
            let mut removed = Records::default();
            removed.push(owner, of, ttl, [data, b""]);
            (from, removed)
        };
        match &mut self.stage {
            Stage::Over(_) => return Err("records follow its end".into()),
            Stage::Opening => match soa {
                Some(serial) if self.has == Some(serial) && serial != last => {
                    let (_, removed) = opens(serial);
                    self.stage =
                        Stage::Differences { chain: Vec::new(), removed, added: Records::default(), comes: false };
                }
                _ => {
                    let mut builder = Box::new(Builder::new(&self.apex));
                    if let Some((_, ttl, data)) = &self.soa {
                        builder.add(&self.apex, rtype::SOA, *ttl, data);
                    }
                    self.stage = Stage::Whole(builder);
                    return self.record(owner, of, ttl, data);
                }
            },
            Stage::Whole(builder) => {
                if soa.is_some() {
                    // The zone may have changed in between; then this is no copy of either.
                    if soa != Some(last) {
                        return Err("it ends with another serial than it began with".into());
                    }
                    let builder = std::mem::replace(builder, Box::new(Builder::new(&Name::root())));
                    self.stage = Stage::Over(Outcome::Whole(builder));
                    return Ok(());
                }
                let name = Name::from_wire(owner).map_err(|e| e.to_string())?;
                match builder.add(&name, of, ttl, data) {
                    Added::Taken => {}
                    Added::OutOfZone => return Err(format!("{name} is not within the zone")),
                    Added::TooLarge => return Err("the zone is too large to be held".into()),
                }
            }
            Stage::Differences { chain, removed, added, comes } => match (soa, *comes) {
                (None, false) => removed.push(owner, of, ttl, [data, b""]),
                (None, true) => added.push(owner, of, ttl, [data, b""]),
                (Some(_), false) => {
                    added.push(owner, of, ttl, [data, b""]);
                    *comes = true;
                }
                (Some(serial), true) => {
                    let (removed, added) = (std::mem::take(removed), std::mem::take(added));
                    let of_first = |records: &Records| Soa::parse(records.iter().next()?.rdata).map(|soa| soa.serial);
                    let (Some(from), Some(to)) = (of_first(&removed), of_first(&added)) else {
                        return Err("a difference lacks a SOA".into());
                    };
                    let mut chain = std::mem::take(chain);
                    chain.push(Difference { from, to, removed, added });
                    if to == last {
                        if serial != last {
                            return Err("differences follow the last".into());
                        }
                        self.stage = Stage::Over(Outcome::Differences(chain));
                        return Ok(());
                    }
                    if serial != to {
                        return Err("a difference does not begin where the one before ended".into());
                    }
                    let (_, removed) = opens(serial);
                    self.stage = Stage::Differences { chain, removed, added: Records::default(), comes: false };
                }
            },
        }
        Ok(())
    }

    /// What it came to, once [`Intake::take`] has said that nothing is to follow.
    pub fn finish(self) -> Option<Outcome> {
        match self.stage {
            Stage::Over(outcome) => Some(outcome),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
