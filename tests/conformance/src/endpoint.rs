//! The token endpoint of a case: it answers according to the transcript and records the requests.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use crate::case::{Answer, Fault, bytes};

/// A received request.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    /// By lower-case name.
    pub headers: Value,
    pub body: String,
}

/// The script of one case, and its state.
#[derive(Default)]
struct Script {
    path: String,
    answers: Vec<Answer>,
    state: Mutex<State>,
    arrived: Condvar,
    let_go: Notify,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    tokens: Vec<String>,
    released: HashSet<String>,
    is_over: bool,
}

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The script being played.
type Current = Arc<Mutex<Arc<Script>>>;

/// A server on a loopback port. Dropping it ends its thread.
pub struct Endpoint {
    current: Current,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Opens a free port.
    pub fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let current = Current::default();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let served = current.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = serve(listener, served) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { current, address, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn script(&self) -> Arc<Script> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a case: from now on only requests below its path count.
    pub fn begin(&self, path: &str, answers: &[Answer]) {
        let (path, answers) = (format!("{path}/"), answers.to_vec());
        let script = Arc::new(Script { path, answers, ..Script::default() });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// Ends the case: releases held responses and refuses further requests. Returns the number of requests.
    pub fn end(&self) -> usize {
        let script = self.script();
        let count = {
            let mut state = script.state();
            state.is_over = true;
            state.received.len()
        };
        script.let_go.notify_waiters();
        count
    }

    /// Releases the responses held under this name.
    pub fn release(&self, name: &str) {
        let script = self.script();
        script.state().released.insert(name.to_owned());
        script.let_go.notify_waiters();
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.script().state().received.clone()
    }

    /// The tokens issued so far.
    pub fn tokens(&self) -> Vec<String> {
        self.script().state().tokens.clone()
    }

    /// Waits until this many requests have arrived; the error is the actual number.
    pub fn await_requests(&self, count: usize, bound: Duration) -> Result<(), usize> {
        let script = self.script();
        let too_few = |state: &mut State| state.received.len() < count;
        let waited = script.arrived.wait_timeout_while(script.state(), bound, too_few);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.received.len() {
            found if found == count => Ok(()),
            found => Err(found),
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, current: Current) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, current.clone()));
    }
}

/// Serves one connection until its end.
async fn connection(stream: TcpStream, current: Current) {
    // Without this, the second packet of a small response could wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(Notify::new());
    let wanted = reset.clone();
    let service = service_fn(move |request| {
        let script = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reset = reset.clone();
        async move { Ok::<_, Infallible>(answer(request, &script, &reset).await) }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let reset = tokio::select! {
        // It does not matter here how the connection ended.
        _ = &mut connection => false,
        () = wanted.notified() => true,
    };
    if reset {
        // Closing with zero linger sends a reset.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

async fn answer(request: Request<Incoming>, script: &Script, reset: &Notify) -> Response<Pieces> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let headers: serde_json::Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let received = Received {
        method: head.method.to_string(),
        headers: headers.into(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let index = {
        let mut state = script.state();
        // Requests to it as a proxy have no path.
        let is_of_case =
            head.method == Method::CONNECT || head.uri.path().starts_with(&script.path);
        if state.is_over || !is_of_case {
            return plain(StatusCode::GONE, "this case is over");
        }
        state.received.push(received.clone());
        state.received.len() - 1
    };
    script.arrived.notify_all();
    let Some(answer) = script.answers.get(index) else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "the script has ended");
    };
    if let Some(name) = &answer.hold {
        held(script, name).await;
    }
    if answer.fault == Some(Fault::Reset) {
        reset.notify_one();
        return std::future::pending().await;
    }
    let body = answer.body(&received);
    script.state().tokens.extend(token_in(&body));
    answer.response(body)
}

/// Waits until a response is released.
async fn held(script: &Script, name: &str) {
    loop {
        // Created before checking, so that no release is missed in between.
        let let_go = script.let_go.notified();
        {
            let state = script.state();
            if state.is_over || state.released.contains(name) {
                return;
            }
        }
        let_go.await;
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Pieces> {
    let mut response = Response::new(Pieces::whole(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

fn token_in(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer.get("access_token")?.as_str().map(str::to_owned)
}

impl Answer {
    fn body(&self, request: &Received) -> Vec<u8> {
        if let Some(token) = &self.token {
            let asked = form_urlencoded::parse(request.body.as_bytes())
                .find(|(name, _)| name == "scope")
                .map(|(_, scope)| json!(scope));
            let lifetime = self.expires_in.clone().unwrap_or(json!(1200));
            let scope = self.scope.clone().or(asked).unwrap_or_default();
            // In the order of the service's own responses.
            let body = format!(
                r#"{{"token_type":"Bearer","expires_in":{lifetime},"access_token":{},"scope":{scope}}}"#,
                json!(token)
            );
            return body.into_bytes();
        }
        match (&self.json, &self.body, &self.body_hex) {
            (Some(json), ..) => json.to_string().into_bytes(),
            (_, Some(text), _) => text.clone().into_bytes(),
            (.., Some(hex)) => bytes(hex).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn response(&self, body: Vec<u8>) -> Response<Pieces> {
        let mut response = Response::builder().status(self.status);
        if self.token.is_some() || self.json.is_some() {
            response = response.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        let is_cut = self.fault == Some(Fault::Cut);
        if is_cut {
            response = response.header(CONTENT_LENGTH, body.len().max(1));
        }
        let half = body.len() / 2;
        let body = Bytes::from(body);
        let pieces = if is_cut { Pieces::cut(body.slice(..half)) } else { Pieces::whole(body) };
        response.body(pieces).unwrap_or_else(|_| {
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the case's answer cannot be sent")
        })
    }
}

/// A body in memory, sent whole or cut off after the given bytes.
struct Pieces {
    bytes: Option<Bytes>,
    is_cut: bool,
    is_flushed: bool,
}

impl Pieces {
    fn whole(bytes: Bytes) -> Self {
        Self { bytes: Some(bytes), is_cut: false, is_flushed: false }
    }

    fn cut(bytes: Bytes) -> Self {
        Self { is_cut: true, ..Self::whole(bytes) }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.is_cut {
            return Poll::Ready(None);
        }
        if !self.is_flushed {
            // While a body is pending, the server flushes what it has so far.
            self.is_flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("cut off on purpose"))))
    }

    fn is_end_stream(&self) -> bool {
        !self.is_cut && self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        let length = self.bytes.as_ref().map_or(0, Bytes::len) as u64;
        match self.is_cut {
            true => hyper::body::SizeHint::default(),
            false => hyper::body::SizeHint::with_exact(length),
        }
    }
}
