//! The way through a proxy: the host is named to the proxy and never looked up here, the secret
//! only travels inside the TLS tunnel, and a proxy that misbehaves is a network error in time.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::tls::{Authority, Files, open_server};
use crate::support::{
    ID, Reply, SECRET, Server, Step, builder, each, failure_in_time, header, lossy, until, value,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tu_token::ErrorKind::{Network, Proxy, Tls};
use tu_token::{Builder, Client, Error, Event};

/// A name that DNS does not know (RFC 6761): asking for it would fail.
const HOST: &str = "auth.example.test";
const URL: &str = "https://auth.example.test/token/v2";

const PROXY_USER: &str = "gate";
const PROXY_PASSWORD: &str = "p@ss/w0rd:4711";
const PROXY_PASSWORD_IN_URL: &str = "p%40ss%2Fw0rd%3A4711";

/// The environment that may name a proxy.
const PROXY_VARIABLES: [&str; 8] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];
/// Tells the test that runs in a process of its own where to ask, and whom to trust.
const CHILD_URL: &str = "PROXY_TEST_URL";
const CHILD_CA_FILE: &str = "PROXY_TEST_CA_FILE";

/// A token server behind the proxy, and who vouches for it.
struct Scene {
    server: Server,
    ca_file: String,
    _files: Files,
}

impl Scene {
    fn new() -> Self {
        Self::with_certificate_for(HOST)
    }

    fn with_certificate_for(host: &str) -> Self {
        let (authority, files) = (Authority::new(), Files::new());
        let server = Server::tls(open_server(&authority.sign(host)));
        let ca_file = files.write("ca.pem", &authority.pem());
        Self { server, ca_file, _files: files }
    }

    /// What a CONNECT proxy does that leads to the token server, wherever it was asked to go.
    fn tunnel(&self) -> Reply {
        vec![
            send("HTTP/1.1 200 Connection established\r\nX-Proxy: test\r\n\r\n"),
            Step::Tunnel(self.server.port()),
        ]
    }

    fn proxy(&self) -> Server {
        Server::always(self.tunnel())
    }

    fn builder(&self, proxy_url: &str) -> Builder {
        builder(URL).set("ca_file", &self.ca_file).set("proxy", proxy_url)
    }

    /// The failure through a proxy that does as named: each attempt with one that hangs gets a second.
    fn failure(&self, proxy_url: &str, what: &str) -> Error {
        let waits = ["hang", "trickle"].iter().any(|word| what.contains(word));
        let limit = if waits { "1s" } else { "20s" };
        network_failure(&self.builder(proxy_url).set("request_timeout", limit).build().unwrap())
    }

    fn client(&self, proxy: &Server) -> Client {
        self.builder(&plain_url(proxy)).build().unwrap()
    }
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

fn plain_url(proxy: &Server) -> String {
    format!("http://127.0.0.1:{}", proxy.port())
}

fn url_with_password(scheme: &str, proxy: &Server) -> String {
    format!("{scheme}://{PROXY_USER}:{PROXY_PASSWORD_IN_URL}@127.0.0.1:{}", proxy.port())
}

fn basic() -> String {
    STANDARD.encode(format!("{PROXY_USER}:{PROXY_PASSWORD}"))
}

fn assert_tells_nothing(text: &str) {
    for hidden in [SECRET, PROXY_PASSWORD, PROXY_PASSWORD_IN_URL, &basic()] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
}

/// A network error, in time, that gives nothing away.
fn network_failure(client: &Client) -> Error {
    let error = failure_in_time(client);
    assert_eq!(error.kind(), Network, "{error}");
    assert!(error.is_retryable());
    for text in [error.to_string(), error.message().to_owned(), format!("{error:?}")] {
        assert_tells_nothing(&text);
    }
    error
}

// --- CONNECT ---------------------------------------------------------------------------------

#[test]
fn a_token_through_a_proxy() {
    let scene = Scene::new();
    let proxy = scene.proxy();
    assert_eq!(value(scene.client(&proxy).token()), "token-1");

    let asked = proxy.received();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].head.starts_with("CONNECT auth.example.test:443 HTTP/1.1\r\n"), "{asked:?}");
    assert_eq!(header(&asked[0].head, "host"), Some("auth.example.test:443"));
    assert!(header(&asked[0].head, "user-agent").unwrap().starts_with("tu-token/"));
    for absent in ["authorization", "proxy-authorization", "cookie"] {
        assert_eq!(header(&asked[0].head, absent), None);
    }
    assert!(!asked[0].head.contains(ID));
    assert_tells_nothing(&asked[0].head);

    let received = scene.server.received();
    assert_eq!(received.len(), 1);
    assert!(received[0].head.starts_with("POST /token/v2 HTTP/1.1\r\n"), "{received:?}");
    assert_eq!(header(&received[0].head, "host"), Some(HOST));
    assert_eq!(header(&received[0].head, "proxy-authorization"), None);
}

#[test]
fn the_port_of_the_url_is_asked_for() {
    let scene = Scene::new();
    let proxy = scene.proxy();
    let client = scene
        .builder(&plain_url(&proxy))
        .set("token_url", "https://auth.example.test:8443/token/v2")
        .build()
        .unwrap();
    assert_eq!(value(client.token()), "token-1");
    assert!(proxy.received()[0].head.starts_with("CONNECT auth.example.test:8443 HTTP/1.1\r\n"));
}

#[test]
fn the_proxys_password_goes_to_the_proxy_alone() {
    let scene = Scene::new();
    let (tunnel, refusing) = (scene.tunnel(), Arc::new(AtomicBool::new(true)));
    let refuses = refusing.clone();
    let proxy = Server::new(move |_, _| match refuses.load(Ordering::SeqCst) {
        true => vec![send("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")],
        false => tunnel.clone(),
    });
    let events = Arc::new(Mutex::new(Vec::<Event>::new()));
    let told = events.clone();
    let builder = scene
        .builder(&url_with_password("http", &proxy))
        .on_event(move |event: &Event| told.lock().unwrap().push(event.clone()));
    assert_tells_nothing(&format!("{builder:?}"));
    let client = builder.build().unwrap();
    assert_tells_nothing(&format!("{client:?}"));

    let error = failure_in_time(&client);
    assert_eq!(error.kind(), Proxy, "{error}");
    assert_tells_nothing(&format!("{error} {error:?}"));
    refusing.store(false, Ordering::SeqCst);
    client.wake();
    assert_eq!(value(client.token()), "token-1");

    for request in proxy.received() {
        let expected = format!("Basic {}", basic());
        assert_eq!(header(&request.head, "proxy-authorization"), Some(&*expected));
    }
    let received = scene.server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(header(&received[0].head, "proxy-authorization"), None);
    until("the success is told", || {
        events.lock().unwrap().iter().any(|event| event.fingerprint.is_some())
    });
    for event in events.lock().unwrap().iter() {
        assert_tells_nothing(&format!("{event} {event:?}"));
    }
}

#[test]
fn a_proxy_url_that_is_none_does_not_show_its_password() {
    let url = format!("http://{PROXY_USER}:{PROXY_PASSWORD_IN_URL}@:x");
    let error = builder(URL).set("proxy", &url).build().unwrap_err();
    assert_eq!(error.kind(), tu_token::ErrorKind::Config);
    assert_tells_nothing(&format!("{error} {error:?}"));
}

#[test]
fn a_proxy_that_misbehaves_is_a_network_error() {
    let scene = Scene::new();
    let cases: Vec<(&str, Reply)> = vec![
        ("503", vec![send("HTTP/1.1 503 X\r\nRetry-After: 900\r\nContent-Length: 0\r\n\r\n")]),
        (
            "a login page",
            vec![send("HTTP/1.1 302 X\r\nLocation: http://login.example.test/\r\n\r\n")],
        ),
        ("garbage", vec![send("\u{1}\u{2}\u{3} what is CONNECT?\r\n\r\n")]),
        ("another protocol", vec![send("SSH-2.0-OpenSSH_9.6\r\n")]),
        ("TLS", vec![Step::Send(vec![0x15, 3, 3, 0, 2, 2, 70])]),
        ("a status that is none", vec![send("HTTP/1.1 2000 X\r\n\r\n")]),
        ("switches", vec![send("HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n"), Step::Hang]),
        ("nothing, then the end", vec![]),
        ("half an answer, then the end", vec![send("HTTP/1.1 200 Conn")]),
        ("hangs", vec![Step::Hang]),
        ("half an answer, then hangs", vec![send("HTTP/1.1 200 Conn"), Step::Hang]),
        ("resets", vec![Step::Reset]),
        ("half an answer, then a reset", vec![send("HTTP/1.1 200 Conn"), Step::Reset]),
        ("endless headers", vec![send("HTTP/1.1 200 X\r\n"), repeat("X-More: and more\r\n")]),
        ("an endless line", vec![send("HTTP/1.1 200 X\r\nX: "), repeat("xxxxxxxxxxxxxxxx")]),
        ("agrees, then the end", vec![send("HTTP/1.1 200 X\r\n\r\n")]),
        ("agrees, then hangs", vec![send("HTTP/1.1 200 X\r\n\r\n"), Step::Hang]),
        ("agrees, then resets", vec![send("HTTP/1.1 200 X\r\n\r\n"), Step::Reset]),
    ];
    each(cases, |(what, reply)| {
        let proxy = Server::always(reply);
        let error = scene.failure(&url_with_password("http", &proxy), what);
        assert!(error.message().contains("through the proxy"), "{what}: {error}");
        let hint = match what {
            "TLS" => "it speaks TLS here, and was asked in plain HTTP: write https:// in its URL",
            "switches" => "is not HTTP",
            "hangs" => "the proxy said nothing within",
            "nothing, then the end" => "was cut off before the proxy answered; if it speaks TLS",
            _ => "",
        };
        assert!(error.message().contains(hint), "{what}: {error}");
        assert!(proxy.requests() > 0, "{what}");
        assert!(proxy.received().iter().all(|asked| !asked.head.contains(SECRET)), "{what}");
    });
    assert_eq!(scene.server.connections(), 0);
}

fn repeat(text: &str) -> Step {
    Step::Repeat(text.as_bytes().to_vec())
}

#[test]
fn no_proxy_at_its_address() {
    let scene = Scene::new();
    let url = format!("http://{PROXY_USER}:{PROXY_PASSWORD_IN_URL}@127.0.0.1:1");
    let error = network_failure(&scene.builder(&url).build().unwrap());
    let expected = "through the proxy: connection refused by 127.0.0.1:1";
    assert!(error.message().contains(expected), "{error}");
    assert!(error.message().contains("check the host and port in the proxy's URL"), "{error}");
    assert_eq!(scene.server.connections(), 0);
}

#[test]
fn a_proxy_that_is_asked_by_tls_and_speaks_plain_http() {
    let scene = Scene::new();
    let proxy = Server::always(vec![send("HTTP/1.1 400 Bad Request\r\n\r\n")]);
    let client = scene.builder(&url_with_password("https", &proxy)).build().unwrap();
    let error = failure_in_time(&client);
    assert_eq!(error.kind(), Tls, "{error}");
    let expected = "to the proxy: it does not speak TLS here, but plain HTTP: write http:// in";
    assert!(error.message().contains(expected), "{error}");
    assert_tells_nothing(&format!("{error} {error:?}"));
}

#[test]
fn a_proxy_that_trickles_for_ever_holds_nothing_up() {
    let scene = Scene::new();
    let endless = format!("HTTP/1.1 200 X\r\nX-Endless: {}", "x".repeat(10_000));
    let (tunnel, trickling) = (scene.tunnel(), Arc::new(AtomicBool::new(true)));
    let trickles = trickling.clone();
    let proxy = Server::new(move |_, _| match trickles.load(Ordering::SeqCst) {
        true => vec![Step::Trickle(endless.clone().into_bytes())],
        false => tunnel.clone(),
    });
    let client = scene.builder(&plain_url(&proxy)).set("fetch_timeout", "3s").build().unwrap();
    network_failure(&client);
    trickling.store(false, Ordering::SeqCst);
    // Nor does it hold up others, or the same client once the failure is no longer remembered.
    assert_eq!(value(scene.client(&proxy).token()), "token-1");
    client.wake();
    assert_eq!(value(client.token()), "token-2");
    assert_eq!(proxy.connections(), 3);
}

#[test]
fn the_certificate_is_checked_through_a_proxy() {
    let scene = Scene::with_certificate_for("other.example.test");
    let proxy = scene.proxy();
    let error = failure_in_time(&scene.client(&proxy));
    assert_eq!(error.kind(), Tls, "{error}");
    assert!(error.message().contains("another host name"), "{error}");
    assert_eq!((proxy.connections(), scene.server.requests()), (1, 0));

    // A proxy that breaks TLS open is not trusted either.
    let (scene, impostor) = (Scene::new(), Scene::new());
    let proxy = impostor.proxy();
    let error = failure_in_time(&scene.client(&proxy));
    assert_eq!(error.kind(), Tls, "{error}");
    assert_eq!((proxy.connections(), impostor.server.requests()), (1, 0));
}

// --- SOCKS -----------------------------------------------------------------------------------

/// How a client asks a SOCKS5 proxy for the host by its name.
fn socks_request() -> Vec<u8> {
    let length = u8::try_from(HOST.len()).unwrap();
    [&[5, 1, 0, 3, length], HOST.as_bytes(), &443u16.to_be_bytes()].concat()
}

/// What a SOCKS5 proxy answers that has connected.
const SOCKS_CONNECTED: [u8; 10] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

#[test]
fn a_token_through_a_socks_proxy_that_looks_up_the_host() {
    each(["socks5", "socks5h"], |scheme| {
        let scene = Scene::new();
        let proxy = Server::always(vec![
            Step::Send(vec![5, 0]),
            Step::Receive(socks_request().len()),
            Step::Send(SOCKS_CONNECTED.to_vec()),
            Step::Tunnel(scene.server.port()),
        ]);
        let client = scene.builder(&format!("{scheme}://127.0.0.1:{}", proxy.port()));
        assert_eq!(value(client.build().unwrap().token()), "token-1");
        let received = proxy.received();
        assert_eq!(received[0].head.as_bytes(), [5, 1, 0]);
        assert_eq!(received[1].body, lossy(&socks_request()));
        assert_eq!(received.len(), 2);
    });
}

#[test]
fn a_socks_proxy_gets_its_password() {
    let scene = Scene::new();
    let sizes = [PROXY_USER.len(), PROXY_PASSWORD.len()].map(|size| u8::try_from(size).unwrap());
    let login =
        [&[1, sizes[0]], PROXY_USER.as_bytes(), &[sizes[1]], PROXY_PASSWORD.as_bytes()].concat();
    let proxy = Server::always(vec![
        Step::Send(vec![5, 2]),
        Step::Receive(login.len()),
        Step::Send(vec![1, 0]),
        Step::Receive(socks_request().len()),
        Step::Send(SOCKS_CONNECTED.to_vec()),
        Step::Tunnel(scene.server.port()),
    ]);
    let client = scene.builder(&url_with_password("socks5", &proxy)).build().unwrap();
    assert_tells_nothing(&format!("{client:?}"));
    assert_eq!(value(client.token()), "token-1");
    let received = proxy.received();
    assert_eq!(received[1].body, lossy(&login));
    assert_eq!(received[2].body, lossy(&socks_request()));
}

#[test]
fn a_socks_proxy_that_misbehaves_is_a_network_error() {
    let scene = Scene::new();
    let greeted = Step::Send(vec![5, 0]);
    let asked = Step::Receive(socks_request().len());
    let cases: Vec<(&str, Reply)> = vec![
        ("garbage", vec![send("HTTP/1.1 400 Bad Request\r\n\r\n")]),
        ("the end", vec![]),
        ("hangs", vec![Step::Hang]),
        ("resets", vec![Step::Reset]),
        (
            "does not know the host",
            vec![greeted.clone(), asked.clone(), Step::Send(vec![5, 4, 0, 1, 0, 0, 0, 0, 0, 0])],
        ),
        ("hangs when asked", vec![greeted.clone(), asked.clone(), Step::Hang]),
        (
            "trickles",
            vec![greeted, asked, Step::Trickle([&[5, 0, 0, 3, 255], &[7; 250][..]].concat())],
        ),
    ];
    each(cases, |(what, reply)| {
        let proxy = Server::always(reply);
        let error = scene.failure(&url_with_password("socks5", &proxy), what);
        assert!(error.message().contains("through the proxy"), "{what}: {error}");
    });
    assert_eq!(scene.server.connections(), 0);
}

// --- the environment -------------------------------------------------------------------------

/// Gets a token in a process of its own, whose environment names these proxies and no others.
fn token_in_child(scene: &Scene, url: &str, variables: &[(&str, String)]) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "proxy::in_a_process_of_its_own", "--ignored", "--nocapture"]);
    for name in PROXY_VARIABLES {
        child.env_remove(name);
    }
    child.env(CHILD_URL, url).env(CHILD_CA_FILE, &scene.ca_file);
    let ended = child.envs(variables.iter().map(|(name, text)| (name, text))).output().unwrap();
    let (output, errors) = (lossy(&ended.stdout), lossy(&ended.stderr));
    assert!(ended.status.success(), "{output}{errors}");
    assert!(output.contains("1 passed"), "{output}");
}

#[test]
#[ignore = "run by the tests below, in an environment of its own"]
fn in_a_process_of_its_own() {
    let (Ok(url), Ok(ca_file)) = (std::env::var(CHILD_URL), std::env::var(CHILD_CA_FILE)) else {
        return;
    };
    let client = builder(&url).set("ca_file", &ca_file).build().unwrap();
    assert_tells_nothing(&format!("{client:?}"));
    assert_eq!(value(client.token()), "token-1");
}

/// A proxy that nobody should come to.
fn unwanted() -> Server {
    Server::always(vec![Step::Reset])
}

#[test]
fn the_proxy_of_the_environment() {
    let scene = Scene::new();
    let (proxy, other) = (scene.proxy(), unwanted());
    let others = ["HTTP_PROXY", "ALL_PROXY"].map(|name| (name, plain_url(&other)));
    let own = ("HTTPS_PROXY", url_with_password("http", &proxy));
    token_in_child(&scene, URL, &[&[own][..], &others].concat());
    let asked = proxy.received();
    assert!(asked[0].head.starts_with("CONNECT auth.example.test:443 "), "{asked:?}");
    assert_eq!(header(&asked[0].head, "proxy-authorization"), Some(&*format!("Basic {}", basic())));
    assert_eq!((proxy.connections(), other.connections()), (1, 0));
}

// Names of variables differ by case on Unix alone.
#[cfg(unix)]
#[test]
fn the_lower_case_name_of_the_environment_wins() {
    let scene = Scene::new();
    let (proxy, other) = (scene.proxy(), unwanted());
    let variables = [("https_proxy", plain_url(&proxy)), ("HTTPS_PROXY", plain_url(&other))];
    token_in_child(&scene, URL, &variables);
    assert_eq!((proxy.connections(), other.connections()), (1, 0));
}

// 0.0.0.0 is no address of this machine to the library, but leads here on Unix: a way to connect
// directly that needs neither DNS nor a network.
#[cfg(unix)]
#[test]
fn what_the_environment_has_for_others_is_not_used() {
    let scene = Scene::with_certificate_for("0.0.0.0");
    let other = unwanted();
    let url = format!("https://0.0.0.0:{}/token/v2", scene.server.port());
    let for_others = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    token_in_child(&scene, &url, &for_others.map(|name| (name, plain_url(&other))));
    assert_eq!((scene.server.requests(), other.connections()), (1, 0));
}

#[cfg(unix)]
#[test]
fn hosts_that_the_environment_excepts_are_reached_directly() {
    let scene = Scene::with_certificate_for("0.0.0.0");
    let other = unwanted();
    let url = format!("https://0.0.0.0:{}/token/v2", scene.server.port());
    let excepted = ("NO_PROXY", "example.test, 0.0.0.0".to_owned());
    token_in_child(&scene, &url, &[("HTTPS_PROXY", plain_url(&other)), excepted]);
    assert_eq!((scene.server.requests(), other.connections()), (1, 0));
}
