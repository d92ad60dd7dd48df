//! The tables of docs/errors.md against the library: every answer that the page names is given to a client, and the
//! error has the status that the page gives it and is remembered as it says. An answer that no trial covers fails.

use std::time::Duration;

use crate::support::tls::{Authority, Files, Identity, open_server};
use crate::support::{Reply, SECRET, Server, Step, answer, each, oauth_error, patient_builder};
use tu_token::{Builder, Client, Credentials, Error, ErrorKind, GetOptions};

const PAGE: &str = include_str!("../../docs/errors.md");

/// The cells of the rows of the table below this text.
fn table(above: &str) -> Vec<Vec<&'static str>> {
    let (_, below) = PAGE.split_once(above).expect("the page has this table");
    let lines = below.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The parts of a cell, separated by commas and semicolons outside parentheses.
fn parts(cell: &'static str) -> Vec<&'static str> {
    let mut depth = 0;
    let split = cell.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0 && matches!(c, ',' | ';')
    });
    split.map(str::trim).collect()
}

/// A client, and what it needs to stay alive.
struct Trial {
    client: Client,
    _needs: (Option<Server>, Files),
}

fn trial(server: Server, set: impl FnOnce(&Server, &Files, Builder) -> Builder) -> Trial {
    let files = Files::new();
    let client = set(&server, &files, patient_builder(&server.url())).build().unwrap();
    Trial { client, _needs: (Some(server), files) }
}

fn answered(replies: impl IntoIterator<Item = Reply>) -> Vec<Trial> {
    let with = |reply| trial(Server::always(reply), |_, _, builder| builder);
    replies.into_iter().map(with).collect()
}

/// A server with this identity, and a client that trusts what is in this file.
fn over_tls(identity: &Identity, trusted: Option<&str>) -> Vec<Trial> {
    vec![trial(Server::tls(open_server(identity)), |server, files, builder| {
        let builder = builder.set("token_url", &format!("https://localhost:{}/", server.port()));
        match trusted {
            Some(pem) => builder.set("ca_file", &files.write("ca.pem", pem)),
            None => builder,
        }
    })]
}

fn through_proxy(login: &str, reply: Reply) -> Trial {
    trial(Server::always(reply), |proxy, _, builder| {
        let proxy = format!("http://{login}127.0.0.1:{}", proxy.port());
        builder.set("token_url", "https://auth.example.test/token/v2").set("proxy", &proxy)
    })
}

fn set(replies: Vec<Reply>, key: &str, value: &str) -> Vec<Trial> {
    let with = |reply| trial(Server::always(reply), |_, _, builder| builder.set(key, value));
    replies.into_iter().map(with).collect()
}

/// Clients whose first fetch ends in what a part of a cell describes.
fn trials(part: &str) -> Vec<Trial> {
    let forbidden = || answer(403, "", "");
    let location = "Location: https://trap.example/steal\r\n";
    if let Ok(status) = part.parse() {
        return answered([answer(status, "", "")]);
    }
    if let Some(code) = part.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        return answered([200, 400, 401, 404].map(|status| oauth_error(status, code)));
    }
    match part {
        "503 with `Retry-After`" => answered([answer(503, "Retry-After: 0\r\n", "")]),
        "401 without an `error`" => answered(
            ["", "<html>401</html>", r#"{"message":"no"}"#].map(|body| answer(401, "", body)),
        ),
        "a token with fewer scopes than requested" => {
            let narrow = r#"{"access_token":"t","expires_in":1200,"scope":"a"}"#;
            answered([answer(200, "", narrow)])
        }
        "5xx" => answered([500, 501, 502, 503, 504, 599].map(|status| answer(status, "", ""))),
        "405 without one of the codes above" => answered([answer(405, "", "")]),
        "whatever the body" => answered([
            answer(404, "", "<html>not here</html>"),
            answer(404, "", r#"{"error":"Not Found"}"#),
            answer(405, "", r#"{"message":"no"}"#),
        ]),
        "any other `error` that is a string" => {
            answered([oauth_error(400, "slow_down"), oauth_error(200, "access_denied")])
        }
        "3xx" => {
            answered([300, 301, 302, 303, 307, 308].map(|status| answer(status, location, "")))
        }
        "any other status (403 with an empty body is often a wrong secret)" => {
            answered([forbidden(), answer(400, "", ""), answer(201, "", ""), answer(204, "", "")])
        }
        "a 200 that is not a token" => {
            let bodies = ["", "<html>log in</html>", "[]", r#"{"access_token":7,"expires_in":9}"#];
            answered(bodies.map(|body| answer(200, "", body)))
        }
        "an `error` that is not a string" => answered([
            answer(400, "", r#"{"error":7}"#),
            answer(401, "", r#"{"error":{"code":401}}"#),
        ]),
        // The domain .invalid never exists; a look-up without an answer ends in time.
        "none: name look-up" => set(vec![vec![]], "token_url", "https://nowhere.invalid/token/v2"),
        "connection" => set(vec![vec![]], "token_url", "http://127.0.0.1:1/token/v2"),
        "reset" => answered([vec![Step::Reset]]),
        "cut off" => {
            let half = b"HTTP/1.1 200 X\r\nContent-Length: 60\r\n\r\n{\"access".to_vec();
            answered([vec![], vec![Step::Send(half)]])
        }
        "slow" => set(vec![vec![Step::Hang]], "request_timeout", "200ms"),
        "none: certificate" => over_tls(&Identity::self_signed("localhost"), None),
        "host name" => {
            let authority = Authority::new();
            over_tls(&authority.sign("auth.example"), Some(&authority.pem()))
        }
        "trust store" => {
            let stranger = Authority::called("stranger").pem();
            over_tls(&Authority::new().sign("localhost"), Some(&stranger))
        }
        "none: the proxy refuses the login in its URL (407)" => {
            vec![through_proxy("user:password@", answer(407, "", ""))]
        }
        "none: the proxy refuses (403; 407 without a login)" => {
            let (login, wanted) = ("user:password@", answer(407, "", ""));
            [("", forbidden()), (login, forbidden()), ("", wanted)]
                .map(|(login, reply)| through_proxy(login, reply))
                .into()
        }
        "none: no id or secret" => vec![trial(Server::tokens(1200), |_, _, builder| {
            builder.on_credentials(|_| None::<Credentials>)
        })],
        _ => panic!("docs/errors.md: no trial gives the answer \"{part}\""),
    }
}

/// How the page says that an error is remembered: how many attempts come first, and for how many seconds it is.
fn memory(cell: &str) -> (std::ops::RangeInclusive<u64>, std::ops::RangeInclusive<u64>) {
    match cell {
        _ if cell.starts_with("for half an hour") => (1..=1, 1740..=1800),
        _ if cell.starts_with("as a refusal") => (1..=1, 50..=60),
        _ if cell.contains("after one attempt") => (1..=1, 0..=1),
        _ if cell.starts_with("as transient") => (3..=3, 0..=1),
        _ => panic!("docs/errors.md: \"{cell}\" says nothing that is known here"),
    }
}

fn check(kind: ErrorKind, remembered: &str, trial: &Trial, part: &str) {
    let client = &trial.client;
    let requests = |scope| client.stats(scope).unwrap().requests;
    let error = client.token().map(drop).expect_err(part);
    assert_eq!(error.kind(), kind, "{part}: {error}");
    let (attempts, seconds) = memory(remembered);
    let attempts = if kind == ErrorKind::Credentials { 0..=0 } else { attempts };
    let (made, wait) = (requests(None), error.retry_after().unwrap_or_default());
    assert!(attempts.contains(&made), "{part}: {made} requests");
    assert!(seconds.contains(&wait.as_secs()) && wait > Duration::ZERO, "{part}: {wait:?}");
    let again = client.token().map(drop).expect_err(part);
    assert_eq!((again.kind(), requests(None)), (kind, made), "{part}: {again}");
    assert!(again.message().contains("(remembered; next try in "), "{part}: {again}");
    retryable(&error, part);
    // What the page says of other scopes and of the message.
    let others = client.get(&GetOptions { scope: Some("another"), ..GetOptions::default() });
    if remembered.contains("whole client") || remembered.contains("whole process") {
        assert_eq!(others.map(drop).expect_err(part).kind(), kind, "{part}");
        assert_eq!(requests(Some("another")), 0, "{part}");
    } else if remembered.contains("for these scopes") {
        assert_eq!(requests(Some("another")), 1, "{part}");
    }
    let message = error.message();
    let names_path = remembered.contains("names the path");
    assert!(!names_path || message.contains("/token/v2"), "{part}: {message}");
    let names_host = remembered.contains("only scheme and host of `Location`");
    assert!(!names_host || message.contains("https://trap.example"), "{part}: {message}");
    assert!(!message.contains("steal") && !message.contains(SECRET), "{part}: {message}");
}

/// As the column "retryable" of the page's first table says.
fn retryable(error: &Error, part: &str) {
    let name = format!("`{}`", error.kind().name());
    let statuses = table("# Errors");
    let row = statuses.iter().find(|row| row[0] == name).expect("the table has every status");
    let expected = match row[2] {
        "yes" => true,
        "no" => false,
        "unless a redirect" => error.http_status().is_none_or(|status| status / 100 != 3),
        "after 403" => !part.contains("login in its URL"),
        "depends" => return,
        other => panic!("docs/errors.md: {name} is retryable \"{other}\""),
    };
    assert_eq!(error.is_retryable(), expected, "{part}: {error}");
}

#[test]
fn each_answer_has_the_status_that_the_page_gives_it() {
    let rows = table("## Which answer gives which status");
    assert!(rows.len() > 10, "the table is read");
    let cases = rows.iter().flat_map(|row| {
        let kind = ErrorKind::ALL.into_iter().find(|kind| row[1] == format!("`{}`", kind.name()));
        let kind = kind.unwrap_or_else(|| panic!("docs/errors.md: {} is no status", row[1]));
        let all = parts(row[0])
            .into_iter()
            .flat_map(|part| trials(part).into_iter().map(move |it| (part, it)));
        all.map(move |(part, trial)| (kind, row[2], part, trial))
    });
    each(cases, |(kind, remembered, part, trial)| check(kind, remembered, &trial, part));
}

/// The first row that fits decides.
#[test]
fn an_answer_that_fits_several_rows_has_the_status_of_the_first() {
    let rows = [
        (oauth_error(429, "invalid_client"), ErrorKind::RateLimited),
        (answer(503, "Retry-After: 0\r\n", r#"{"error":"server_error"}"#), ErrorKind::RateLimited),
        (oauth_error(500, "invalid_client"), ErrorKind::InvalidClient),
        (oauth_error(404, "invalid_scope"), ErrorKind::InvalidScope),
        (oauth_error(404, "server_error"), ErrorKind::Server),
        (oauth_error(503, "another"), ErrorKind::Server),
        (oauth_error(302, "invalid_request"), ErrorKind::OAuth),
    ];
    each(rows, |(reply, kind)| {
        let shown = format!("{reply:?}");
        let trial = answered([reply]).remove(0);
        let error = trial.client.token().map(drop).unwrap_err();
        assert_eq!(error.kind(), kind, "{shown}: {error}");
    });
}
