//! DNS cookies (RFC 7873, RFC 9018): what they prove, and what those without one are told.

use crate::envelope::housed;
use crate::fixture::{Query, full_house, options, query, send};
use floodway::answer::{Client, Rcode, Scratch, Transport, answer};
use floodway::exchange::{CookieSeen, House};

/// RFC 9018 appendix A.1: the client, its cookie, and what it is given.
pub const COOKIE: [u8; 8] = [0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57];
const GIVEN: [u8; 16] = [1, 0, 0, 0, 0x5c, 0xf7, 0x9f, 0x11, 0x1f, 0x81, 0x30, 0xc3, 0xee, 0xe2, 0x94, 0x80];
const THEN: u32 = 1_559_731_985;

/// RCODE, whether the address is proven, and the reply's cookie.
fn ask_with_cookie(house: &House, wire: &[u8], transport: Transport) -> (Rcode, bool, Option<Vec<u8>>) {
    let client = Client { addr: [198, 51, 100, 100].into(), transport, link: Default::default() };
    let mut out = vec![0; 65_535];
    let outcome = answer(wire, client, &housed(house.clone()), THEN, &mut Scratch::new(0, 0), &mut out);
    let options = options(&out[..outcome.len]).unwrap_or_default();
    (
        outcome.rcode,
        outcome.cookie == CookieSeen::Valid,
        options.into_iter().find(|(code, _)| *code == 10).map(|(_, data)| data),
    )
}

/// RFC 7873 sections 5.2.1 to 5.2.5: none, malformed, client's alone, not ours, ours; and the choice to insist.
#[test]
fn cookies_prove_addresses() {
    let given = Some([&COOKIE[..], &GIVEN].concat());
    let with = |data: &[u8]| query("www.example.com. A").option(10, data).wire();
    let (mut house, good) = (full_house(), [&COOKIE[..], &GIVEN].concat());
    let mut bad = good.clone();
    bad[20] ^= 1;
    for required in [false, true] {
        house.cookies.as_mut().unwrap().required = required;
        let check = |wire: &[u8], transport, expected| {
            assert_eq!(ask_with_cookie(&house, wire, transport), expected, "required: {required}");
        };
        let unproven = if required { Rcode::BadCookie } else { Rcode::NoError };
        check(&query("www.example.com. A").edns(1232).wire(), Transport::Udp, (Rcode::NoError, false, None));
        check(&with(&COOKIE), Transport::Udp, (unproven, false, given.clone()));
        check(&with(&bad), Transport::Udp, (unproven, false, given.clone()));
        check(&with(&good[..20]), Transport::Udp, (unproven, false, given.clone()));
        check(&with(&bad), Transport::Tcp, (Rcode::NoError, false, given.clone()));
        check(&with(&good), Transport::Udp, (Rcode::NoError, true, given.clone()));
        for len in [0, 7, 9, 15, 41] {
            check(&with(&[7; 41][..len]), Transport::Udp, (Rcode::FormErr, false, None));
        }
    }
    assert_eq!(ask_with_cookie(&House::default(), &with(&COOKIE), Transport::Udp), (Rcode::NoError, false, None));
    let reply = send(&housed(house), &with(&COOKIE)).1;
    assert_eq!((reply[3] & 15, reply[7], reply[38]), (7, 0, 1), "BADCOOKIE is 23: 7 in the header, 1 in OPT");
}

/// RFC 7873 section 5.4: a query without question asks for a cookie, or whether one is good; RFC 9619 section 4: others
/// are malformed.
#[test]
fn a_query_without_question_is_for_cookies() {
    let given = Some([&COOKIE[..], &GIVEN].concat());
    let without_question = |q: Query| {
        let mut wire = q.wire();
        wire.drain(12..12 + q.question.len());
        wire[5] = 0;
        wire
    };
    let with = |data: &[u8]| without_question(query(". A").option(10, data));
    let ask = |wire: &[u8]| ask_with_cookie(&full_house(), wire, Transport::Udp);
    assert_eq!(ask(&with(&COOKIE)), (Rcode::NoError, false, given.clone()));
    assert_eq!(ask(&with(given.as_ref().unwrap())), (Rcode::NoError, true, given.clone()));
    assert_eq!(ask(&with(&[&COOKIE[..], &[9; 16]].concat())), (Rcode::BadCookie, false, given));
    assert_eq!(ask(&without_question(query(". A").edns(1232))).0, Rcode::FormErr);
    assert_eq!(ask_with_cookie(&House::default(), &with(&COOKIE), Transport::Udp).0, Rcode::FormErr);
    let reply = send(&housed(full_house()), &with(&COOKIE)).1;
    assert_eq!(reply[2..12], [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}
