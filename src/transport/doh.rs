//! DNS over HTTPS as requests and responses (RFC 8484), whichever version of HTTP carries them.
//!
//! [`read`] judges what stands before a request's body; [`Reply`] makes the response. Neither knows of a connection.

use crate::transport::desk::MAX_MESSAGE;
use crate::transport::freshness::Freshness;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ALLOW, ALT_SVC, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};

/// RFC 8484 section 6.
const MEDIA_TYPE: &str = "application/dns-message";

/// Octets of a DNS header: less is no message.
const HEADER: usize = 12;

//----------- Requests -------------------------------------------------------

/// Where a request has its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// In the URI; this is it.
    Here(Vec<u8>),
    /// In the body, which is yet to be read.
    InBody,
}

/// Judges method, URI and headers.
///
/// # Errors
/// The status to refuse the request with:
/// 404 for another path; 405 for methods besides GET, HEAD and POST; 400 for a GET whose `dns` is missing, there twice, not
/// base64url without padding (RFC 8484 sections 4.1 and 6) or no message; 415 for a POST of another media type;
/// 413 for one that is longer than a message can be.
pub fn read(method: &Method, uri: &Uri, headers: &HeaderMap, path: &str) -> Result<Asked, StatusCode> {
    if uri.path() != path {
        return Err(StatusCode::NOT_FOUND);
    }
    match *method {
        Method::GET | Method::HEAD => {
            let mut found = uri.query().into_iter().flat_map(|q| q.split('&')).filter_map(|p| p.strip_prefix("dns="));
            let (Some(text), None) = (found.next(), found.next()) else { return Err(StatusCode::BAD_REQUEST) };
            let query = URL_SAFE_NO_PAD.decode(text).map_err(|_| StatusCode::BAD_REQUEST)?;
            message(&query).map(|()| Asked::Here(query))
        }
        Method::POST => {
            // Parameters are none of this type's (RFC 8484 section 6), and are let pass.
            let media_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
            if !media_type.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(MEDIA_TYPE) {
                return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            }
            let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
            match announced {
                Some(n) if n > MAX_MESSAGE as u64 => Err(StatusCode::PAYLOAD_TOO_LARGE),
                _ => Ok(Asked::InBody),
            }
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Whether octets can be a query at all.
///
/// # Errors
/// 400 if they are fewer than a header, or are a response; 413 if they are more than a message can have.
pub fn message(octets: &[u8]) -> Result<(), StatusCode> {
    match octets {
        _ if octets.len() > MAX_MESSAGE => Err(StatusCode::PAYLOAD_TOO_LARGE),
        [_, _, flags, ..] if octets.len() >= HEADER && flags & 0x80 == 0 => Ok(()),
        _ => Err(StatusCode::BAD_REQUEST),
    }
}

//----------- Responses ------------------------------------------------------

/// What makes responses of one connection.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    alt_svc: Option<HeaderValue>,
}

impl Reply {
    /// `http3`: the UDP port on which HTTP/3 is to be had, told with every answer (RFC 9114 section 3.1.1).
    pub fn new(http3: Option<u16>) -> Reply {
        let alt_svc = http3.and_then(|port| HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400")).ok());
        Reply { alt_svc }
    }

    /// The response with a DNS message, whatever its rcode (RFC 8484 section 4.2.1): to HEAD everything but the message
    /// (RFC 9110 section 9.3.2).
    pub fn answer(&self, method: &Method, message: &[u8]) -> Response<Bytes> {
        let body = if *method == Method::HEAD { Bytes::new() } else { Bytes::copy_from_slice(message) };
        let mut response = Response::new(body);
        let freshness = Freshness::of(message);
        let scope = if freshness.is_shared { "" } else { "private, " };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CONTENT_LENGTH, message.len().into());
        if let Ok(control) = HeaderValue::try_from(format!("{scope}max-age={}", freshness.max_age)) {
            headers.insert(CACHE_CONTROL, control);
        }
        headers.extend(self.alt_svc.clone().map(|v| (ALT_SVC, v)));
        response
    }

    /// The response to a request that is refused, with a line for people.
    pub fn refusal(&self, method: &Method, status: StatusCode) -> Response<Bytes> {
        let text = match status {
            StatusCode::BAD_REQUEST => "no DNS query in base64url under dns=, or in the body\n",
            StatusCode::NOT_FOUND => "DNS over HTTPS is at another path\n",
            StatusCode::METHOD_NOT_ALLOWED => "GET, HEAD and POST only\n",
            StatusCode::REQUEST_TIMEOUT => "the body did not come in time\n",
            StatusCode::PAYLOAD_TOO_LARGE => "a DNS message has 65,535 octets at most\n",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "application/dns-message only\n",
            StatusCode::TOO_MANY_REQUESTS => "over the limit of this client\n",
            _ => "not now\n",
        };
        let mut response = Response::new(if *method == Method::HEAD { Bytes::new() } else { text.into() });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, text.len().into());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST")); // RFC 9110 section 15.5.6
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, uri: &str, headers: &[(&'static str, &'static str)], expected: Result<Asked, u16>) {
        let of =
            |(name, value): &(&'static str, &'static str)| (name.parse().unwrap(), HeaderValue::from_static(value));
        let found = read(&method, &uri.parse().unwrap(), &headers.iter().map(of).collect(), "/dns-query");
        assert_eq!(found.map_err(|s| s.as_u16()), expected, "{method} {uri}");
    }

    /// RFC 8484 sections 4.1 and 6; its own example is the first.
    #[test]
    fn requests_are_judged_before_their_body() {
        let (example, bare) = ("AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB", "AAABAAABAAAAAAAA");
        let wire = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01".to_vec();
        let get = |rest: &str, expected| check(Method::GET, &format!("/dns-query{rest}"), &[], expected);
        get(&format!("?dns={example}"), Ok(Asked::Here(wire.clone())));
        get(&format!("?x=1&dns={example}&y"), Ok(Asked::Here(wire.clone())));
        get(&format!("?dns={bare}"), Ok(Asked::Here(wire[..12].to_vec())));
        get(&format!("?dns={example}="), Err(400));
        get(&format!("?dns={example}&dns={example}"), Err(400));
        get("?dns=AA", Err(400));
        get("?dns=AAAA//AAAAAAAAAA", Err(400));
        get(&format!("?dns={}", bare.replacen("AAAB", "AACA", 1)), Err(400));
        get("?dns=", Err(400));
        get("?name=example.com", Err(400));
        get("", Err(400));
        check(Method::HEAD, &format!("/dns-query?dns={example}"), &[], Ok(Asked::Here(wire)));
        check(Method::GET, &format!("/?dns={example}"), &[], Err(404));
        check(Method::GET, &format!("/dns-query/?dns={example}"), &[], Err(404));
        check(Method::DELETE, "/dns-query", &[], Err(405));
        check(Method::OPTIONS, "*", &[], Err(404));
        let dns = ("content-type", "application/dns-message");
        check(Method::POST, "/dns-query", &[dns], Ok(Asked::InBody));
        check(
            Method::POST,
            "https://x/dns-query",
            &[("content-type", "Application/DNS-Message; a=b")],
            Ok(Asked::InBody),
        );
        check(Method::POST, "/dns-query", &[], Err(415));
        check(Method::POST, "/dns-query", &[("content-type", "application/dns-json")], Err(415));
        check(Method::POST, "/dns-query", &[dns, ("content-length", "65535")], Ok(Asked::InBody));
        check(Method::POST, "/dns-query", &[dns, ("content-length", "65536")], Err(413));
    }

    #[test]
    fn responses_say_what_they_are() {
        let message = b"\0\0\x81\0\0\0\0\0\0\0\0\0";
        let reply = Reply::new(Some(443));
        let answer = reply.answer(&Method::GET, message);
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &message[..]));
        assert_eq!((header("content-type"), header("content-length")), ("application/dns-message", "12"));
        assert_eq!((header("cache-control"), header("alt-svc")), ("private, max-age=0", "h3=\":443\"; ma=86400"));
        let head = reply.answer(&Method::HEAD, message);
        assert!(head.body().is_empty() && head.headers()["content-length"] == "12");
        let refused = Reply::default().refusal(&Method::PUT, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!((refused.status().as_u16(), refused.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD, POST"));
        assert!(!refused.headers().contains_key("alt-svc"));
    }
}
