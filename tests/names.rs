//! Look-ups of names that hang: nobody waits for one that is not likely to end.

#[path = "support/getaddrinfo.rs"]
mod getaddrinfo;
mod support;

use std::time::{Duration, Instant};

use getaddrinfo::Host;
use support::tls::{Files, Identity, open_server};
use support::{Server, builder, until, value};
use tu_token::{Builder, ErrorKind};

/// As a resolver takes when the network is gone.
const HANGS: Duration = Duration::from_secs(40);
const AT_ONCE: Duration = Duration::ZERO;
/// Far below [`HANGS`], for a machine that is busy.
const SOON: Duration = Duration::from_secs(10);

/// An endpoint of that name, and a client for it that gives a connection so long.
fn endpoint(name: &str, connect_timeout: &str) -> (Server, Files, Builder) {
    let identity = Identity::self_signed(name);
    let server = Server::tls(open_server(&identity));
    let files = Files::new();
    let builder = builder(&format!("https://{name}:{}/token/v2", server.port()))
        .set("ca_file", &files.write("ca.pem", &identity.cert.pem()))
        .set("connect_timeout", connect_timeout)
        .set("request_timeout", "20s")
        .set("fetch_timeout", "30s");
    (server, files, builder)
}

#[test]
fn one_that_hangs_does_not_hold_up_those_that_come_later() {
    let host = Host::new("first-hangs.test", &[HANGS, AT_ONCE]);
    let (_server, _files, builder) = endpoint("first-hangs.test", "300ms");
    let began = Instant::now();
    // The first attempt waits in vain; the second has a look-up of its own.
    assert_eq!(value(builder.build().unwrap().token()), "token-1");
    assert!(began.elapsed() < SOON);
    assert_eq!(host.asked(), 2);
}

#[test]
fn a_wake_gives_those_who_wait_another_one() {
    let host = Host::new("woken.test", &[HANGS, AT_ONCE]);
    let (_server, _files, builder) = endpoint("woken.test", "20s");
    let client = builder.build().unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| value(client.token()));
        until("a look-up", || host.asked() == 1);
        client.wake();
        assert_eq!(waiting.join().unwrap(), "token-1");
    });
    assert!(began.elapsed() < SOON, "took {:?}", began.elapsed());
}

#[test]
fn the_failure_says_what_took_so_long() {
    for (name, connect, request, least) in [
        ("slow-connect.test", "100ms", "20s", 100),
        // What is left of the attempt ends first: on a busy machine that may be little.
        ("slow-request.test", "5s", "100ms", 0),
    ] {
        let host = Host::new(name, &[HANGS]);
        let (_server, _files, builder) = endpoint(name, connect);
        let client = builder.set("request_timeout", request).build().unwrap();
        let error = client.token().map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network);
        let expected = format!("the name look-up of {name} did not end within ");
        let message = error.message();
        let (_, told) = message.split_once(&expected).expect(message);
        let longest: u32 = told.split_once("ms").expect(told).0.parse().expect(told);
        assert!((least..=100).contains(&longest), "{error}");
        for _ in 0..4 {
            client.wake();
            assert!(client.token().is_err());
        }
        assert_eq!(host.asked(), 4, "so many may hang");
    }
}

#[test]
fn of_two_addresses_the_one_that_refused_is_told_first() {
    let _host = Host::new("two.test", &[AT_ONCE]);
    let client = builder("https://two.test:1/token/v2").build().unwrap();
    let error = client.token().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    let expected = ": connection refused by 127.0.0.1:1 (no network that leads to 255.255.255.255:1): \
                    nothing listens there";
    assert!(error.message().contains(expected), "{error}");
    assert!(error.message().contains("token_url"), "{error}");
}

#[test]
fn a_name_that_nobody_knows_is_told_with_what_to_do() {
    let _host = Host::new("unknown.test", &[AT_ONCE]);
    let client = builder("https://unknown.test/token/v2").build().unwrap();
    let error = client.token().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    let expected = "the host name cannot be resolved: check it in token_url";
    assert!(error.message().contains(expected), "{error}");
}
