//! What is remembered of a zone's file: enough to tell which parts of its next version are as they were.
//!
//! The text is cut at line ends that its own octets choose, so that a change moves the cuts near it only. Of every
//! chunk between two cuts a keyed hash is kept. Chunks are gathered in pieces, which begin where an entry does, so that a
//! piece can be scanned by itself, given what its first entry takes from those before (`masterfile::State`); and of every
//! piece it is known which nodes have records in it. All of that is some 12 octets a kilobyte of text.

use crate::masterfile::scanner::Piece;
use crate::masterfile::{Report, Scanner, Sources, State, no_includes};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;

/// Texts below this length have no outline: to load one is a matter of a millisecond.
pub const MIN_TEXT: usize = if cfg!(test) { 1 } else { 64 << 10 };
/// Octets that a chunk has at least; so far no cut is looked for, which makes cutting cheap.
const MIN_CHUNK: usize = if cfg!(test) { 40 } else { 12 << 10 };
/// Octets after which the next line end is a cut, whatever stands there.
const MAX_CHUNK: usize = 64 << 10;
/// One line end in so many is a cut. Our choice: chunks of 14 to 16 KiB where lines are of ordinary length.
const LINES: u64 = if cfg!(test) { 3 } else { 64 };

//----------- Chunks ---------------------------------------------------------

/// Where the chunks of a text start: 0, and behind line ends.
pub fn cuts(text: &[u8]) -> Vec<u32> {
    let mut cuts = vec![0];
    let mut start = 0;
    while let Some(cut) = next_cut(text, start) {
        cuts.push(cut as u32);
        start = cut;
    }
    cuts
}

fn next_cut(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + MIN_CHUNK;
    loop {
        at += text.get(at..)?.iter().position(|&b| b == b'\n')? + 1;
        if at >= text.len() {
            return None;
        }
        // The last octets of the line before decide; the first of a line are alike in many files.
        let last: &[u8; 16] = text[..at].last_chunk()?;
        let word = u128::from_le_bytes(*last);
        let mixed =
            (word as u64 ^ 0x9E37_79B9_7F4A_7C15) as u128 * ((word >> 64) as u64 ^ 0xE703_7ED1_A0B4_28DB) as u128;
        if ((mixed >> 64) as u64 ^ mixed as u64).is_multiple_of(LINES) || at - start >= MAX_CHUNK {
            return Some(at);
        }
    }
}

//----------- Outline --------------------------------------------------------

/// What is remembered of a file.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Of the hashes: another one for every outline, so that nobody can write two texts that look alike.
    key: (u64, u64),
    chunks: Vec<u128>,
    pieces: Vec<Known>,
    /// What holds at the end of the text.
    end: State,
}

/// One piece, as remembered.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its first chunk.
    chunk: u32,
    /// What its first entry takes from those before.
    pub state: State,
    /// Arena offsets of nodes, over four: every node with records in the piece lies within one of these ranges.
    pub nodes: Vec<Range<u32>>,
}

impl Outline {
    /// An outline of a whole text. `pieces`: as the scanner noted them at `cuts`, the end of the text last. `nodes`
    /// as in `Known`, for each piece.
    ///
    /// `None` if the nodes' places would take more room than they are worth.
    pub fn new(text: &[u8], cuts: &[u32], pieces: &[Piece], nodes: Vec<Vec<Range<u32>>>) -> Option<Outline> {
        let random = RandomState::new();
        let key = (random.hash_one(0), random.hash_one(1));
        let (last, pieces) = pieces.split_last()?;
        let n_ranges: usize = nodes.iter().map(Vec::len).sum();
        if n_ranges > 256 + text.len() / 128 || pieces.first()?.start != 0 {
            return None;
        }
        let known = pieces.iter().zip(nodes).map(|(piece, nodes)| {
            let chunk = cuts.binary_search(&piece.start).ok()? as u32;
            Some(Known { chunk, state: piece.state.clone(), nodes })
        });
        Some(Outline {
            key,
            chunks: hashes(key, text, cuts),
            pieces: known.collect::<Option<_>>()?,
            end: last.state.clone(),
        })
    }

    /// The pieces.
    pub fn pieces(&self) -> &[Known] {
        &self.pieces
    }

    /// Octets of memory held.
    pub fn memory_bytes(&self) -> usize {
        let of_state = |s: &State| s.origin.as_wire().len() + s.owner.as_ref().map_or(0, |owner| owner.as_wire().len());
        let of_piece =
            |p: &Known| size_of::<Known>() + of_state(&p.state) + p.nodes.capacity() * size_of::<Range<u32>>();
        size_of::<Outline>() + self.chunks.capacity() * 16 + self.pieces.iter().map(of_piece).sum::<usize>()
    }

    fn chunks_of(&self, piece: usize) -> Range<usize> {
        let end = self.pieces.get(piece + 1).map_or(self.chunks.len(), |next| next.chunk as usize);
        self.pieces[piece].chunk as usize..end
    }

    /// What holds behind a piece.
    fn state_behind(&self, piece: usize) -> &State {
        self.pieces.get(piece + 1).map_or(&self.end, |next| &next.state)
    }

    /// Compares a text with the one remembered. `None` if so much is new that a load of the whole is as fast, or if a
    /// part that is new does not end where a piece may begin.
    pub fn compare(&self, text: &[u8]) -> Option<Comparison> {
        let starts = cuts(text);
        let hashes = hashes(self.key, text, &starts);
        let was = matches(&self.chunks, &hashes);
        let piece_at = |chunk: usize| {
            let was = was.get(chunk).copied().flatten()?;
            self.pieces.binary_search_by_key(&was, |p| p.chunk).ok()
        };
        // Whether a piece stands there as a whole.
        let is_whole = |piece: &usize, at: usize| {
            let chunks = self.chunks_of(*piece);
            let there = was.get(at..at + chunks.len());
            there.is_some_and(|there| there.iter().zip(chunks).all(|(is, was)| *is == Some(was as u32)))
        };
        let offset = |chunk: usize| starts.get(chunk).map_or(text.len(), |start| *start as usize);
        let mut parts: Vec<Part> = Vec::new();
        // What holds at `known_at`, up to where the text is known to be whole entries.
        let (mut state, mut known_at) = (self.pieces.first()?.state.clone(), 0);
        let (mut at, mut n_new) = (0, 0);
        while at < starts.len() {
            let piece = piece_at(at).filter(|piece| is_whole(piece, at));
            let end = at + piece.map_or(1, |piece| self.chunks_of(piece).len());
            let here = offset(at)..offset(end);
            if piece.is_some() && known_at < here.start {
                state = end_of(&text[known_at..here.start], &state)?;
                known_at = here.start;
            }
            match piece {
                Some(piece) if self.pieces[piece].state == state => {
                    state = self.state_behind(piece).clone();
                    known_at = here.end;
                    parts.push(Part::Kept { piece, text: here });
                }
                _ => {
                    n_new += here.len();
                    match parts.last_mut() {
                        Some(Part::New { text, .. }) => text.end = here.end,
                        _ => parts.push(Part::New { text: here, state: state.clone() }),
                    }
                }
            }
            if n_new > text.len() / 4 {
                return None;
            }
            at = end;
        }
        Some(Comparison { starts, hashes, parts })
    }

    /// The outline of the text that was compared. `scanned`: for every part that was scanned, the pieces noted there,
    /// relative to the part, and their nodes, the end of the part last; for those kept, one with the nodes to add.
    pub fn renewed(&self, text: &[u8], comparison: Comparison, scanned: Vec<Scanned>) -> Option<Outline> {
        let end = end_state(self, &comparison, &scanned)?;
        let mut pieces = Vec::new();
        for (part, scanned) in comparison.parts.iter().zip(scanned) {
            let from = part.text().start as u32;
            match part {
                Part::Kept { piece, .. } => {
                    let mut known = self.pieces[*piece].clone();
                    known.chunk = comparison.starts.binary_search(&from).ok()? as u32;
                    known.nodes.extend(scanned.into_iter().flat_map(|(_, nodes)| nodes));
                    pieces.push(known);
                }
                Part::New { .. } => {
                    let n_begun = scanned.len() - 1;
                    for (piece, nodes) in scanned.into_iter().take(n_begun) {
                        let chunk = comparison.starts.binary_search(&(from + piece.start)).ok()? as u32;
                        pieces.push(Known { chunk, state: piece.state, nodes });
                    }
                }
            }
        }
        let n_ranges: usize = pieces.iter().map(|p| p.nodes.len()).sum();
        if n_ranges > 256 + text.len() / 128 || pieces.first().is_none_or(|first| first.chunk != 0) {
            return None;
        }
        Some(Outline { key: self.key, chunks: comparison.hashes, pieces, end })
    }
}

/// What holds at the end of a text.
fn end_state(old: &Outline, comparison: &Comparison, scanned: &[Scanned]) -> Option<State> {
    match comparison.parts.last()? {
        Part::Kept { piece, .. } => Some(old.state_behind(*piece).clone()),
        Part::New { .. } => Some(scanned.last()?.last()?.0.state.clone()),
    }
}

/// Pieces and their nodes.
pub type Scanned = Vec<(Piece, Vec<Range<u32>>)>;

/// A text beside the one that is remembered.
pub struct Comparison {
    /// Where its chunks start.
    starts: Vec<u32>,
    hashes: Vec<u128>,
    /// The text, in order.
    pub parts: Vec<Part>,
}

/// A part of a text.
pub enum Part {
    /// A piece that is as it was.
    Kept {
        /// Which.
        piece: usize,
        /// Where it stands now.
        text: Range<usize>,
    },
    /// Something else.
    New {
        /// Where it stands.
        text: Range<usize>,
        /// What its first entry takes from those before.
        state: State,
    },
}

impl Part {
    /// Where it stands.
    pub fn text(&self) -> Range<usize> {
        let (Part::Kept { text, .. } | Part::New { text, .. }) = self;
        text.clone()
    }
}

impl Comparison {
    /// Where chunks start within a part, relative to it.
    pub fn cuts_in(&self, part: &Part) -> Vec<u32> {
        let text = part.text();
        let inside = |start: &&u32| text.contains(&(**start as usize));
        self.starts.iter().filter(inside).map(|start| start - text.start as u32).collect()
    }
}

fn hashes(key: (u64, u64), text: &[u8], starts: &[u32]) -> Vec<u128> {
    let ends = starts.iter().skip(1).map(|end| *end as usize).chain([text.len()]);
    let hash = |(start, end): (&u32, usize)| {
        let mut hasher = SipHasher13::new_with_keys(key.0, key.1);
        hasher.write(&text[*start as usize..end]);
        hasher.finish128().as_u128()
    };
    starts.iter().zip(ends).map(hash).collect()
}

/// For every new chunk the old one that it is, if one is, ascending.
fn matches(old: &[u128], new: &[u128]) -> Vec<Option<u32>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut places: HashMap<u128, Vec<u32>> = HashMap::new();
    for (i, hash) in old.iter().enumerate().take(old.len() - tail).skip(head) {
        places.entry(*hash).or_default().push(i as u32);
    }
    let mut next = head as u32;
    let middle = new[head..new.len() - tail].iter().map(|hash| {
        let found = places.get(hash)?.iter().copied().find(|place| *place >= next)?;
        next = found + 1;
        Some(found)
    });
    let middle: Vec<_> = middle.collect();
    let tail = (old.len() - tail..old.len()).map(|i| Some(i as u32));
    (0..head).map(|i| Some(i as u32)).chain(middle).chain(tail).collect()
}

/// What holds behind a text; `None` if something is wrong with it.
fn end_of(text: &[u8], from: &State) -> Option<State> {
    let text = std::str::from_utf8(text).ok()?;
    let (mut sources, mut report, mut includes) = (Sources::default(), Report::default(), no_includes);
    let mut scanner = Scanner::new(&mut sources, &mut includes, "", text, &from.origin, &mut report);
    scanner.resume(from);
    scanner.note_pieces(Vec::new());
    while scanner.next_entry(&mut report).is_some() {}
    let end = scanner.pieces().last().map(|piece| piece.state.clone());
    end.filter(|_| report.diagnostics.is_empty())
}
