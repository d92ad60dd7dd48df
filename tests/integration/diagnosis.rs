//! The way that a diagnosis looks at is the one that a token request takes.

use crate::support::tls::{Authority, Files, open_server};
use crate::support::{ID, SECRET, Server, Step, answer, header};
use tu_token::diagnosis::{Decision, Diagnosis};
use tu_token::{Client, Config, ErrorKind, Token};

/// A name that DNS does not know (RFC 6761).
const API: &str = "https://api.example.test/assets";

fn config(url: &str, more: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    let basics = [("client_id", ID), ("client_secret", SECRET), ("scope", "a"), ("token_url", url)];
    for (key, value) in basics.iter().chain(more) {
        config.set(key, value);
    }
    config
}

fn diagnosis(url: &str, more: &[(&str, &str)]) -> Diagnosis {
    Diagnosis::new(&config(url, more)).unwrap()
}

fn token() -> Token {
    let server = Server::tokens(1200);
    Client::new(&config(&server.url(), &[])).unwrap().token().unwrap()
}

/// The kind of a question's failure.
fn failure(diagnosis: &Diagnosis, url: &str, token: Option<&Token>) -> ErrorKind {
    diagnosis.get(url, token).err().expect("a failure").kind()
}

#[test]
fn it_trusts_whom_the_token_request_trusts() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(open_server(&authority.sign("localhost")));
    let url = format!("https://localhost:{}/token/v2", server.port());
    let ca_file = files.write("ca.pem", &authority.pem());
    let trusting = diagnosis(&url, &[("ca_file", &ca_file)]);
    assert_eq!(trusting.get(&url, None).unwrap().status, 200);
    assert_eq!(failure(&diagnosis(&url, &[]), &url, None), ErrorKind::Tls);
    // A question is no token request: it carries nothing.
    let request = &server.received()[0];
    assert!(request.head.starts_with("GET /token/v2 "), "{}", request.head);
    assert!(header(&request.head, "authorization").is_none() && !request.head.contains(SECRET));
}

#[test]
fn it_goes_through_the_proxy_and_shows_no_password() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(open_server(&authority.sign("api.example.test")));
    let port = server.port();
    let proxy = Server::new(move |_, _| {
        vec![Step::Send(b"HTTP/1.1 200 Connected\r\n\r\n".to_vec()), Step::Tunnel(port)]
    });
    let address = format!("http://user:hush@127.0.0.1:{}", proxy.port());
    let ca_file = files.write("ca.pem", &authority.pem());
    let options = [("proxy", &*address), ("ca_file", &*ca_file), ("api_hosts", "api.example.test")];
    let diagnosis = diagnosis("https://auth.example.test/token", &options);
    let way = diagnosis.way();
    assert_eq!(way.proxy.unwrap(), format!("http://127.0.0.1:{}", proxy.port()));
    assert_eq!((way.next_host.as_str(), way.decided_by), ("127.0.0.1", Decision::Option));
    assert_eq!(diagnosis.way_to(API).unwrap().decided_by, Decision::Option);
    let own = diagnosis.way_to("http://localhost:1/assets").unwrap();
    assert_eq!((own.proxy, own.decided_by), (None, Decision::Loopback));

    let token = token();
    assert_eq!(diagnosis.get(API, Some(&token)).unwrap().status, 200);
    assert_eq!(header(&server.received()[0].head, "authorization"), Some(token.bearer()));
    assert!(proxy.received()[0].head.starts_with("CONNECT api.example.test:443 "));
}

#[test]
fn a_token_goes_to_allowed_hosts_only_and_follows_no_redirect() {
    let diagnosis_of = |server: &Server| diagnosis(&server.url(), &[("api_hosts", "b.example")]);
    let trap = Server::tokens(1200);
    let location = format!("Location: http://127.0.0.1:{}/x?y\r\n", trap.port());
    let server = Server::always(answer(307, &location, ""));
    let (diagnosis, token) = (diagnosis_of(&server), token());
    let redirected = diagnosis.get(&server.url(), Some(&token)).unwrap();
    let target = format!("http://127.0.0.1:{}", trap.port());
    assert_eq!((redirected.status, redirected.location), (307, Some(target)));
    assert_eq!(trap.connections(), 0);

    assert_eq!(failure(&diagnosis, API, Some(&token)), ErrorKind::InvalidArgument);
    let plain = "http://b.example/assets";
    assert_eq!(failure(&diagnosis, plain, Some(&token)), ErrorKind::InvalidArgument);
}

#[test]
fn what_an_answer_tells() {
    let headers = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: 7\r\n";
    let server = Server::always(answer(429, headers, "<html>"));
    let found = diagnosis(&server.url(), &[]).get(&server.url(), None).unwrap();
    assert!(found.is_html && found.location.is_none());
    assert_eq!((found.status, found.retry_after.unwrap().as_secs()), (429, 7));
    let date = found.date.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(date.as_secs(), 784_111_777);
}

#[test]
fn what_stands_out_in_what_would_be_sent() {
    let url = "https://auth.example.test/token";
    let of = |set: &[(&str, &str)]| diagnosis(url, set).remarks();
    assert_eq!(of(&[]), "");
    let mut without_scope = Config::new();
    without_scope.set("client_id", ID).set("client_secret", SECRET);
    assert_eq!(Diagnosis::new(&without_scope).unwrap().remarks(), "");
    assert_eq!(
        of(&[("client_secret", "'Zk3-q9'"), ("scope", "a,b")]),
        "the secret begins and ends with a quote; the scope has a comma: scopes are separated by blanks"
    );
    let files = Files::new();
    let path = files.write("secret", " Zk3-q9\n");
    let mut config = Config::new();
    config.set("client_id", ID).set("client_secret_file", &path).set("scope", "a");
    let diagnosis = Diagnosis::new(&config).unwrap();
    assert_eq!(diagnosis.remarks(), "the secret begins with a blank");
}
