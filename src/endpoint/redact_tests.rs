use std::time::Duration;

use super::*;
use crate::config::options::Options;
use crate::scope::ScopeSet;

fn hidden_with(secret: &str, params: &[(&str, &str)], token: &str) -> Hidden {
    let credentials = Credentials::new("id", secret);
    let options = Options {
        params: params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Options::default()
    };
    let request = TokenRequest::new(&options, None, &credentials, &ScopeSet::parse("a").unwrap());
    Hidden::new(&credentials, &request, token)
}

fn hidden(secret: &str) -> Hidden {
    hidden_with(secret, &[], "")
}

fn cleaned(text: &str) -> Option<String> {
    hidden_with("s/e c+ret", &[], "eyJtoken").clean(text)
}

#[test]
fn usual_spellings_of_a_secret_are_removed() {
    for spelling in [
        "s/e c+ret",
        "s%2Fe+c%2Bret",
        "s%2fe+c%2bret",
        "s%2Fe%20c%2Bret",
        "aWQ6cyUyRmUrYyUyQnJldA==",
        "aWQ6cy9lIGMrcmV0",
        "eyJtoken",
    ] {
        let shown = cleaned(&format!("bad: <{spelling}>!"));
        assert_eq!(shown.unwrap(), "bad: <[removed]>!", "{spelling}");
    }
}

#[test]
fn the_request_body_is_removed_as_a_whole() {
    let body = "grant_type=client_credentials&client_id=id&client_secret=s%2Fe+c%2Bret&scope=a";
    assert_eq!(cleaned(&format!("you sent {body}.")).unwrap(), "you sent [removed].");
}

#[test]
fn control_characters_become_blanks_and_the_rest_is_truncated() {
    assert_eq!(cleaned("a\r\n\u{1b}[31mb\u{202e}c").unwrap(), "a   [31mb c");
    assert_eq!(cleaned(&"\u{e9}".repeat(5000)).unwrap().chars().count(), 256);
}

#[test]
fn a_truncated_secret_is_not_shown() {
    let hidden = hidden("quite-a-long/passphrase");
    for text in [
        "not quite-a-long%2fpa",
        "not quite-a-long/pas",
        "not quite",
        "not phrase",
        "...long/...",
        &format!("{}quite-a-long/passphrase", "x".repeat(250)),
        &format!("{}quite-a-long/passphrase", "x".repeat(1020)),
    ] {
        let shown = hidden.clean(text);
        assert!(shown.as_ref().is_none_or(|shown| !shown.contains('q')), "{text}: {shown:?}");
    }
    assert_eq!(
        hidden.clean("client_secret=oth&scope=a").unwrap(),
        "client_secret=[removed]&scope=a"
    );
    assert_eq!(hidden.clean("it is quit wrong").unwrap(), "it is quit wrong");
}

#[test]
fn a_piece_in_any_encoding_hides_the_whole_text() {
    let secret = "Zk~9/q<\"R&w8%Xy";
    let hidden = hidden_with(secret, &[("key", "aud/ience \\ value")], "");
    for piece in [
        // RFC 3986, and other opinions about what to encode.
        "Zk~9%2Fq%3C%22R%26w8%25Xy",
        "Zk%7E9/q<\"R&w8%Xy",
        "%5A%6B%7e%39%2f%71",
        "Zk%257E9%252Fq",
        "q%3C%22R%26",
        // JSON, JavaScript
        r#"Zk~9\/q<\"R&w8"#,
        r"\u005ak\u007E9\u002f",
        r#"Zk~9\\/q<\\\"R"#,
        r"Zk\x7e9\x2fq",
        r"\U005A\U006b\U007e9/",
        // HTML
        "Zk~9/q&lt;&quot;R&amp;w8%Xy",
        "q&#60;&#34;R&#38;",
        "q&#x3C;&#x22;R&#x26;",
        "Zk&amp;#126;9/q",
        "q&lt&quot R&amp w8",
        // several at once
        "Zk%5Cu007e9%5c/q",
        "q%26lt%3B%2526quot%253BR&amp;amp;w",
        // base64 and hex of the secret, of the pair, of a piece
        "Wmt-OS9xPCJSJnc4JVh5",
        "aWQ6WmsrOS9x WmtrfjkvcTwiUiZ3OCVYeQ",
        "eDpaa345L3E8IlImdzglWHk=",
        "enp6WmtwfjkvcTwiUg",
        "wmt+os9xpcjsjnc4jvh5",
        "5a6b7e392f71",
        "5A:6B:7E:39:2F",
        "0x5a, 0x6b, 0x7e, 0x39, 0x2f",
        r"\x5a\x6b\x7e\x39\x2f",
        "NWE2YjdlMzkyZjcx",
        // case, blanks
        "ZK~9/Q",
        "zk~9/q",
        "Zk ~9 /q",
        "Zk~\r\n9/q",
        "Z\u{200b}k\u{200b}~\u{200b}9\u{ad}/\u{a0}q",
        "Z\u{fe0f}k\u{34f}~\u{61c}9\u{e0041}/\u{3164}q",
        "Zk%F3%A0%81%81~9%D8%9C/q",
        "Zk%20~9%0D%0A/q",
        "Zk&nbsp;~9<br>/q",
        r"Zk\n~9\r\n/q",
        "Zk%C2%A0~9%e2%80%8b/q",
        r"Zk\xc2\xa0~9\xe2\x80\x8b/q",
        r"\x5a\x6b\xe2\x80\xa8\x7e\x39\x2f",
        "5a 6b c2 ad 7e 39 2f",
        // hex of percent-encoded text; the last digit is not the 0 of a 0x
        "5a 25 36 62 7e 39 2f 71 25 33 c 30x",
        // a parameter's value
        "aud%2Fience",
        "ience+%5C+value",
        r"nce \\ val",
    ] {
        let text = format!("you sent {piece}, which is wrong");
        let shown = hidden.clean(&text);
        let is_hidden =
            shown.as_ref().is_none_or(|text| text == "you sent [removed], which is wrong");
        assert!(is_hidden, "{piece}: {shown:?}");
    }
}

#[test]
fn invisible_characters_do_not_hide_a_secret() {
    let hidden = hidden_with("s3cret-s3cret", &[], "");
    for unseen in ['\u{1b}', '\u{202e}', '\u{61c}', '\u{180e}', '\u{206a}', '\u{fe0f}', '\u{e0041}']
    {
        assert_eq!(hidden.clean(&format!("a{unseen}b")).as_deref(), Some("a b"), "{unseen:?}");
    }
}

#[test]
fn usual_server_messages_are_shown() {
    let hidden = hidden_with(
        "pR8Q~dEf.3kLmN7oPqRsTuVwXyZ0a1B2c4D5e6F7",
        &[("audience", "urn:fleet-api")],
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2EifQ.c2lnbmF0dXJl",
    );
    for text in [
        "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is \
         the client secret value. Trace ID: 9b5c6d7e-8f90-4a1b-8c2d-3e4f5a6b7c8d Correlation ID: \
         7f3e9c3d-4e5f-6071-8293-a4b5c6d7e8f9 Timestamp: 2026-11-29 12:00:00Z",
        "Client authentication failed (e.g., unknown client, no client authentication included)",
        "The client secret supplied for a confidential client is invalid.",
        "Invalid client or Invalid client credentials",
        "See https://auth.example/docs?topic=client%20secrets&lang=en#top (100% free)",
        r#"Unexpected \"scope\" in C:\config\n"#,
        "The parameter &quot;scope&quot; must not be &lt;empty&gt;",
        "sha256 3b7e72edbcd53ab7a6a47a8e1e8f0c1f2d3a4b5c6d7e8f90123456789abcdef0",
        "\u{30af}\u{30e9}\u{30a4}\u{30a2}\u{30f3}\u{30c8}\u{8a8d}\u{8a3c}\u{5931}\u{6557}",
    ] {
        assert_eq!(hidden.clean(text).expect(text), text.chars().take(256).collect::<String>());
    }
}

#[test]
fn short_secrets_are_searched_for_literally() {
    let hidden = hidden_with("abc", &[("tenant", "1"), ("pin", "7890")], "");
    assert_eq!(hidden.clean("abc is wrong (1)").unwrap(), "[removed] is wrong (1)");
    assert_eq!(hidden.clean("your pin 7890?").unwrap(), "your pin [removed]?");
    assert_eq!(hidden.clean("your pin 78%390?"), None);
}

#[test]
fn a_secret_with_a_piece_of_blanks_and_plus_signs_alone_hides_every_text() {
    for secret in ["Zk&++++++++", "abc+ +  +def", "abc     def", "++++"] {
        for text in ["bad: +++++!", "%2B%2B%2B%2B%2B", "+ + +", "wrong"] {
            assert_eq!(hidden(secret).clean(text), None, "{secret}: {text}");
        }
    }
    for secret in ["Zk&++++", "abc    def", "+++"] {
        assert_eq!(hidden(secret).clean("wrong").unwrap(), "wrong", "{secret}");
    }
}

#[test]
fn non_ascii_letters_are_found_too() {
    let of_letters = hidden("\u{441}\u{435}\u{43a}\u{440}\u{435}\u{442}-caf\u{e9}");
    let smile = hidden("ab\u{1f600}cd-xyz");
    for text in [r"ab\ud83d\ude00c", r"\uD83D\uDE00c", "%ED%A0%BD%ED%B8%80cd", r"b\\ud83d\\ude00"] {
        assert_eq!(smile.clean(text), None, "{text}");
    }
    let accents = hidden("p\u{e9}chat-x1");
    for text in ["p&eacute;cha", "&Eacute;cha&", r"\u00c3\u00a9chat"] {
        assert_eq!(accents.clean(text), None, "{text}");
    }
    for text in [
        "\u{421}\u{415}\u{41a}\u{420}\u{415}\u{422}!",
        r"\u0441\u0435\u043a\u0440\u0435\u0442",
        "%D1%81%D0%B5%D0%BA%D1%80",
        "&#1089;&#1077;&#1082;&#1088;",
        "-CAF\u{c9}",
    ] {
        assert_eq!(of_letters.clean(text), None, "{text}");
    }
}

#[test]
fn every_digit_of_base64_is_decoded() {
    for (token, text) in [
        ("?>~?>~?>~x", "Pz5+Pz5+Pz5+"),
        ("?>~?>~?>~x", "Pz5-Pz5-Pz5-"),
        ("???????????x", "Pz8/Pz8/Pz8/"),
        ("???????????x", "Pz8_Pz8_Pz8_"),
        // UTF-16
        ("secret-abc", "cwBlAGMAcgBlAHQALQBhAGIAYwA="),
    ] {
        assert_eq!(Hidden::token(token).clean(text), None, "{text}");
    }
}

#[test]
fn a_token_alone_is_hidden_too() {
    let hidden = Hidden::token("eyJ0b2tlbiI6MX0");
    assert_eq!(hidden.clean("https://eyj0b2tl.evil.example"), None);
    assert_eq!(hidden.clean("https://login.example").unwrap(), "https://login.example");
}

/// Of the processor: what others run meanwhile does not count.
#[cfg(unix)]
fn time_of_this_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes the time there and nothing else.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(unix))]
fn time_of_this_thread() -> Duration {
    static FROM: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    FROM.elapsed()
}

#[test]
fn no_text_takes_long() {
    let (secret, token) = ("aaaaaaaaaaaab".repeat(10), "ab".repeat(8 * 1024));
    let hidden = hidden_with(&secret, &[], &token);
    for text in [
        "a".repeat(64 * 1024),
        "%25".repeat(22_000),
        format!("%{}", "25".repeat(32_000)),
        "%%%252525".repeat(7_000),
        "&amp;".repeat(13_000),
        "&#3&#38;8;".repeat(6_500),
        r"\\".repeat(32_000),
        r"\u005c".repeat(11_000),
        "+".repeat(64 * 1024),
        "a+".repeat(32 * 1024),
        "%0A".repeat(22_000),
        "client_secret=".repeat(4_600),
        "QUFB".repeat(16 * 1024),
        "Vm0wd2QyUXlVWGxWV0d4V1YwZDRWMVl3WkRSV01WbDNXa1JTVjAxV2JETlhhMUpUVmpBeFYySkVUbGhoTVVwVVZtcEJlRll5".repeat(600),
    ] {
        let started = time_of_this_thread();
        hidden.clean(&text);
        hidden.may_show(&text[..4096]);
        let took = time_of_this_thread() - started;
        // A hundredth of that or less in optimized builds.
        assert!(took < Duration::from_secs(2), "{}: {took:?}", &text[..20]);
    }
}
