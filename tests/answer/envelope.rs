//! What goes around an answer: header, EDNS, reasons, and what is told to those who limit and count.

use crate::fixture::{example, query, send};
use floodway::answer::{Ede, Rcode};

/// Replies that one flood would bring forth have one key, others have others: names made up below a zone, below a
/// cut or a wildcard are one thing.
#[test]
fn alike_replies_have_one_key() {
    let key = |question| send(&example(), &query(question).wire()).0.key;
    assert_eq!(key("a.example.com. A"), key("b.c.example.com. TXT"));
    assert_eq!(key("a.wild.example.com. A"), key("b.wild.example.com. A"));
    assert_eq!(key("a.sub.example.com. A"), key("b.sub.example.com. AAAA"));
    assert_eq!(key("a.dn.example.com. A"), key("b.dn.example.com. A"));
    assert_eq!((key("elsewhere.test. A"), key("example.com. AXFR")), (0, 0));
    assert_ne!(key("www.example.com. A"), key("www.example.com. AAAA"));
    assert_ne!(key("www.example.com. A"), key("mail.example.com. A"));
    assert_ne!(key("a.example.com. A"), key("a.example.org. A"));
}

/// RFC 8914 section 4: each reason where it is true.
#[test]
fn reasons_are_true() {
    let why = |question| {
        let outcome = send(&example(), &query(question).wire()).0;
        (outcome.rcode, outcome.ede)
    };
    assert_eq!(why("www.example.com. A"), (Rcode::NoError, None));
    assert_eq!(why("nothing.example.com. A"), (Rcode::NxDomain, None));
    assert_eq!(why("elsewhere.test. A"), (Rcode::Refused, Some(Ede::NotAuthoritative)));
    assert_eq!(why("example.com. AXFR"), (Rcode::Refused, Some(Ede::NotSupported)));
    assert_eq!(why("example.com. 253"), (Rcode::NotImp, Some(Ede::NotSupported)));
    assert_eq!(why("example.com. 128"), (Rcode::FormErr, Some(Ede::InvalidQueryType)), "RFC 9824 section 3.5");
}
