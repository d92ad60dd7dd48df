use proptest::prelude::*;
use ureq::http::Uri;

use super::*;

#[test]
fn hosts_and_ports_that_are_unambiguous() {
    for (text, shown) in [
        ("iris.trackunit.com", "iris.trackunit.com"),
        ("IRIS.Trackunit.COM:443", "iris.trackunit.com:443"),
        ("a_b-c.example.", "a_b-c.example."),
        ("localhost:1", "localhost:1"),
        ("127.0.0.1:65535", "127.0.0.1:65535"),
        ("[::1]", "[::1]"),
        ("[FD00:0:0::1]:8443", "[fd00::1]:8443"),
        ("[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255:443", "255.255.255.255:443"),
        // Labels that are numbers, before one that is not.
        ("127.0.0.1.nip.io", "127.0.0.1.nip.io"),
        ("1.2.3.0x-", "1.2.3.0x-"),
        ("1.2.3.4x", "1.2.3.4x"),
        ("0xg", "0xg"),
        ("x0", "x0"),
        ("0y1f", "0y1f"),
        ("node-7", "node-7"),
        ("7_", "7_"),
    ] {
        assert_eq!(Authority::parse(text).map(|read| read.to_string()), Ok(shown.to_owned()));
    }
}

#[test]
fn ambiguous_hosts_are_refused() {
    use Fault::*;
    for (text, fault) in [
        ("", NoHost),
        (":443", NoHost),
        (".", Label),
        (".example.com", Label),
        ("a..b", Label),
        ("a.b..", Label),
        ("[::1].evil.example", Address),
        ("[::1]x:80", Address),
        ("[::1", Address),
        ("0", Number),
        ("0x", Number),
        ("0X", Number),
        ("0x.", Number),
        ("foo.0", Number),
        ("foo.0xAf", Number),
        ("foo.09.", Number),
        ("256", Number),
        ("2130706433", Number),
        ("017700000001", Number),
        ("0x7f000001", Number),
        ("127.1", Number),
        ("0x7f.1", Number),
        ("127.0.0.1.", Number),
        ("127.0.0.01", Number),
        ("0177.0.0.1", Number),
        ("1.2.3.0x", Number),
        ("1.2.3.0X7f", Number),
        ("1.2.3.256", Number),
        ("1.2.3.4.5", Number),
        ("1.2.3.99999999999999999999", Number),
        ("127.1:443", Number),
        ("::1", NoHost),
        ("fd00::1", Port),
        ("[]", Address),
        ("[1.2.3.4]", Address),
        ("[::1%25eth0]", Address),
        ("[fe80::1%eth0]", Address),
        ("[v1.x]", Address),
        ("host:", Port),
        ("host:0", Port),
        ("host:00443", Port),
        ("host:0443", Port),
        ("host:65536", Port),
        ("host:99999", Port),
        ("host:+443", Port),
        ("host:-1", Port),
        ("host:443x", Port),
        ("host:4 4", Port),
        ("host:\u{664}\u{664}\u{663}", Port),
        ("host:443:443", Port),
        ("[::1]:", Port),
        ("[::1]:0", Port),
        ("me@host", Character('@')),
        ("host\\", Character('\\')),
        ("ho st", Character(' ')),
        ("host\t", Character('\t')),
        ("host\n", Character('\n')),
        ("host%2eexample", Character('%')),
        ("host%00", Character('%')),
        ("*.example", Character('*')),
        ("host\u{3002}example", Character('\u{3002}')),
        ("\u{ff11}27.0.0.1", Character('\u{ff11}')),
        ("host\u{0}", Character('\u{0}')),
        ("host\u{7f}", Character('\u{7f}')),
        ("host/path", Character('/')),
        ("host,", Character(',')),
        ("ho[st", Character('[')),
    ] {
        assert_eq!(Authority::parse(text), Err(fault), "{text:?}");
    }
}

#[test]
fn a_url_has_a_scheme_two_slashes_and_a_host() {
    let read = |url| of_url(url).map(|(scheme, authority)| format!("{scheme} {authority}"));
    for (url, parts) in [
        ("https://a.example", "https a.example"),
        ("HTTPS://A.Example:8443?x=@", "https a.example:8443"),
        ("http://[::1]#x", "http [::1]"),
        ("https://a.example/x@y\\z", "https a.example"),
        ("git+ssh://a", "git+ssh a"),
    ] {
        assert_eq!(read(url), Ok(parts.to_owned()), "{url}");
    }
    use Fault::*;
    for (url, fault) in [
        ("", Scheme),
        ("a.example", Scheme),
        ("a.example:443", Scheme),
        ("//a.example", Scheme),
        ("https:a.example", Scheme),
        ("https:/a.example", Scheme),
        ("https:\\\\a.example", Scheme),
        ("://a.example", Scheme),
        ("1http://a.example", Scheme),
        ("ht_tp://a.example", Scheme),
        ("https:///a.example", NoHost),
        ("https://", NoHost),
        ("https://?a.example", NoHost),
        ("https://me@a.example", UserInfo),
        ("https://me:pw@a.example", UserInfo),
        ("https://a.example@evil.example", UserInfo),
        ("https://a.example:443@evil.example", UserInfo),
        ("https://a.example\\@evil.example", UserInfo),
        ("https://a.example\\.evil.example", Character('\\')),
        ("https://evil.example\\/a.example", Character('\\')),
        (" https://a.example", Character(' ')),
        ("https://a.example\t/", Character('\t')),
        ("ht\ntps://a.example/", Character('\n')),
        ("https://a.example/\r\nX-Evil: 1", Character('\r')),
        ("https://\u{e4}.example", Character('\u{e4}')),
        ("https://[::1].evil.example/", Address),
        ("https://[::1]@evil.example/", UserInfo),
    ] {
        assert_eq!(of_url(url).map(|(_, authority)| authority), Err(fault), "{url:?}");
    }
}

#[test]
fn this_machine_is_recognized_only_by_its_own_names() {
    let is = |text| Authority::parse(text).unwrap().is_loopback();
    for text in ["127.0.0.1", "127.255.255.254:1", "[::1]", "[0:0::1]", "localhost", "LocalHost:9"]
    {
        assert!(is(text), "{text}");
    }
    for text in [
        "localhost.",
        "localhost.localdomain",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "127.0.0.1.nip.io",
    ] {
        assert!(!is(text), "{text}");
    }
    // As a host in a URL: forms that only resolvers know.
    for text in ["127.1", "0x7f000001", "2130706433", "127.0.0.01", "127.0.0.1."] {
        assert!(!is_loopback(text), "{text}");
    }
}

/// Whether the system's resolver takes a text for an address, without asking DNS.
fn is_numeric_host(host: &str) -> bool {
    let host = std::ffi::CString::new(host).unwrap();
    // SAFETY: all zero is a valid `addrinfo`: no pointer, no flag.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_flags = libc::AI_NUMERICHOST;
    let mut found = std::ptr::null_mut();
    // SAFETY: the text ends with a NUL, and `hints` and `found` outlive the call.
    if unsafe { libc::getaddrinfo(host.as_ptr(), std::ptr::null(), &hints, &mut found) } != 0 {
        return false;
    }
    // SAFETY: it comes from `getaddrinfo`, and is freed once.
    unsafe { libc::freeaddrinfo(found) };
    true
}

/// Numbers in the forms of addresses, some with a label before or a dot after them.
fn number_like() -> impl Strategy<Value = String> {
    let part = prop_oneof!["0[xX][0-9a-fA-F]{0,8}", "0?[0-9]{1,10}", "[a-z0-9]{1,2}"];
    let parts = proptest::collection::vec(part, 1..6);
    (parts, any::<bool>()).prop_map(|(parts, dot)| parts.join(".") + if dot { "." } else { "" })
}

/// Texts that resemble authorities.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9]{1,3}",
        2 => Just(".".to_owned()),
        1 => Just(":".to_owned()),
        1 => Just(":443".to_owned()),
        1 => Just("[::1]".to_owned()),
        1 => Just("127.0.0.1".to_owned()),
        1 => "[-_@\\\\%/?#\\[\\] \t]",
        1 => "\\PC",
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn what_a_resolver_takes_for_an_address_is_one_here(text in number_like()) {
        match Authority::parse(&text) {
            Ok(read) => prop_assert_eq!(read.host.parse::<Ipv4Addr>().is_ok(), is_numeric_host(&text)),
            Err(fault) => prop_assert_eq!(fault, Fault::Number),
        }
    }

    #[test]
    fn what_is_accepted_here_other_parsers_read_alike(text in nearly(), path in "(/[a-z@:]{0,4})?") {
        let url = format!("https://{text}{path}");
        if let Ok((_, read)) = of_url(&url) {
            // After the host there may be characters that other parsers require encoded.
            let encode = |c: char| if c.is_ascii_alphanumeric() || "-_.:/?#[]@%".contains(c) { c } else { 'x' };
            let uri: Uri = url.chars().map(encode).collect::<String>().parse().unwrap();
            prop_assert_eq!(uri.port_u16(), read.port);
            let authority = uri.authority().unwrap().as_str();
            let again = Authority::parse(authority).unwrap();
            prop_assert_eq!(&again, &read);
            prop_assert!(authority.to_ascii_lowercase().starts_with(&uri.host().unwrap().to_ascii_lowercase()));
            let host = Authority::parse(uri.host().unwrap()).unwrap();
            prop_assert_eq!(host.host, read.host);
        }
        if let Ok(read) = Authority::parse(&text) {
            let shown = read.to_string();
            prop_assert_eq!(Authority::parse(&shown), Ok(read));
            prop_assert!(!shown.contains(['@', '\\', '/', '?', '#', '%', ' ']));
        }
    }
}
