//! A connection of HTTP/1.1 or HTTP/2 that carries DNS (RFC 8484).
//!
//! hyper speaks HTTP; which version, the first octets tell (they agree with ALPN, or hyper refuses them). Around it
//! stands what it leaves open: a connection without a request ends after the idle time, whatever else it
//! sends; bodies have a deadline and a greatest size; replies that nobody takes are bounded and have a deadline.

use crate::exchange::Connection;
use crate::transport::desk::MAX_MESSAGE;
use crate::transport::doh::{self, Asked, Reply};
use crate::transport::gate::Permit;
use crate::transport::handler::{Handler, Peer};
use crate::transport::site::Site;
use crate::transport::unfinished::Unfinished;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};

/// Octets and number of a request's headers. Our choice: a browser sends about 1 kB and 20; a GET holds up to
/// 12 kB of query.
const MAX_HEADERS: (u32, usize) = (16 << 10, 64);

/// Requests under way on one HTTP/2 connection; RFC 9113 section 6.5.2 advises 100 at least.
const MAX_STREAMS: u32 = 100;

/// Octets that a client may send ahead on a connection: some requests with the longest of bodies.
const WINDOW: u32 = 256 << 10;

/// Octets of replies that wait on one connection for its client to take them; requests are refused beyond.
const MAX_WAITING: usize = 256 << 10;

/// How long, and for how many octets, the body of a refused request is heard. Our choice, as for TCP.
const PASS_OVER: (Duration, usize) = (Duration::from_millis(500), 1 << 20);

//----------- serve ----------------------------------------------------------

/// Serves one connection to its end and says how it ended; closing is left to the caller. `http3`: the port to tell the
/// client of.
pub async fn serve<S, H>(
    stream: &Held<S>,
    peer: Peer,
    permit: Permit,
    site: Rc<Site<H>>,
    http3: Option<u16>,
) -> Connection
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Handler + 'static,
{
    let pace = site.rules.pace;
    let mut stop = site.stop.clone();
    let (n_open, waiting) = (Cell::new(0), Cell::new(0));
    let state = State { last: Cell::new(Instant::now()), n_open, waiting, unfinished: Unfinished::default() };
    let talk = Rc::new(Talk { site, peer, permit, reply: Reply::new(http3), state: Rc::new(state) });
    let service = {
        let talk = talk.clone();
        service_fn(move |request| talk.clone().answer(request))
    };
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream.clone()), service));
    let mut alarm = pin!(sleep_until(talk.deadline()));
    let mut displaced = pin!(talk.permit.displaced());
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    let mut ending = None;
    loop {
        tokio::select! {
            biased;
            ended = &mut connection => return match (ending, ended) {
                (Some(end), _) => end,
                (None, Ok(())) => Connection::Closed,
                (None, Err(_)) => Connection::Failed,
            },
            () = &mut displaced => return Connection::Displaced,
            _ = &mut stopped, if ending.is_none() => {
                ending = Some(Connection::Closed);
                connection.as_mut().graceful_shutdown();
                alarm.as_mut().reset(Instant::now() + pace.write);
            }
            () = &mut alarm => match ending {
                Some(end) => return end,
                None if Instant::now() < talk.deadline() => alarm.as_mut().reset(talk.deadline()),
                None => {
                    // Says so to the client, which may take a moment, but not the time of a slow one again.
                    ending = Some(if talk.state.n_open.get() > 0 { Connection::TimedOutWrite } else { Connection::TimedOutIdle });
                    connection.as_mut().graceful_shutdown();
                    alarm.as_mut().reset(Instant::now() + pace.linger);
                }
            },
        }
    }
}

fn builder() -> auto::Builder<OnThisThread> {
    let mut builder = auto::Builder::new(OnThisThread);
    builder
        .http1()
        .header_read_timeout(None) // the alarm in `serve` rings first
        .max_headers(MAX_HEADERS.1)
        // Not `pipeline_flush`: with it hyper sends no 400 and no 431, since what it could not read is still to be read.
        .max_buf_size(MAX_HEADERS.0 as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADERS.0)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(MAX_MESSAGE as u32)
        .max_send_buf_size(MAX_MESSAGE);
    builder
}

/// hyper's tasks of a connection stay on its thread, where the handler is.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}

//----------- Held -----------------------------------------------------------

/// A stream that is not gone with the connection that hyper makes of it: there may be something to hear out.
pub struct Held<S>(Rc<RefCell<S>>);

impl<S> Held<S> {
    /// Holds `stream`.
    pub fn new(stream: S) -> Held<S> {
        Held(Rc::new(RefCell::new(stream)))
    }

    /// The stream, once hyper has let go of it.
    pub fn into_inner(self) -> Option<S> {
        Rc::into_inner(self.0).map(RefCell::into_inner)
    }
}

impl<S> Clone for Held<S> {
    fn clone(&self) -> Held<S> {
        Held(self.0.clone())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(cx, octets)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}

//----------- Talk -----------------------------------------------------------

/// One connection, as its requests see it.
struct Talk<H> {
    site: Rc<Site<H>>,
    peer: Peer,
    permit: Permit,
    reply: Reply,
    state: Rc<State>,
}

/// How much is going on.
struct State {
    /// When a request or the end of one was last seen.
    last: Cell<Instant>,
    /// Requests whose response has not been taken.
    n_open: Cell<usize>,
    /// Octets of such responses.
    waiting: Cell<usize>,
    /// Requests whose end has not come.
    unfinished: Unfinished,
}

impl<H: Handler> Talk<H> {
    /// When to lose patience if nothing happens.
    fn deadline(&self) -> Instant {
        let pace = &self.site.rules.pace;
        self.state.last.get()
            + if self.state.n_open.get() > 0 { pace.read + pace.write } else { self.permit.patience(pace.idle) }
    }

    async fn answer(self: Rc<Talk<H>>, request: Request<Incoming>) -> Result<Response<Counted>, Infallible> {
        let mut counted = Counted::begin(&self.state);
        let (head, mut body) = request.into_parts();
        let asked = doh::read(&head.method, &head.uri, &head.headers, &self.site.rules.path);
        let query = match asked {
            _ if self.state.waiting.get() > MAX_WAITING => Err(StatusCode::SERVICE_UNAVAILABLE),
            Ok(Asked::Here(query)) => Ok(query),
            Ok(Asked::InBody) => self.read(&mut body).await,
            Err(status) => Err(status),
        };
        // Unless it waits to be told to send it (RFC 9110 section 10.1.1).
        if query.is_err() && !head.headers.contains_key(http::header::EXPECT) {
            self.pass_over(body).await;
        }
        let response = match query.and_then(|query| self.ask(&head.method, &query)) {
            Ok(response) => response,
            Err(status) => self.reply.refusal(&head.method, status),
        };
        self.permit.touch(Instant::now().into_std());
        Ok(response.map(|body| {
            counted.fill(body);
            counted
        }))
    }

    async fn read(&self, body: &mut Incoming) -> Result<Vec<u8>, StatusCode> {
        let read = async {
            let mut whole = self.state.unfinished.begin(MAX_MESSAGE);
            while let Some(frame) = body.frame().await {
                let part = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data().unwrap_or_default();
                whole.add(&part)?;
            }
            Ok(whole.finish())
        };
        timeout(self.site.rules.pace.read, read).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
    }

    /// Hears the rest of a refused request, up to a limit: a client that is still sending when its connection is closed
    /// may lose the response that tells why (RFC 9112 section 9.6).
    async fn pass_over(&self, mut body: Incoming) {
        let read = async {
            let mut left = PASS_OVER.1;
            while let Some(Ok(frame)) = body.frame().await {
                match frame.data_ref().map_or(0, Bytes::len) {
                    n if n > left => break,
                    n => left -= n,
                }
            }
        };
        let _ = timeout(PASS_OVER.0, read).await;
    }

    fn ask(&self, method: &Method, query: &[u8]) -> Result<Response<Bytes>, StatusCode> {
        doh::message(query)?;
        let answer = self.site.desk.ask(query, self.peer, |message| self.reply.answer(method, message));
        // What is a query and gets silence is over a limit.
        answer.ok_or(StatusCode::TOO_MANY_REQUESTS)
    }
}

//----------- Counted --------------------------------------------------------

/// A response's body, counted from the request on until hyper has passed it on or dropped it.
struct Counted {
    body: Full<Bytes>,
    len: usize,
    state: Rc<State>,
}

impl Counted {
    fn begin(state: &Rc<State>) -> Counted {
        state.last.set(Instant::now());
        state.n_open.set(state.n_open.get() + 1);
        Counted { body: Full::default(), len: 0, state: state.clone() }
    }

    fn fill(&mut self, body: Bytes) {
        self.len = body.len();
        self.state.waiting.set(self.state.waiting.get() + self.len);
        self.body = Full::new(body);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.state.last.set(Instant::now());
        self.state.n_open.set(self.state.n_open.get() - 1);
        self.state.waiting.set(self.state.waiting.get() - self.len);
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
