//! What the connections of one thread share, and how what one of them has sent is answered.

use crate::answer::transfer::Outgoing;
use crate::exchange::books::Page;
use crate::exchange::{Books, Silence};
use crate::transport::handler::{Handler, Later, Peer, settle};
use crate::transport::outbound::Place;
use crate::transport::sys;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Longest message on a stream.
pub const MAX_MESSAGE: usize = 65_535;

/// Replies are written once this much is pending, and answering goes on afterwards.
const WRITE_AT: usize = 64 * 1024;

/// Most transfers and replies to come that one connection has at a time; until one of them has ended nothing more is
/// answered. Our choice: secondaries of many zones share a connection among transfers, one after another.
pub(super) const MOST_LATER: usize = 16;

//----------- Desk -----------------------------------------------------------

/// What the connections of one thread share: the handler, its page of the books, and the buffers.
pub struct Desk<H> {
    pub(super) inner: RefCell<Inner<H>>,
    books: Arc<Books>,
    thread: usize,
}

/// The handler and the buffers, held for as long as nothing is waited for.
pub(super) struct Inner<H> {
    handler: H,
    /// Where reads land.
    pub(super) input: Box<[u8]>,
    /// Where one reply is composed.
    reply: Box<[u8]>,
}

/// What was made of the octets at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// Octets that need not be kept.
    pub(super) used: usize,
    /// Whether the client sent something that got silence; a stream that does so carries no queries.
    pub(super) nonsense: bool,
}

impl<H: Handler> Desk<H> {
    /// A desk for thread number `thread` of the books.
    pub fn new(handler: H, books: Arc<Books>, thread: usize) -> Desk<H> {
        let (input, reply) = (vec![0; 2 + MAX_MESSAGE].into(), vec![0; MAX_MESSAGE].into());
        Desk { inner: RefCell::new(Inner { handler, input, reply }), books, thread }
    }

    /// The thread's page of the books.
    pub fn page(&self) -> &Page {
        self.books.page(self.thread)
    }

    /// Answers one query that stands by itself, and hands the reply to `take`; `None` if there is none.
    pub fn ask<T>(&self, query: &[u8], peer: Peer, take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let inner = &mut *self.inner.borrow_mut();
        let state = inner.handler.begin();
        let settled = settle(&mut inner.handler, &state, query, peer, &mut inner.reply, self.page());
        // What comes later comes over TCP and TLS alone.
        let len = settled.unwrap_or(0).min(MAX_MESSAGE);
        self.page().queries(peer.transport, 1);
        (len > 0).then(|| take(&inner.reply[..len]))
    }

    /// Enters into the books, and writes to `output`, a reply that somebody else has made.
    pub(super) fn settle_later(&self, reply: Option<Vec<u8>>, peer: Peer, output: &mut Vec<u8>) {
        match reply.filter(|reply| (4..=MAX_MESSAGE).contains(&reply.len())) {
            Some(reply) => {
                self.page().reply(peer.transport, u16::from(reply[3] & 0x0f), false);
                output.extend_from_slice(&(reply.len() as u16).to_be_bytes());
                output.extend_from_slice(&reply);
            }
            None => self.page().silence(peer.transport, Silence::Deferred),
        }
    }
}

impl<H: Handler> Inner<H> {
    /// Answers the whole messages at the head of `octets` into `output`, all from one state, until there is
    /// no more or `output` is full enough.
    pub(super) fn answer(
        &mut self,
        octets: &[u8],
        peer: Peer,
        output: &mut Vec<u8>,
        pending: &mut Pending,
        page: &Page,
    ) -> Answered {
        let (mut done, mut n_queries) = (Answered { used: 0, nonsense: false }, 0);
        let state = self.handler.begin();
        while let Some(query) = first_message(&octets[done.used..])
            && output.len() < WRITE_AT
            && !done.nonsense
            && pending.len() < MOST_LATER
        {
            done.used += 2 + query.len();
            n_queries += 1;
            let reply = &mut self.reply;
            let len = match settle(&mut self.handler, &state, query, peer, reply, page) {
                Ok(len) => len.min(MAX_MESSAGE),
                Err(later) => {
                    pending.put(*later);
                    continue;
                }
            };
            done.nonsense = len == 0;
            if len > 0 {
                output.extend_from_slice(&(len as u16).to_be_bytes());
                output.extend_from_slice(&self.reply[..len]);
            }
        }
        if n_queries > 0 {
            page.queries(peer.transport, n_queries);
        }
        done
    }
}

//----------- Pending --------------------------------------------------------

/// What a connection still has to send.
#[derive(Default)]
pub(super) struct Pending {
    /// Each gets a turn for a message.
    transfers: VecDeque<(Outgoing, Place)>,
    replies: VecDeque<oneshot::Receiver<Vec<u8>>>,
}

impl Pending {
    /// Transfers and replies that are not done.
    pub(super) fn len(&self) -> usize {
        self.transfers.len() + self.replies.len()
    }

    fn put(&mut self, later: Later) {
        match later {
            Later::Transfer(outgoing, place) => self.transfers.push_back((outgoing, place)),
            Later::Reply(reply) => self.replies.push_back(reply),
        }
    }

    /// Writes the next message of the transfer whose turn it is.
    pub(super) fn transfer(&mut self, output: &mut Vec<u8>) {
        let Some((mut outgoing, place)) = self.transfers.pop_front() else { return };
        outgoing.next(output, u64::from(sys::unix_secs()));
        if !outgoing.is_done() {
            self.transfers.push_back((outgoing, place));
        }
    }

    /// Whether there is something to write: the reply that was asked for first, `Some` if it was made, or the turn of a
    /// transfer.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Option<Vec<u8>>>> {
        if let Some(reply) = self.replies.front_mut()
            && let Poll::Ready(made) = Pin::new(reply).poll(context)
        {
            self.replies.pop_front();
            return Poll::Ready(Some(made.ok()));
        }
        if self.transfers.is_empty() { Poll::Pending } else { Poll::Ready(None) }
    }
}

/// The first message, if all of it is there.
pub(super) fn first_message(octets: &[u8]) -> Option<&[u8]> {
    let (head, rest) = octets.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*head)))
}
