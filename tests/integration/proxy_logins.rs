//! A proxy that refuses: which error, and above all how many logins. Directories lock an account
//! after three to five that fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::tls::{Authority, Files, open_server};
use crate::support::{
    ID, Reply, SECRET, Server, Step, each, failure_in_time, header, options, together, until, value,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tu_token::ErrorKind::{Network, Proxy, Tls};
use tu_token::{Client, Clock, Config, Error, Event, EventKind, GetOptions, ManualClock, Stats};

const URL: &str = "https://auth.example.test/token/v2";
const PASSWORD: &str = "hush/hush";
const LOGIN: &str = "CORP%5Cuser:hush%2Fhush";
const SCOPES: [&str; 4] = ["a", "b", "c", "d"];

const MINUTE: Duration = Duration::from_secs(60);

/// A proxy and the token server behind it.
struct Scene {
    proxy: Server,
    refuses: Arc<AtomicBool>,
    clock: Arc<ManualClock>,
    ca_file: String,
    _files: Files,
    _server: Server,
}

impl Scene {
    /// The proxy refuses with this answer until it is told not to.
    fn refusing(answer: Reply) -> Self {
        Self::with(answer, |script, _| Server::new(script))
    }

    fn with(
        answer: Reply,
        start: impl FnOnce(
            Box<dyn Fn(usize, &crate::support::Request) -> Reply + Send + Sync>,
            Arc<rustls::ServerConfig>,
        ) -> Server,
    ) -> Self {
        let (authority, files) = (Authority::new(), Files::new());
        let server = Server::tls(open_server(&authority.sign("auth.example.test")));
        let refuses = Arc::new(AtomicBool::new(true));
        let (refuses_now, port) = (refuses.clone(), server.port());
        let script = move |_, _: &crate::support::Request| match refuses_now.load(Ordering::SeqCst)
        {
            true => answer.clone(),
            false => vec![send("HTTP/1.1 200 Connected\r\n\r\n"), Step::Tunnel(port)],
        };
        let proxy = start(Box::new(script), open_server(&authority.sign("localhost")));
        let ca_file = files.write("ca.pem", &authority.pem());
        let clock = Arc::new(ManualClock::default());
        Self { proxy, refuses, clock, ca_file, _files: files, _server: server }
    }

    fn accept(&self) {
        self.refuses.store(false, Ordering::SeqCst);
    }

    fn config(&self, proxy_url: &str) -> Config {
        let mut config = Config::new();
        for (key, value) in options(URL) {
            config.set(key, value);
        }
        config.set("ca_file", &self.ca_file).set("proxy", proxy_url);
        config
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{LOGIN}@localhost:{}", self.proxy.port())
    }

    fn client_with(&self, config: &Config) -> Client {
        Client::with_clock(config, Clock::Manual(self.clock.clone())).unwrap()
    }

    /// A client of the clock on the wall, for pauses between attempts to pass.
    fn client_in_time(&self, fetch_timeout: &str) -> Client {
        let mut config = self.config(&self.url("http"));
        config.set("fetch_timeout", fetch_timeout).set("request_timeout", fetch_timeout);
        Client::new(&config).unwrap()
    }

    /// The network is back, and a second later: so much lies between two fetches of an entry.
    fn wake(&self, client: &Client) {
        client.wake();
        self.clock.advance(Duration::from_secs(1));
    }

    fn client(&self) -> Client {
        self.client_with(&self.config(&self.url("http")))
    }

    /// Requests that carried user and password.
    fn logins(&self) -> usize {
        let login = STANDARD.encode(format!("CORP\\user:{PASSWORD}"));
        let expected = format!("Basic {login}");
        let received = self.proxy.received();
        let carried =
            received.iter().filter_map(|asked| header(&asked.head, "proxy-authorization"));
        carried.inspect(|carried| assert_eq!(*carried, expected)).count()
    }
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

fn refusal(headers: &str) -> Reply {
    vec![send(&format!("HTTP/1.1 407 X\r\n{headers}Content-Length: 0\r\n\r\n"))]
}

fn basic_refusal() -> Reply {
    refusal("Proxy-Authenticate: Basic realm=\"x\"\r\n")
}

/// The refusal of a login, which gives nothing away; with the minutes until the next one.
fn refused(client: &Client) -> u64 {
    minutes_of(&failure_in_time(client))
}

fn minutes_of(error: &Error) -> u64 {
    assert_eq!(error.kind(), Proxy, "{error}");
    assert!(!error.is_retryable() && error.oauth_code().is_none(), "{error:?}");
    let shown = format!("{error} {error:?}");
    let login = STANDARD.encode(format!("CORP\\user:{PASSWORD}"));
    for hidden in [SECRET, ID, PASSWORD, LOGIN, "CORP", "hush", &login] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    let wait = error.retry_after().expect("the wait is known").as_secs();
    let minutes = wait.div_ceil(60);
    assert!(shown.contains(&format!("in {minutes} min")), "{shown}");
    minutes
}

fn stats(client: &Client) -> Stats {
    client.stats(None).unwrap()
}

fn with_scope(scope: &str) -> GetOptions<'_> {
    GetOptions { scope: Some(scope), ..GetOptions::default() }
}

// --- one login -------------------------------------------------------------------------------

#[test]
fn a_refused_login_is_made_once_and_remembered_for_half_an_hour() {
    let scene = Scene::refusing(basic_refusal());
    let mut config = scene.config(&scene.url("http"));
    let events = Arc::new(Mutex::new(Vec::<Event>::new()));
    let told = events.clone();
    config.on_event(move |event: &Event| told.lock().unwrap().push(event.clone()));
    let client = scene.client_with(&config);

    let error = failure_in_time(&client);
    for said in ["through the proxy", "refused user and password", "407", "it offers Basic"] {
        assert!(error.message().contains(said), "{error}");
    }
    assert_eq!(minutes_of(&error), 30);
    for minute in 1..30 {
        scene.clock.advance(MINUTE);
        assert_eq!(refused(&client), 30 - minute);
    }
    assert_eq!((scene.logins(), stats(&client).failures, stats(&client).requests), (1, 1, 1));
    assert_eq!(stats(&client).last_error, Some(Proxy));
    assert_eq!(stats(&client).next_request_in, MINUTE);

    scene.clock.advance(MINUTE);
    assert_eq!((refused(&client), scene.logins()), (30, 2));
    scene.clock.advance(30 * MINUTE);
    scene.accept();
    assert_eq!(value(client.token()), "token-1");
    assert_eq!(scene.logins(), 3);

    let kinds =
        || -> Vec<EventKind> { events.lock().unwrap().iter().map(|event| event.kind).collect() };
    until("the success is told", || kinds().contains(&EventKind::FetchSucceeded));
    let failed = kinds().iter().filter(|kind| **kind == EventKind::FetchFailed).count();
    assert_eq!(failed, 2, "one for each login: {:?}", kinds());
    let events = events.lock().unwrap();
    let failed = events.iter().find(|event| event.kind == EventKind::FetchFailed).unwrap();
    assert_eq!((failed.error, failed.wait), (Some(Proxy), Some(30 * MINUTE)));
}

#[test]
fn all_scopes_and_clients_of_the_process_share_one_login() {
    let scene = Scene::refusing(basic_refusal());
    let clients = [scene.client(), scene.client()];
    // At once, and the outcome of the first is not known: the others wait for it.
    for outcome in together(8, |call| clients[call % 2].get(&with_scope(SCOPES[call / 2]))) {
        assert_eq!(minutes_of(&outcome.unwrap_err()), 30);
    }
    assert_eq!((scene.logins(), scene.proxy.connections()), (1, 1));
    // One that is made for every call, too.
    drop(clients);
    for _ in 0..5 {
        assert_eq!(refused(&scene.client()), 30);
    }
    assert_eq!((scene.logins(), scene.proxy.connections()), (1, 1));
    // The same login by another spelling of the URL; another login is another matter.
    let spelled = format!("http://%43ORP%5cuser:hush%2fhush@LOCALHOST:{}/", scene.proxy.port());
    assert_eq!(refused(&scene.client_with(&scene.config(&spelled))), 30);
    assert_eq!(scene.proxy.connections(), 1);
    let other = format!("http://other:hush@localhost:{}", scene.proxy.port());
    assert_eq!(refused(&scene.client_with(&scene.config(&other))), 30);
    assert_eq!(scene.proxy.connections(), 2);
}

#[test]
fn whoever_is_let_in_ends_the_refusal_for_all() {
    let scene = Scene::refusing(basic_refusal());
    let (one, other) = (scene.client(), scene.client());
    assert_eq!((refused(&one), refused(&other)), (30, 30));
    scene.accept();
    scene.wake(&one);
    assert_eq!(value(one.token()), "token-1");
    assert_eq!(value(other.token()), "token-2");
}

#[test]
fn wake_allows_one_probe_in_ten_minutes_to_all_clients_together() {
    let scene = Scene::refusing(basic_refusal());
    let clients = [scene.client(), scene.client()];
    assert_eq!(refused(&clients[0]), 30);
    for client in clients.iter().cycle().take(10) {
        scene.wake(client);
        refused(client);
    }
    assert_eq!(scene.logins(), 2);
    scene.clock.advance(10 * MINUTE);
    for client in clients.iter().cycle().take(10) {
        scene.wake(client);
        refused(client);
    }
    assert_eq!(scene.logins(), 3);
    scene.clock.advance(10 * MINUTE);
    scene.accept();
    scene.wake(&clients[1]);
    assert_eq!(value(clients[1].token()), "token-1");
}

#[test]
fn other_client_credentials_are_no_other_login() {
    let scene = Scene::refusing(basic_refusal());
    let client = scene.client();
    assert_eq!(refused(&client), 30);
    for number in 0..5 {
        client.rotate(&format!("id-{number}"), "another-secret").unwrap();
        assert_eq!(refused(&client), 30);
    }
    assert_eq!(scene.logins(), 1);
}

#[test]
fn a_valid_token_is_served_while_logins_are_refused() {
    let scene = Scene::refusing(basic_refusal());
    scene.accept();
    let client = scene.client();
    assert_eq!(value(client.token()), "token-1");
    scene.refuses.store(true, Ordering::SeqCst);
    // Into the soft window, then into the last seconds, then beyond.
    for seconds in [900, 200, 80, 10] {
        scene.clock.advance(Duration::from_secs(seconds));
        for _ in 0..3 {
            assert_eq!(value(client.token()), "token-1");
        }
        until("the renewal has failed", || stats(&client).failures == 1);
    }
    scene.clock.advance(Duration::from_secs(10));
    refused(&client);
    assert_eq!(scene.logins(), 2);
}

#[test]
fn what_is_refused_in_place_of_the_password_is_told() {
    let cases = [
        (refusal(""), "does not say whether it offers Basic"),
        (refusal("Proxy-Authenticate: NTLM\r\n"), "it offers NTLM, and only Basic is supported"),
        (
            refusal(
                "Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: Digest realm=\"Basic\"\r\n",
            ),
            "it offers Negotiate, Digest, and only Basic is supported",
        ),
        // What a proxy echoes is not shown.
        (
            refusal(&format!(
                "Proxy-Authenticate: {PASSWORD} realm=\"{PASSWORD}\"\r\nX: {PASSWORD}\r\n"
            )),
            "does not say whether it offers Basic",
        ),
    ];
    each(cases, |(answer, said)| {
        let scene = Scene::refusing(answer);
        let error = failure_in_time(&scene.client());
        minutes_of(&error);
        assert!(error.message().contains(said), "{error}");
        assert_eq!(scene.logins(), 1);
    });
}

#[test]
fn however_a_login_is_refused_it_is_made_once() {
    let cut_off = "HTTP/1.1 407 X\r\nProxy-Authenticate: Ba";
    let endless = format!("HTTP/1.1 407 X\r\nX: {}", "x".repeat(64 * 1024));
    let cases = [
        // tinyproxy.
        vec![send("HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n")],
        vec![send(cut_off)],
        vec![send(&endless)],
        vec![send("HTTP/1.1 100 X\r\n\r\n"), send("HTTP/1.1 407 X\r\n\r\n")],
        vec![send(cut_off), Step::Wait(Duration::from_millis(1_500))],
    ];
    each(cases, |answer| {
        let scene = Scene::refusing(answer);
        let mut config = scene.config(&scene.url("http"));
        config.set("connect_timeout", "1s");
        let client = Client::new(&config).unwrap();
        assert_eq!(refused(&client), 30);
        assert_eq!(refused(&client), 30);
        assert_eq!(scene.logins(), 1);
    });
}

#[test]
fn a_proxy_with_tls_and_one_with_socks_are_no_different() {
    each(["https", "socks5 password", "socks5 method"], |kind| {
        let (scheme, scene) = match kind {
            "https" => {
                let start = |script, config| Server::scripted_tls(config, script);
                ("https", Scene::with(basic_refusal(), start))
            }
            "socks5 password" => {
                let login = [&[1, 9], &b"CORP\\user"[..], &[9], PASSWORD.as_bytes()].concat();
                let steps = vec![
                    Step::Send(vec![5, 2]),
                    Step::Receive(login.len()),
                    Step::Send(vec![1, 1]),
                ];
                ("socks5", Scene::refusing(steps))
            }
            _ => ("socks5", Scene::refusing(vec![Step::Send(vec![5, 0xff])])),
        };
        let client = scene.client_with(&scene.config(&scene.url(scheme)));
        for outcome in together(4, |call| client.get(&with_scope(SCOPES[call]))) {
            assert_eq!(minutes_of(&outcome.unwrap_err()), 30, "{kind}");
        }
        scene.wake(&client);
        assert_eq!(refused(&client), 30, "{kind}");
        assert_eq!(scene.proxy.connections(), 2, "{kind}");
    });
}

// --- one at a time ---------------------------------------------------------------------------

#[test]
fn until_a_login_was_accepted_the_next_one_waits_for_it() {
    let scene = Scene::refusing(vec![
        Step::Wait(Duration::from_millis(200)),
        send("HTTP/1.1 502 Bad Gateway\r\n\r\n"),
    ]);
    let client = scene.client_in_time("30s");
    // Each logs in when the one before has had an answer, and never two at a time.
    let outcomes = together(4, |call| client.get(&with_scope(SCOPES[call])));
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().kind() == Network));
    let times: Vec<_> = scene.proxy.received().iter().map(|asked| asked.at).collect();
    assert!(times.len() >= 4);
    let apart = Duration::from_millis(150);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= apart), "{times:?}");
    // Once it is known to be good, nobody waits.
    scene.accept();
    client.wake();
    for outcome in together(4, |call| client.get(&with_scope(SCOPES[call]))) {
        outcome.unwrap();
    }
}

#[test]
fn a_login_without_an_answer_holds_others_up_for_no_longer_than_their_own_time() {
    let scene = Scene::refusing(vec![Step::Hang]);
    let client = scene.client_in_time("3s");
    for outcome in together(4, |call| client.get(&with_scope(SCOPES[call]))) {
        assert_eq!(outcome.unwrap_err().kind(), Network);
    }
    assert!(scene.logins() < 4, "{}", scene.logins());
    scene.accept();
    client.wake();
    assert_eq!(value(client.token()), "token-1");
}

// --- no login --------------------------------------------------------------------------------

#[test]
fn what_is_refused_without_a_login_may_pass() {
    let forbidden = || vec![send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")];
    let reply = vec![Step::Send(vec![5, 0]), Step::Receive(24), Step::Send(vec![5, 2])];
    let cases = [
        ("http", "", basic_refusal(), "wants a login (status 407; it offers Basic)"),
        ("http", "", refusal("Proxy-Authenticate: NTLM\r\n"), "only Basic is supported"),
        ("http", "", forbidden(), "status 403"),
        ("http", LOGIN, forbidden(), "status 403"),
        ("socks5", "", vec![Step::Send(vec![5, 0xff])], "wants a login (SOCKS5)"),
        ("socks5", LOGIN, reply, "rules do not allow"),
    ];
    each(cases, |(scheme, login, answer, said)| {
        let scene = Scene::refusing(answer);
        let at = if login.is_empty() { "" } else { "@" };
        let url = format!("{scheme}://{login}{at}localhost:{}", scene.proxy.port());
        let mut config = scene.config(&url);
        config.set("fetch_timeout", "10s");
        let client = scene.client_with(&config);
        let error = client.token().map(drop).unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (Proxy, true), "{error}");
        assert!(error.message().contains(said), "{said}: {error}");
        assert!(error.retry_after().is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(scene.proxy.connections(), 1, "one attempt: {said}");
        scene.clock.advance(Duration::from_secs(1));
        client.token().map(drop).unwrap_err();
        assert_eq!(scene.proxy.connections(), 2, "{said}");
        // New client credentials end a pause, as always.
        client.rotate("other", "other-secret").unwrap();
        scene.clock.advance(Duration::from_secs(1));
        client.token().map(drop).unwrap_err();
        assert_eq!(scene.proxy.connections(), 3, "{said}");
    });
}

#[test]
fn other_failures_of_a_proxy_tell_the_status() {
    each([302, 500, 502, 503, 504], |status| {
        let scene = Scene::refusing(vec![send(&format!("HTTP/1.1 {status} {PASSWORD}\r\n\r\n"))]);
        let error = failure_in_time(&scene.client_in_time("20s"));
        assert_eq!((error.kind(), error.is_retryable()), (Network, true), "{error}");
        assert!(error.message().contains(&format!("CONNECT with status {status}")), "{error}");
        assert!(!error.message().contains(PASSWORD));
    });
}

#[test]
fn a_proxy_that_is_not_who_it_should_be_gets_no_login() {
    let scene = Scene::with(basic_refusal(), |script, config| Server::scripted_tls(config, script));
    // The certificate is for localhost.
    let url = format!("https://{LOGIN}@127.0.0.1:{}", scene.proxy.port());
    let error = failure_in_time(&scene.client_with(&scene.config(&url)));
    assert_eq!(error.kind(), Tls, "{error}");
    assert!(error.message().contains("no secure connection to the proxy"), "{error}");
    assert_eq!(scene.proxy.requests(), 0);
}
