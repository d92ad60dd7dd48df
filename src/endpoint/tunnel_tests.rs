use std::cell::Cell;
use std::io::Cursor;

use super::*;

/// A proxy with a fixed reply, whatever it receives.
struct Proxy {
    says: Cursor<Vec<u8>>,
    hears: Vec<u8>,
}

impl Read for Proxy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.says.read(buffer)
    }
}

impl Write for Proxy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hears.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const TARGET: Target<'static> = Target { host: "auth.example", port: 443 };

/// The outcome, what the proxy received, and which part of its reply was not read.
struct Outcome {
    result: Result<(), Problem>,
    heard: Vec<u8>,
    unread: Vec<u8>,
    logins: u32,
}

fn ask(
    says: &[u8],
    with_login: bool,
    ask: impl Fn(&mut Proxy, Option<&Credentials<'_>>) -> Result<(), Problem>,
) -> Outcome {
    let mut proxy = Proxy { says: Cursor::new(says.to_vec()), hears: Vec::new() };
    let logins = Cell::new(0);
    let before = || logins.set(logins.get() + 1);
    let credentials = Credentials { user: "CORP\\user", password: "p@ss", before: &before };
    let result = ask(&mut proxy, with_login.then_some(&credentials));
    let read = usize::try_from(proxy.says.position()).unwrap();
    let unread = proxy.says.into_inner()[read..].to_vec();
    Outcome { result, heard: proxy.hears, unread, logins: logins.get() }
}

fn connect_to(says: &str, with_login: bool) -> Outcome {
    ask(says.as_bytes(), with_login, |proxy, login| connect(proxy, &TARGET, "agent/1", login))
}

fn socks_to(says: &[u8], with_login: bool) -> Outcome {
    ask(says, with_login, |proxy, login| socks5(proxy, &TARGET, login))
}

#[test]
fn connect_byte_for_byte() {
    let asked = connect_to("HTTP/1.1 200 Fine\r\nA: b\r\n\r\nrest", true);
    assert!(asked.result.is_ok());
    assert_eq!((asked.unread.as_slice(), asked.logins), (&b"rest"[..], 1));
    assert_eq!(
        String::from_utf8(asked.heard).unwrap(),
        "CONNECT auth.example:443 HTTP/1.1\r\nHost: auth.example:443\r\nUser-Agent: agent/1\r\n\
         Proxy-Connection: Keep-Alive\r\nProxy-Authorization: Basic Q09SUFx1c2VyOnBAc3M=\r\n\r\n"
    );
    let asked = connect_to("HTTP/1.0 200\n\n", false);
    assert!(asked.result.is_ok() && asked.logins == 0);
    assert!(!String::from_utf8(asked.heard).unwrap().contains("Authorization"));
}

#[test]
fn interim_answers_and_every_success() {
    for says in [
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 200 X\r\n\r\n",
        "HTTP/1.1 201 X\r\n\r\n",
    ] {
        assert!(connect_to(says, true).result.is_ok(), "{says}");
    }
}

#[test]
fn a_refusal_names_what_the_proxy_offers() {
    for (headers, with_login, told) in [
        ("Proxy-Authenticate: Basic realm=\"x\"\r\n", true, "it offers Basic"),
        ("proxy-authenticate: NTLM\r\nProxy-Authenticate: basic\r\n", true, "it offers Basic"),
        (
            "Proxy-Authenticate: Negotiate, NTLM\r\n",
            true,
            "it offers NTLM, Negotiate, and only Basic",
        ),
        (
            "Proxy-Authenticate: Digest realm=\"Basic, or\", nonce=\"Basic\"\r\n",
            true,
            "offers Digest, and",
        ),
        ("Proxy-Authenticate: hunter2 x=\"y\"\r\n", true, "does not say"),
        ("", true, "does not say"),
        ("Proxy-Authenticate: Basic realm=\"x\"\r\n", false, "percent-encoded"),
        ("Proxy-Authenticate: Negotiate\r\n", false, "only Basic is supported"),
    ] {
        let asked = connect_to(&format!("HTTP/1.1 407 p@ss\r\n{headers}\r\n"), with_login);
        let problem = asked.result.unwrap_err();
        assert_eq!(matches!(problem, Problem::LoginRefused(_)), with_login, "{headers}");
        assert_eq!(matches!(problem, Problem::LoginWanted(_)), !with_login, "{headers}");
        let text = problem.to_string();
        assert!(text.contains(told) && text.contains("407"), "{headers}: {text}");
        assert!(!text.contains("hunter2") && !text.contains("p@ss"), "{text}");
    }
}

#[test]
fn other_answers_of_an_http_proxy() {
    let problem = |says: &str| connect_to(says, true).result.unwrap_err();
    let forbidden = problem("HTTP/1.1 403 Forbidden\r\n\r\n");
    assert!(matches!(&forbidden, Problem::Forbidden(text) if text.contains("403")), "{forbidden}");
    for status in [302, 400, 502, 503, 504, 599] {
        let failed = problem(&format!("HTTP/1.1 {status} X\r\n\r\n"));
        assert!(matches!(&failed, Problem::Failed(text) if text.contains(&status.to_string())));
    }
    for strange in ["SSH-2.0-OpenSSH_9.6", "HTTP/1.1 2000 X\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"] {
        assert!(matches!(problem(strange), Problem::Strange(_)), "{strange}");
    }
    let endless = format!("HTTP/1.1 200 X\r\nX: {}", "x".repeat(2 * MAX_HEADER_BYTES));
    assert!(matches!(problem(&endless), Problem::Strange(text) if text.contains("too large")));
    for cut_off in ["", "HTTP/1.1 200 Conn"] {
        assert!(matches!(problem(cut_off), Problem::Broken(_)), "{cut_off}");
    }
}

/// How tinyproxy refuses a wrong password.
#[test]
fn a_401_comes_from_the_proxy() {
    let says = "HTTP/1.1 401 p@ss\r\nWWW-Authenticate: Basic realm=\"p@ss\"\r\n\r\n";
    let refused = connect_to(says, true).result.unwrap_err();
    let wanted = connect_to(says, false).result.unwrap_err();
    assert!(
        matches!(refused, Problem::LoginRefused(_)) && matches!(wanted, Problem::LoginWanted(_))
    );
    for text in [refused.to_string(), wanted.to_string()] {
        assert!(text.contains("(status 401; it offers Basic)"), "{text}");
    }
}

#[test]
fn a_refusal_counts_before_all_of_it_has_arrived() {
    let endless = format!(" X\r\nX: {}", "x".repeat(2 * MAX_HEADER_BYTES));
    for rest in ["", " ", " X", " X\r\n", " X\r\nProxy-Auth", &endless] {
        let problem = |status| connect_to(&format!("HTTP/1.1 {status}{rest}"), true).result;
        for status in [401, 407] {
            assert!(matches!(problem(status), Err(Problem::LoginRefused(_))), "{status}{rest}");
        }
        assert!(matches!(problem(403), Err(Problem::Forbidden(_))), "{rest}");
        assert!(matches!(problem(502), Err(Problem::Failed(_))), "{rest}");
        // Where the endpoint's bytes begin is not known.
        assert!(problem(200).is_err() && problem(100).is_err(), "{rest}");
    }
}

#[test]
fn both_line_endings_are_accepted() {
    for says in
        ["200 X\r\nA: b\r\n\r\n", "200 X\nA: b\n\n", "200 X\r\nA: b\n\r\n", "200 X\nA: b\r\n\n"]
    {
        let asked = connect_to(&format!("HTTP/1.1 {says}rest"), true);
        assert!(asked.result.is_ok() && asked.unread == b"rest", "{says:?}");
    }
}

#[test]
fn socks5_byte_for_byte() {
    let connected = [5, 0, 0, 1, 9, 9, 9, 9, 9, 9];
    let asked = socks_to(&[&[5, 2, 1, 0], &connected[..], b"rest"].concat(), true);
    assert!(asked.result.is_ok());
    assert_eq!((asked.unread.as_slice(), asked.logins), (&b"rest"[..], 1));
    let host = [&[5, 1, 0, 3, 12], &b"auth.example"[..], &443u16.to_be_bytes()].concat();
    let login = [&[1, 9], &b"CORP\\user"[..], &[4], b"p@ss"].concat();
    assert_eq!(asked.heard, [&[5, 2, 2, 0], &login[..], &host[..]].concat());

    let asked = socks_to(&[&[5, 0], &connected[..]].concat(), false);
    assert!(asked.result.is_ok() && asked.logins == 0);
    assert_eq!(asked.heard, [&[5, 1, 0], &host[..]].concat());
    // The bound address, in its other forms.
    for bound in
        [&[3, 2, 7, 7, 0, 0][..], &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    {
        let asked = socks_to(&[&[5, 0, 5, 0, 0], bound, b"rest"].concat(), false);
        assert!(asked.result.is_ok() && asked.unread == b"rest", "{bound:?}");
    }
}

#[test]
fn socks5_receives_addresses_as_such() {
    let request = |host| socks5_request(&Target { host, port: 1 }).unwrap();
    assert_eq!(request("10.0.0.1"), [5, 1, 0, 1, 10, 0, 0, 1, 0, 1]);
    assert_eq!(request("[::1]")[..4], [5, 1, 0, 4]);
    assert!(socks5_request(&Target { host: &"x".repeat(256), port: 1 }).is_err());
}

#[test]
fn socks5_tells_a_refused_login_from_a_refused_target() {
    for (says, with_login, logins) in [
        (&[5, 2, 1, 1][..], true, 1),
        (&[5, 2, 5, 2], true, 1),
        (&[5, 2, 0, 1], true, 1),
        (&[5, 0xff], true, 0),
    ] {
        let asked = socks_to(says, with_login);
        assert!(matches!(asked.result, Err(Problem::LoginRefused(_))), "{says:?}");
        assert_eq!(asked.logins, logins);
    }
    for says in [[5, 0xff], [5, 2]] {
        let asked = socks_to(&says, false);
        assert!(matches!(asked.result, Err(Problem::LoginWanted(_))), "{says:?}");
    }
    let forbidden = socks_to(&[5, 2, 1, 0, 5, 2], true).result;
    assert!(matches!(forbidden, Err(Problem::Forbidden(_))));
    for reply in [1, 3, 4, 5, 6, 7, 8, 9] {
        let failed = socks_to(&[5, 2, 1, 0, 5, reply], true).result;
        assert!(matches!(failed, Err(Problem::Failed(_))), "{reply}");
    }
    for strange in [&b"HTTP/1.1 400"[..], &[5, 1], &[5, 0, 4, 0], &[5, 0, 5, 0, 0, 9]] {
        assert!(matches!(socks_to(strange, true).result, Err(Problem::Strange(_))), "{strange:?}");
    }
    for cut_off in [&[][..], &[5], &[5, 2, 1]] {
        assert!(matches!(socks_to(cut_off, true).result, Err(Problem::Broken(_))), "{cut_off:?}");
    }
}
