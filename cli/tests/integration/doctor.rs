//! `tu-token doctor`, checked by the members of its JSON; the prose is for people.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::Shell;
use serde_json::Value;
use tu_token_emulator::Fault;

const CHECKS: [&str; 12] = [
    "credentials",
    "options",
    "clock",
    "store",
    "proxy",
    "name_resolution",
    "trust_store",
    "connection",
    "server_clock",
    "token",
    "scopes",
    "api",
];

/// The report of a run.
struct Found(Value);

impl Found {
    fn check(&self, name: &str) -> &Value {
        let checks = self.0["checks"].as_array().expect("an array");
        checks.iter().find(|check| check["check"] == name).expect(name)
    }

    fn code(&self, name: &str) -> &str {
        self.check(name)["code"].as_str().expect("a string")
    }

    /// The checks in this state.
    fn with_state(&self, state: &str) -> Vec<&str> {
        let checks = self.0["checks"].as_array().expect("an array");
        checks
            .iter()
            .filter(|check| check["state"] == state)
            .map(|check| check["check"].as_str().expect("a name"))
            .collect()
    }
}

/// Runs the doctor and checks what must hold for every run.
fn examine(shell: &Shell, command: &mut Command) -> Found {
    let run = shell.output(command);
    assert!(!run.out.contains("tuemu_"), "a token is shown: {run:?}");
    let found = Found(run.json());
    let all = found.0["checks"].as_array().expect("an array");
    let names: Vec<&str> = all.iter().filter_map(|check| check["check"].as_str()).collect();
    assert_eq!(names, CHECKS);
    for check in all {
        let needs_remedy = matches!(check["state"].as_str(), Some("failed" | "warning"));
        assert!(!needs_remedy || check["what_to_do"].is_string(), "{check}");
        assert!(check["why"].as_str().is_some_and(|why| !why.is_empty()), "{check}");
    }
    assert_eq!(found.0["exit_code"].as_i64(), run.code.map(i64::from), "{run:?}");
    assert_eq!(found.0["ok"] == true, found.with_state("failed").is_empty());
    // That route answers once in 15 minutes; the doctor must not use that up.
    assert_eq!(shell.emulator.requests("/public"), 0);
    found
}

fn doctor(shell: &Shell, arguments: &[&str]) -> Found {
    examine(shell, &mut shell.command(&[&["doctor", "--json"], arguments].concat()))
}

/// Checks that this is the only failed check, its code, and the exit code. A refused scope fails two checks.
fn ends(found: &Found, check: &str, code: &str, exit: i32) {
    let mut failed = found.with_state("failed");
    failed.retain(|it| *it != "scopes" || code != "invalid_scope");
    assert_eq!(failed, [check], "{}", found.0);
    assert_eq!((found.code(check), found.0["exit_code"].as_i64()), (code, Some(exit.into())));
}

/// A host name that every resolver refuses without a query: a label has at most 63 bytes.
fn impossible_host() -> String {
    format!("https://{}.example/token/v2", "x".repeat(64))
}

#[test]
fn all_is_well() {
    let shell = Shell::new();
    let found = doctor(&shell, &[]);
    assert_eq!(found.with_state("failed"), [""; 0]);
    assert_eq!(found.with_state("warning"), [""; 0]);
    assert_eq!(found.with_state("skipped"), ["trust_store"]);
    assert_eq!(found.0["exit_code"], 0);
    assert_eq!(
        found.check("credentials")["client_secret_from"],
        serde_json::json!(["TRACKUNIT_CLIENT_SECRET"])
    );
    assert_eq!(found.check("scopes")["granted"], serde_json::json!(["asset.view"]));
    assert_eq!(found.check("proxy")["code"], "loopback");
    assert_eq!(found.code("api"), "accepted");
    assert_eq!(shell.emulator.requests("/api/asset/v2/assets"), 1);
}

#[test]
fn people_get_a_line_for_each_check() {
    let shell = Shell::new();
    let run = shell.run(&["doctor"]);
    assert_eq!(run.out.lines().count(), CHECKS.len(), "{run:?}");
    assert!(!run.out.contains('\x1b'), "no colour in a pipe");
    let coloured = shell.run(&["doctor", "--color", "always"]);
    assert!(coloured.out.contains("\x1b[32mok"), "{coloured:?}");
    let run = shell.output(shell.command(&["doctor"]).env("TRACKUNIT_CLIENT_SECRET", "mistaken"));
    assert_eq!(run.code, Some(3));
    assert_eq!(run.out.lines().filter(|line| line.trim().starts_with("-> ")).count(), 1);
}

/// Runs the doctor in a terminal.
#[cfg(target_os = "linux")]
fn on_a_terminal(shell: &Shell, more: &[(&str, &str)]) -> String {
    let mut command = shell.command(&[]);
    command.env("TERM", "xterm").envs(more.iter().copied());
    let arguments = ["--quiet", "--return", "--command", "tu-token doctor", "/dev/null"];
    let run = shell.output(&mut crate::common::instead(&command, "script".as_ref(), &arguments));
    assert_eq!(run.code, Some(0), "{run:?}");
    run.out
}

#[cfg(target_os = "linux")]
#[test]
fn colour_is_used_on_terminals_and_on_request() {
    let shell = Shell::new();
    assert!(on_a_terminal(&shell, &[]).contains("\x1b[32mok"));
    for refusal in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_a_terminal(&shell, &[refusal]);
        assert!(plain.contains("ok  ") && !plain.contains('\x1b'), "{refusal:?}: {plain}");
    }
}

#[test]
fn the_query_of_token_url_is_not_shown() {
    let shell = Shell::new();
    let url = format!("{}?key=hush", shell.emulator.token_url());
    for form in [&["doctor", "--token-url", &url][..], &["doctor", "--json", "--token-url", &url]] {
        let run = shell.run(form);
        assert!(run.out.contains("/token/v2?... answers"), "{run:?}");
        assert!(!format!("{run:?}").contains("hush"), "{run:?}");
    }
}

#[test]
fn credentials_that_are_missing_or_out_of_reach() {
    let shell = Shell::new();
    let found =
        examine(&shell, &mut shell.stranger(&["doctor", "--json", "--scope", "asset.view"]));
    ends(&found, "credentials", "missing", 2);
    // Checks that need no credentials are still made.
    assert_eq!(found.code("connection"), "connected");
    assert_eq!(found.with_state("skipped"), ["trust_store", "token", "scopes", "api"]);

    let found = doctor(&shell, &["--client-secret-file", "/nowhere"]);
    ends(&found, "credentials", "unreadable", 2);

    let found = doctor(&shell, &["--client-secret", "mistaken"]);
    assert_eq!(found.code("credentials"), "secret_in_arguments");
    ends(&found, "token", "invalid_client", 3);
}

#[cfg(unix)]
#[test]
fn a_secret_that_others_can_read() {
    let shell = Shell::new();
    let file = shell.write("secret", shell.secret());
    crate::common::set_mode(&file, 0o644);
    let found = doctor(&shell, &["--client-secret-file", file.to_str().expect("a path")]);
    assert_eq!(found.with_state("warning"), ["credentials"]);
    assert_eq!(found.code("credentials"), "file_readable_by_others");
    assert_eq!(found.0["exit_code"], 0);
}

#[test]
fn options_that_are_wrong() {
    let shell = Shell::new();
    let found = doctor(&shell, &["--timeout", "soon"]);
    ends(&found, "options", "wrong", 2);
    let found = examine(
        &shell,
        shell.command(&["doctor", "--json"]).env("TRACKUNIT_CLIENT_SECRET_FILE", "/x"),
    );
    ends(&found, "options", "wrong", 2);
    let found = examine(&shell, shell.command(&["doctor", "--json"]).env_remove("TRACKUNIT_SCOPE"));
    ends(&found, "options", "no_scope", 2);
    let found =
        examine(&shell, shell.command(&["doctor", "--json"]).env("TRACKUNIT_STORE", "nonsense"));
    ends(&found, "options", "wrong", 2);
    let found = examine(&shell, shell.command(&["doctor", "--json"]).env_remove("TRACKUNIT_SCOPE"));
    assert_eq!(found.code("connection"), "connected");
}

/// Runs the doctor with a store in `directory`.
#[cfg(unix)]
fn with_store(shell: &Shell, directory: &std::path::Path) -> Found {
    let place = format!("file:{}", directory.display());
    doctor(shell, &["--store", &place])
}

#[cfg(unix)]
#[test]
fn a_store_that_works() {
    let shell = Shell::new();
    assert_eq!(doctor(&shell, &[]).code("store"), "memory");
    let directory = shell.home.path().join("deep/tokens");
    let found = with_store(&shell, &directory);
    assert_eq!(found.code("store"), "usable");
    assert_eq!(found.check("store")["directory"], directory.to_str().expect("a path"));
    assert_eq!(std::fs::read_dir(&directory).expect("made").count(), 0, "nothing stays");
    // The default store of `get` and `exec`.
    let found = examine(&shell, &mut shell.sharing(&["doctor", "--json"]));
    let own = shell.home.path().join(".cache/tu-token");
    assert_eq!(found.check("store")["directory"], own.to_str().expect("a path"));
    assert_eq!(found.with_state("warning"), [""; 0]);
}

#[cfg(unix)]
#[test]
fn an_unusable_store() {
    let shell = Shell::new();
    let home = shell.home.path();
    let directory = |name: &str, mode: u32| {
        let path = home.join(name);
        std::fs::create_dir(&path).expect("made");
        crate::common::set_mode(&path, mode);
        path
    };
    let open = directory("open", 0o777);
    let link = home.join("link");
    std::os::unix::fs::symlink(directory("behind", 0o700), &link).expect("made");
    let file = shell.write("file", "");
    for (place, why) in [
        (open, "chmod 700"),
        (link, "symbolic link"),
        (file.clone(), "Not a directory"),
        (file.join("below"), "Not a directory"),
    ] {
        let found = with_store(&shell, &place);
        assert_eq!(found.with_state("warning"), ["store"], "{}", found.0);
        assert_eq!(found.with_state("failed"), [""; 0]);
        assert_eq!((found.code("store"), &found.0["exit_code"]), ("unusable", &0.into()));
        let said = found.check("store")["why"].as_str().expect("a string");
        assert!(said.contains(why) && said.contains(place.to_str().expect("a path")), "{said}");
    }
    let mut homeless = shell.sharing(&["doctor", "--json"]);
    let found = examine(&shell, homeless.env("HOME", "nowhere"));
    assert_eq!((found.with_state("warning"), found.code("store")), (vec!["store"], "unusable"));
}

#[cfg(unix)]
#[test]
fn a_store_whose_disk_is_full() {
    let shell = Shell::new();
    let place = shell.home.path().join("tokens");
    // No file may grow, as on a full disk. The output goes to a pipe.
    let script = "trap '' XFSZ; ulimit -f 0; exec tu-token doctor --json --store \"$0\"";
    let mut full = crate::common::instead(
        &shell.command(&[]),
        "sh".as_ref(),
        &["-c", script, &format!("file:{}", place.display())],
    );
    let found = examine(&shell, &mut full);
    assert_eq!((found.with_state("warning"), found.code("store")), (vec!["store"], "unusable"));
    let said = found.check("store")["why"].to_string();
    assert!(said.contains("cannot write"), "{said}");
    assert_eq!(std::fs::read_dir(&place).expect("made").count(), 0, "nothing stays");
}

#[cfg(unix)]
#[test]
fn a_store_that_this_user_may_not_use() {
    use std::os::unix::fs::chown;
    use std::os::unix::process::CommandExt as _;

    const NOBODY: u32 = 65_534;
    let shell = Shell::new();
    let home = shell.home.path();
    let place = home.join("tokens");
    std::fs::create_dir(&place).expect("made");
    let mut command = shell.command(&["doctor", "--json"]);
    command.env("TRACKUNIT_STORE", format!("file:{}", place.display()));
    // File modes do not restrict root, which therefore switches to an unprivileged user.
    let is_root = chown(&place, Some(NOBODY), Some(NOBODY)).is_ok();
    if is_root {
        let found = examine(&shell, &mut command);
        assert_eq!(found.with_state("warning"), ["store"]);
        assert!(found.check("store")["why"].to_string().contains("belongs to another user"));
        let program = home.join("program");
        // Not `fs::copy`: a child that another test starts meanwhile would inherit the open file, and a file
        // open for writing cannot be executed.
        let copied = Command::new("cp").arg(crate::common::BINARY).arg(&program).status();
        assert!(copied.expect("cp").success());
        crate::common::set_mode(&program, 0o755);
        crate::common::set_mode(home, 0o755);
        command = crate::common::instead(&command, &program, &["doctor", "--json"]);
        command.uid(NOBODY).gid(NOBODY);
    }
    crate::common::set_mode(&place, 0o500);
    let found = examine(&shell, &mut command);
    assert_eq!((found.with_state("warning"), found.code("store")), (vec!["store"], "unusable"));
    let said = found.check("store")["why"].to_string();
    let shown = place.to_str().expect("a path");
    assert!(said.contains("Permission denied") && said.contains(shown), "{said}");
}

#[test]
fn a_proxy_and_where_it_comes_from() {
    let shell = Shell::new();
    let url = impossible_host();
    let through = |name: &str, value: &str| {
        let mut command = shell.command(&["doctor", "--json", "--token-url", &url]);
        command.env(name, value);
        let found = examine(&shell, &mut command);
        assert!(!found.0.to_string().contains("hush"), "{}", found.0);
        found
    };
    // Port 1 of this machine is closed.
    let found = through("HTTPS_PROXY", "http://user:hush@127.0.0.1:1");
    assert_eq!(found.code("proxy"), "environment");
    assert_eq!(found.check("proxy")["proxy"], "http://127.0.0.1:1");
    assert_eq!(found.code("name_resolution"), "not_needed");
    ends(&found, "connection", "network", 4);
    let remedy = found.check("connection")["what_to_do"].to_string();
    assert!(remedy.contains("nothing listens there: is http://127.0.0.1:1 the right"), "{remedy}");
    let found = through("TRACKUNIT_PROXY", "socks5://user:hush@127.0.0.1:1");
    assert_eq!(found.code("proxy"), "option");
    let found = through("HTTPS_PROXY", "not a proxy");
    ends(&found, "options", "wrong", 2);

    let mut command = shell.command(&["doctor", "--json", "--token-url", &url]);
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "example");
    let found = examine(&shell, &mut command);
    assert_eq!(found.code("proxy"), "no_proxy");
    let why = found.check("proxy")["why"].to_string();
    assert!(why.contains("\\\"example\\\" in NO_PROXY exempts the host from HTTPS_PROXY"), "{why}");
    ends(&found, "name_resolution", "unknown_host", 4);
    assert_eq!(found.check("connection")["state"], "skipped");

    let mut command = shell.command(&["doctor", "--json", "--token-url", &url]);
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("https_proxy", "");
    assert_eq!(examine(&shell, &mut command).code("proxy"), "none");
}

#[test]
fn a_proxy_that_refuses_every_request() {
    let shell = Shell::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = logins.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            assert!(lines.any(|line| line.is_empty()), "a whole request");
            let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    let mut command = shell.command(&["doctor", "--json", "--token-url", &impossible_host()]);
    command.env("HTTPS_PROXY", format!("http://user:hush@{address}"));
    let found = examine(&shell, &mut command);
    ends(&found, "connection", "proxy", 3);
    assert_eq!(found.code("proxy"), "environment");
    let check = found.check("connection").to_string();
    assert!(check.contains("407") && check.contains("NO_PROXY"), "{check}");
    assert!(!found.0.to_string().contains("hush"));
    assert_eq!(logins.load(Ordering::SeqCst), 1, "each may lock the account");

    let mut command = shell.command(&["get", "--token-url", &impossible_host()]);
    let ended = command.env("HTTPS_PROXY", format!("http://user:hush@{address}")).output();
    let ended = ended.expect("the command runs");
    assert_eq!(ended.status.code(), Some(3));
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(errors.contains("407") && errors.contains("every run logs in again"), "{errors}");
    assert!(!errors.contains("doctor") && !errors.contains("hush"), "{errors}");
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[test]
fn nobody_answers() {
    let shell = Shell::new();
    let found = doctor(&shell, &["--token-url", "http://127.0.0.1:1/token/v2"]);
    ends(&found, "connection", "network", 4);
    assert_eq!(found.with_state("failed").len(), 1, "what follows from it is skipped");
}

#[test]
fn no_tls() {
    let shell = Shell::new();
    let url = shell.emulator.token_url().replace("http:", "https:");
    let found = doctor(&shell, &["--token-url", &url]);
    // On a machine without root certificates, the trust store fails too.
    assert_eq!((found.code("connection"), found.0["exit_code"].as_i64()), ("tls", Some(5)));
}

#[cfg(target_os = "linux")]
#[test]
fn no_roots_to_trust() {
    let shell = Shell::new();
    let url = shell.emulator.token_url().replace("http:", "https:");
    let empty = shell.write("roots.pem", "");
    let mut command = shell.command(&["doctor", "--json", "--token-url", &url]);
    let found = examine(&shell, command.env("SSL_CERT_FILE", empty));
    ends(&found, "trust_store", "no_roots", 5);
    assert_eq!(found.check("trust_store")["roots"], 0);
    assert_eq!(found.with_state("failed"), ["trust_store"], "the rest follows from it");
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_from_the_environment_forges_no_line() {
    let shell = Shell::new();
    let url = shell.emulator.token_url().replace("http:", "https:");
    let mut command = shell.command(&["doctor", "--token-url", &url]);
    let ended = command.env("SSL_CERT_FILE", "/x\nok       trust_store\u{1b}[2J").output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(said.contains("no roots in /x ok       trust_store [2J (SSL_CERT_FILE)"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn empty_variables_name_no_roots() {
    let shell = Shell::new();
    let url = shell.emulator.token_url().replace("http:", "https:");
    let roots = |empty: &[&str]| {
        let mut command = shell.command(&["doctor", "--json", "--token-url", &url]);
        command.envs(empty.iter().map(|name| (name, "")));
        let found = examine(&shell, &mut command);
        found.check("trust_store").clone()
    };
    assert_eq!(roots(&["SSL_CERT_FILE", "SSL_CERT_DIR"]), roots(&[]));
}

#[test]
fn a_clock_that_is_off() {
    let date = "Thu, 01 Jan 2026 00:00:00 GMT";
    let shell = Shell::with(Fault::default().header("Date", date));
    let found = doctor(&shell, &[]);
    assert_eq!(found.code("server_clock"), "off");
    assert_eq!(found.with_state("warning"), ["server_clock"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_clock_that_was_never_set() {
    let shell = Shell::new();
    let mut command = shell.command(&["doctor", "--json"]);
    let found = examine(&shell, command.env("LD_PRELOAD", shell.preload("clock")));
    ends(&found, "clock", "unset", 5);
    assert!(found.check("clock")["why"].to_string().contains("1970-01-01"));
    assert_eq!(found.with_state("failed"), ["clock"]);
    assert_eq!(found.with_state("warning"), [""; 0]);
    assert_eq!(found.with_state("skipped"), ["trust_store", "server_clock"]);
    // Over TLS, a connection that fails because of the clock is not a separate failure.
    let url = shell.emulator.token_url().replace("http:", "https:");
    let mut secure = shell.command(&["doctor", "--json", "--token-url", &url]);
    let found = examine(&shell, secure.env("LD_PRELOAD", shell.preload("clock")));
    ends(&found, "clock", "unset", 5);
    assert_eq!(found.check("connection")["state"], "skipped");
}

#[test]
fn a_captive_portal() {
    let shell = Shell::with(Fault { html: true, ..Fault::default() });
    let found = doctor(&shell, &[]);
    assert_eq!(found.code("connection"), "html");
    ends(&found, "token", "bad_response", 4);

    let elsewhere = "http://portal.example/login?secret=1";
    let shell = Shell::with(Fault::status(302).header("Location", elsewhere));
    let found = doctor(&shell, &[]);
    assert_eq!(found.code("connection"), "redirect");
    assert_eq!(found.check("connection")["location"], "http://portal.example");
    ends(&found, "token", "bad_response", 4);
}

#[test]
fn a_token_request_that_is_refused() {
    let shell = Shell::new();
    let mut wrong = shell.command(&["doctor", "--json"]);
    let found = examine(&shell, wrong.env("TRACKUNIT_CLIENT_SECRET", "mistaken"));
    ends(&found, "token", "invalid_client", 3);
    assert_eq!(found.with_state("skipped"), ["trust_store", "scopes", "api"]);

    for (fault, code, exit) in [
        (Fault::error("unauthorized_client"), "invalid_client", 3),
        (Fault::error("unsupported_grant_type"), "oauth", 3),
        // Retrying does not correct a wrong path.
        (Fault::status(404), "bad_response", 2),
        (Fault { html: true, ..Fault::status(404) }, "bad_response", 2),
        (Fault::status(405), "bad_response", 2),
        (Fault { html: true, ..Fault::status(429) }, "rate_limited", 4),
        (Fault::status(503), "server", 4),
        (Fault::status(429).retry_after(100), "rate_limited", 4),
    ] {
        let found = doctor(&Shell::with(fault), &[]);
        ends(&found, "token", code, exit);
    }
    let limited = doctor(&Shell::with(Fault::status(429).retry_after(100)), &[]);
    let wait = limited.check("token")["retry_after"].as_u64().expect("seconds");
    assert!((60..=101).contains(&wait), "{wait}");
    let v2 = doctor(&Shell::with(Fault::error("unauthorized_client")), &[]);
    assert_eq!(v2.check("token")["oauth_code"], "unauthorized_client");
}

#[test]
fn a_secret_that_was_pasted_wrongly_needs_no_rotation() {
    let shell = Shell::new();
    let secret = shell.secret().to_owned();
    for (given, remark) in [
        (format!("\"{secret}\""), "begins and ends with a quote"),
        (format!("{secret} "), "ends with a blank"),
        (format!("TRACKUNIT_CLIENT_SECRET={secret}"), "a whole line of settings"),
    ] {
        let mut command = shell.command(&["doctor", "--json"]);
        let found = examine(&shell, command.env("TRACKUNIT_CLIENT_SECRET", given));
        ends(&found, "token", "invalid_client", 3);
        let remedy = found.check("token")["what_to_do"].to_string();
        assert!(remedy.contains(remark) && !remedy.contains("rotate"), "{remedy}");
    }
    let found = doctor(&shell, &["--scope", "asset.view,site.view"]);
    ends(&found, "token", "invalid_scope", 3);
    let remedy = found.check("token")["what_to_do"].to_string();
    assert!(remedy.contains("separated by blanks"), "{remedy}");
}

#[test]
fn the_budget_of_requests() {
    let shell = Shell::with(Fault::status(503));
    let found = doctor(&shell, &["--max-requests-per-minute", "1"]);
    ends(&found, "token", "budget", 4);
}

#[test]
fn scopes_that_the_key_does_not_allow() {
    let shell = Shell::new();
    let found = doctor(&shell, &["--scope", "asset.view site.update site.view made.up"]);
    ends(&found, "token", "invalid_scope", 3);
    let scopes = found.check("scopes");
    assert_eq!(scopes["refused"], serde_json::json!(["site.update", "made.up"]));
    assert_eq!(scopes["granted"], serde_json::json!(["asset.view", "site.view"]));

    let narrowed = Fault { narrow: Some(tu_token_emulator::Narrow::Last), ..Fault::default() };
    let shell = Shell::with(narrowed);
    let found = doctor(&shell, &["--scope", "asset.view site.view", "--allow-narrowed-scope"]);
    assert_eq!(found.code("scopes"), "narrowed");
    assert_eq!(found.check("scopes")["refused"], serde_json::json!(["site.view"]));
    assert_eq!(found.0["exit_code"], 0);
}

/// What a check says to do.
fn to_do(found: &Found, name: &str) -> String {
    found.check(name)["what_to_do"].to_string()
}

/// What a check says, and what to do.
fn said(found: &Found, name: &str) -> String {
    let check = found.check(name);
    format!("{} -> {}", check["why"], check["what_to_do"])
}

#[test]
fn only_findings_about_scopes_are_reported() {
    // A server that grants less than requested, and says so.
    let narrow = |list: &[&str]| {
        let to = list.iter().map(|scope| (*scope).to_owned()).collect();
        Fault { narrow: Some(tu_token_emulator::Narrow::To(to)), ..Fault::default() }
    };
    let scope = ["--scope", "asset.view site.view"];
    let shell = Shell::with(narrow(&["asset.view"]));
    let found = doctor(&shell, &scope);
    ends(&found, "token", "invalid_scope", 3);
    let scopes = found.check("scopes");
    assert_eq!(scopes["refused"], serde_json::json!(["site.view"]));
    assert_eq!(scopes["granted"], serde_json::json!(["asset.view"]));
    assert!(!said(&found, "scopes").contains("alone"), "{scopes}");
    // The probe of the endpoint, the request, and one more to find out what was granted.
    assert_eq!(shell.emulator.token_requests(), 3);

    // A server that refuses the combination of the two without saying why. (The probe of the endpoint
    // meets the first fault.)
    let found = doctor(&Shell::with(Fault::error("invalid_scope").times(2)), &scope);
    let told = said(&found, "scopes");
    assert!(told.contains("cannot be determined") && !told.contains("granted"), "{told}");
    // A server that refuses, and then limits requests.
    let shell = Shell::with(Fault::error("invalid_scope").times(2));
    shell.emulator.faults([Fault::status(429).retry_after(100)]).expect("a fault");
    let found = doctor(&shell, &scope);
    let scopes = found.check("scopes");
    assert_eq!(scopes["unknown"], serde_json::json!(["asset.view", "site.view"]));
    assert_eq!(
        (&scopes["granted"], &scopes["refused"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    assert!(said(&found, "scopes").contains("could not be tested (rate_limited)"), "{scopes}");

    // A single scope needs no further request.
    let shell = Shell::new();
    let found = doctor(&shell, &["--scope", "site.update"]);
    assert_eq!(found.check("scopes")["refused"], serde_json::json!(["site.update"]));
    assert_eq!(shell.emulator.token_requests(), 2);
}

#[test]
fn a_closed_port_is_reported() {
    let shell = Shell::new();
    let found = doctor(&shell, &["--token-url", "http://127.0.0.1:1/token/v2"]);
    let told = to_do(&found, "connection");
    assert!(told.contains("127.0.0.1:1") && told.contains("tu-token emulator"), "{told}");
    assert!(!told.contains("443") && !told.contains("firewall"), "{told}");
    // A server that accepts connections but does not answer.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/token/v2", listener.local_addr().expect("an address"));
    let found = doctor(&shell, &["--token-url", &url, "--request-timeout", "300ms"]);
    let told = to_do(&found, "connection");
    assert!(told.contains("accepts connections") && !told.contains("firewall"), "{told}");
    // Plain http where https is expected.
    let url = shell.emulator.token_url().replace("http:", "https:");
    let told = to_do(&doctor(&shell, &["--token-url", &url]), "connection");
    assert!(told.contains("scheme and port") && !told.contains("clock"), "{told}");
}

#[test]
fn variables_that_are_misspelt() {
    let shell = Shell::new();
    let mut command = shell.command(&["doctor", "--json"]);
    let found = examine(&shell, command.env("TRACKUNIT_TIMOUT", "5s"));
    assert_eq!(found.with_state("warning"), ["options"]);
    assert_eq!((found.code("options"), &found.0["exit_code"]), ("misspelt", &0.into()));
    let told = said(&found, "options");
    assert!(told.contains("TRACKUNIT_TIMOUT: did you mean TRACKUNIT_TIMEOUT?"), "{told}");

    let mut command = shell.stranger(&["doctor", "--json"]);
    command.env("TRACKUNIT_CLIENT_ID", "x").env("TRACKUNIT_CLIENT_SECERT", "hush");
    let found = examine(&shell, command.env("TRACKUNIT_SCOPES", "asset.view"));
    assert!(said(&found, "credentials").contains("did you mean TRACKUNIT_CLIENT_SECRET?"));
    assert!(said(&found, "options").contains("did you mean TRACKUNIT_SCOPE?"));
    assert!(!found.0.to_string().contains("hush"));
}

/// A token endpoint on this machine that is not the emulator.
fn other_endpoint() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let mut length = 0;
            loop {
                let mut header = String::new();
                let _ = reader.read_line(&mut header);
                let lower = header.to_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                if header.trim().is_empty() {
                    break;
                }
            }
            let _ = std::io::Read::read_exact(&mut reader, &mut vec![0; length]);
            let (status, body) = match line.starts_with("POST") {
                true => ("200 OK", r#"{"access_token":"tok","expires_in":1200}"#),
                false => ("404 Not Found", "<html>no</html>"),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
            let rest = format!("Content-Type: text/html\r\nConnection: close\r\n\r\n{body}");
            let _ = (&stream).write_all((head + &rest).as_bytes());
        }
    });
    format!("http://{address}/token")
}

#[test]
fn a_token_endpoint_of_ones_own_needs_no_api() {
    let shell = Shell::new();
    let found = doctor(&shell, &["--token-url", &other_endpoint()]);
    assert_eq!(found.with_state("failed"), [""; 0], "{}", found.0);
    assert_eq!(found.with_state("skipped"), ["trust_store", "server_clock", "api"]);
}

#[test]
fn the_emulator_records_no_error_for_the_doctors_probe() {
    let shell = Shell::new();
    doctor(&shell, &[]);
    let page = shell.emulator.journal().iter().map(|entry| entry.status).collect::<Vec<_>>();
    assert_eq!(page, [Some(204), Some(200), Some(200)]);
}

#[test]
fn an_api_that_does_not_take_the_token() {
    let assets = "/api/asset/v2/assets";
    for (fault, code, exit) in [
        (Fault::reject_v2(assets), "v2_not_accepted", 3),
        (Fault::status(403).on(assets), "forbidden", 3),
        (Fault::status(500).on(assets), "server", 4),
        (Fault::reset().on(assets), "network", 4),
        (Fault { html: true, ..Fault::status(404).on(assets) }, "html", 4),
        (Fault { html: true, ..Fault::status(502).on(assets) }, "server", 4),
        (Fault::status(404).on(assets), "no_api", 2),
        (Fault::status(307).header("Location", "http://127.0.0.1:1/").on(assets), "redirect", 4),
    ] {
        let found = doctor(&Shell::with(fault), &[]);
        ends(&found, "api", code, exit);
    }
    let found = doctor(&Shell::with(Fault::status(429).retry_after(7).on(assets)), &[]);
    assert_eq!(found.code("api"), "rate_limited");
    assert_eq!(found.check("api")["retry_after"], 7);
    assert_eq!(found.with_state("warning"), ["api"]);

    let page = Fault { html: true, ..Fault::status(429).retry_after(7).on(assets) };
    let found = doctor(&Shell::with(page), &[]);
    assert_eq!(found.code("api"), "rate_limited");
    assert!(!found.0.to_string().contains("portal"), "{}", found.0);

    let found = doctor(&Shell::new(), &["--scope", "site.view"]);
    assert_eq!(found.code("api"), "scope_missing");
    assert_eq!(found.0["exit_code"], 0);
}
