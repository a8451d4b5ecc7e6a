use super::*;
use crate::wire::request::Request;
use crate::wire::{Name, NameBuf};

const NOW: u64 = 1_767_225_600;

fn key(algorithm: Algorithm) -> Key {
    Key::new("xfr.example.".parse().unwrap(), algorithm, b"sixteen octets!!")
}

fn query() -> Vec<u8> {
    b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01".to_vec()
}

fn sign(seal: &mut Seal, mut message: Vec<u8>, now: u64) -> Vec<u8> {
    let len = message.len();
    message.resize(len + seal.record_len(), 0);
    assert_eq!(seal.append(&mut message, len, now), message.len());
    message
}

fn tsig(message: &[u8]) -> Tsig {
    Request::parse(message, &mut NameBuf::default()).unwrap().tsig.unwrap()
}

fn verdict(message: &[u8], keys: &Keys, now: u64) -> Result<(), Option<Error>> {
    match check(message, &tsig(message), keys, now) {
        Checked::Good(..) => Ok(()),
        Checked::Bad(error, _) => Err(Some(error)),
        Checked::Malformed => Err(None),
    }
}

/// The MAC of RFC 8945 section 4.3, worked out by Python's `hmac` from the octets that the section lists.
#[test]
fn the_digest_is_of_the_octets_that_the_rfc_lists() {
    let signed = sign(&mut Seal::request(key(Algorithm::Sha256).into()), query(), NOW);
    let mac: String = signed[tsig(&signed).mac].iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(mac, "74faf69d6b1adf69a3eb97383f0e7393fdc3769781c0dbaed687b4f7873f1672");
}

/// RFC 8945 section 5.2: in order key, MAC, time, truncation.
#[test]
fn requests_are_checked() {
    for algorithm in Algorithm::ALL {
        let keys = Keys::new([key(algorithm)]);
        let signed = sign(&mut Seal::request(key(algorithm).into()), query(), NOW);
        assert_eq!(verdict(&signed, &keys, NOW), Ok(()));
        assert_eq!(verdict(&signed, &keys, NOW + 300), Ok(()));
        assert_eq!(verdict(&signed, &keys, NOW - 301), Err(Some(Error::BadTime)));
        assert_eq!(verdict(&signed, &keys, NOW + 301), Err(Some(Error::BadTime)));
        assert_eq!(verdict(&signed, &Keys::default(), NOW), Err(Some(Error::BadKey)));
        let other = Key::new(key(algorithm).name, algorithm, b"another");
        assert_eq!(verdict(&signed, &Keys::new([other]), NOW + 999), Err(Some(Error::BadSig)));
        let other = if algorithm == Algorithm::Sha256 { Algorithm::Sha512 } else { Algorithm::Sha256 };
        assert_eq!(verdict(&signed, &Keys::new([key(other)]), NOW), Err(Some(Error::BadKey)));
        // Every octet of the message counts, but for the id: that of the record does.
        for at in (2..query().len()).filter(|at| !(2..12).contains(at)) {
            let mut changed = signed.clone();
            changed[at] ^= 1;
            if let Ok(Request { tsig: Some(tsig), .. }) = Request::parse(&changed, &mut NameBuf::default()) {
                assert!(matches!(check(&changed, &tsig, &keys, NOW), Checked::Bad(Error::BadSig, _)), "octet {at}");
            }
        }
        let mut forwarded = signed.clone();
        forwarded[0] ^= 0xff;
        assert_eq!(verdict(&forwarded, &keys, NOW), Ok(()));
    }
}

/// The message with its MAC cut to `len` octets.
fn truncated(signed: &[u8], whole: usize, len: usize) -> Vec<u8> {
    let (rdata, mac) = (tsig(signed).algorithm.start, tsig(signed).mac);
    let mut cut = signed.to_vec();
    cut.drain(mac.start + len..mac.start + whole);
    cut[mac.start - 2..mac.start].copy_from_slice(&(len as u16).to_be_bytes());
    let rdata_len = (cut.len() - rdata) as u16;
    cut[rdata - 2..rdata].copy_from_slice(&rdata_len.to_be_bytes());
    cut
}

/// RFC 8945 section 5.2.2.1: at least half, and ten octets, or it is malformed; then local policy.
#[test]
fn truncation_is_bounded() {
    let signed = sign(&mut Seal::request(key(Algorithm::Sha256).into()), query(), NOW);
    let strict = Keys::new([key(Algorithm::Sha256)]);
    let mut short = key(Algorithm::Sha256);
    short.least_mac = 20;
    let lenient = Keys::new([short]);
    let check =
        |len, keys: &Keys, expected| assert_eq!(verdict(&truncated(&signed, 32, len), keys, NOW), expected, "{len}");
    check(32, &strict, Ok(()));
    check(31, &strict, Err(Some(Error::BadTrunc)));
    check(20, &lenient, Ok(()));
    check(19, &lenient, Err(Some(Error::BadTrunc)));
    check(16, &lenient, Err(Some(Error::BadTrunc)));
    check(15, &lenient, Err(None));
    check(0, &lenient, Err(None));
}

/// Sections 5.3.2 and 5.2.3: what fails for its time is answered with the client's time, signed, and ours beside it.
#[test]
fn bad_time_is_signed() {
    let shared = Arc::new(key(Algorithm::Sha256));
    let mut asking = Seal::request(shared.clone());
    let signed = sign(&mut asking, query(), NOW);
    let Checked::Bad(Error::BadTime, mut seal) =
        check(&signed, &tsig(&signed), &Keys::new([key(Algorithm::Sha256)]), NOW + 999)
    else {
        panic!("the time is wrong")
    };
    let reply = sign(&mut seal, query(), NOW + 999);
    let told = tsig(&reply);
    assert_eq!((told.time, told.error, told.mac.len()), (NOW, 18, 32));
    assert_eq!(reply[told.other.clone()], (NOW + 999).to_be_bytes()[2..]);
    let mut context = shared.begin();
    feed_mac(&mut context, &asking.last().unwrap());
    told.feed_message(&reply, &mut context);
    feed_variables(&mut context, &shared, (NOW, 300), Some((18, &reply[told.other.clone()])));
    assert!(told.mac(&reply).unwrap().is_head_of(context.sign().as_ref()));
    let mut watch = Watch::of(&asking, &shared).unwrap();
    assert_eq!(watch.take(&reply, NOW), Err(Wrong::Refused(18)));
}

/// Section 5.3.1: many messages, each held against the one before; some may be unsigned, the first and last may not.
#[test]
fn sequences_are_watched() {
    let shared = Arc::new(key(Algorithm::Sha384));
    let mut asking = Seal::request(shared.clone());
    let signed = sign(&mut asking, query(), NOW);
    let Checked::Good(_, mut seal) = check(&signed, &tsig(&signed), &Keys::new([key(Algorithm::Sha384)]), NOW) else {
        panic!("the signature is good")
    };
    let messages: Vec<Vec<u8>> = (0..4).map(|i| sign(&mut seal, query(), NOW + i)).collect();
    let mut watch = Watch::of(&asking, &shared).unwrap();
    assert!(!watch.is_settled());
    for message in &messages {
        assert_eq!(watch.take(message, NOW), Ok(()));
        assert!(watch.is_settled());
    }
    assert_eq!(watch.take(&query(), NOW), Ok(()));
    assert!(!watch.is_settled());
    let swapped = |order: [usize; 2]| {
        let mut watch = Watch::of(&asking, &shared).unwrap();
        order.iter().map(|i| watch.take(&messages[*i], NOW)).collect::<Vec<_>>()
    };
    assert_eq!(swapped([0, 2]), [Ok(()), Err(Wrong::Mac)]);
    assert_eq!(swapped([1, 0])[0], Err(Wrong::Mac));
    let mut watch = Watch::of(&asking, &shared).unwrap();
    assert_eq!(watch.take(&query(), NOW), Err(Wrong::Unsigned));
    let mut watch = Watch::of(&asking, &shared).unwrap();
    assert_eq!(watch.take(&messages[0], NOW + 301), Err(Wrong::Time));
    let mut watch = Watch::of(&asking, &shared).unwrap();
    watch.take(&messages[0], NOW).unwrap();
    let unsigned = (0..100).map(|_| watch.take(&query(), NOW)).collect::<Vec<_>>();
    assert!(unsigned[..99].iter().all(Result::is_ok) && unsigned[99] == Err(Wrong::Unsigned));
}

proptest::proptest! {
    /// No octets make it panic.
    #[test]
    fn any_octets_are_borne(mut octets: Vec<u8>, counts: [u8; 4]) {
        for (i, n) in counts.into_iter().enumerate() {
            if let Some(at) = octets.get_mut(5 + 2 * i) {
                *at = n;
            }
        }
        let shared = Arc::new(key(Algorithm::Sha256));
        let mut asking = Seal::request(shared.clone());
        sign(&mut asking, query(), NOW);
        let _ = Watch::of(&asking, &shared).unwrap().take(&octets, NOW);
        let name: Name = shared.name.clone();
        proptest::prop_assert_eq!(name.n_labels(), 2);
    }
}
