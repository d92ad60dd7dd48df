//! Checks that need no network.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tu_token::diagnosis::{Diagnosis, StorePlace};
use tu_token::{Error, OPTIONS, OptionSpec};

use super::report::{Check, State};
use crate::failure::{TLS, USAGE};
use crate::settings::{Settings, Source, misspelt};

/// 2025-01-01, before the first release: a clock that shows an earlier time has never been set.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);

/// Where id and secret come from; never their values.
pub fn credentials(settings: &Settings) -> Check {
    let place = |keys: [&'static str; 2]| -> Vec<String> {
        let set = keys.into_iter().filter_map(|key| match settings.source_of(key) {
            Source::Flag => Some(format!("--{}", key.replace('_', "-"))),
            Source::Environment => Some(format!("TRACKUNIT_{}", key.to_uppercase())),
            Source::Default => None,
        });
        set.collect()
    };
    let id = place(["client_id", "client_id_file"]);
    let secret = place(["client_secret", "client_secret_file"]);
    let missing: Vec<&str> = [("client id", &id), ("client secret", &secret)]
        .into_iter()
        .filter(|(_, places)| places.is_empty())
        .map(|(name, _)| name)
        .collect();
    let check = if missing.is_empty() {
        let why = format!("client id from {}, secret from {}", id.join(", "), secret.join(", "));
        Check::ok("credentials", "found", why)
    } else {
        let why = format!("no {}", missing.join(" and no "));
        let remedy = match did_you_mean(|option| option.key.starts_with("client_")) {
            Some(question) => question,
            None => "set TRACKUNIT_CLIENT_ID and TRACKUNIT_CLIENT_SECRET, or \
                     TRACKUNIT_CLIENT_SECRET_FILE; create a key in the API Keys application, or run \
                     `tu-token emulator`"
                .to_owned(),
        };
        Check::new("credentials", State::Failed(USAGE), "missing", why).remedy(remedy)
    };
    let check = check.detail("client_id_from", id).detail("client_secret_from", secret);
    if settings.exposed_flags().next().is_none() {
        return check;
    }
    check.warn(
        "secret_in_arguments",
        "a secret was given on the command line, where every user of this machine can read it",
        "use an environment variable or a file",
    )
}

/// A question for each unknown variable that looks like a misspelling of one of these options.
fn did_you_mean(is_it: impl Fn(&OptionSpec) -> bool) -> Option<String> {
    let named = misspelt().into_iter().filter(|(_, option)| is_it(option));
    let questions: Vec<String> = named
        .map(|(variable, option)| format!("{variable}: did you mean {}?", option.env_name()))
        .collect();
    (!questions.is_empty()).then(|| questions.join(" "))
}

/// The credentials check once the files have been read.
pub fn readable(check: Check, diagnosis: &Diagnosis) -> Check {
    if let Err(error) = diagnosis.read_credentials() {
        return Check::new("credentials", State::Failed(USAGE), "unreadable", error.message())
            .remedy(
                "make sure the file exists, is readable by this user and contains only the value",
            );
    }
    match diagnosis.exposed_files().first() {
        None => check,
        Some(path) => check.warn(
            "file_readable_by_others",
            "other users of this machine can read the secret's file",
            format!("chmod o= {}", path.display()),
        ),
    }
}

pub fn wrong_options(error: &Error) -> Check {
    Check::new("options", State::Failed(USAGE), "wrong", error.message())
        .remedy("`tu-token options` shows every option and where its value comes from")
}

pub fn options(settings: &Settings, diagnosis: &Diagnosis) -> Check {
    let set: Vec<&str> = OPTIONS
        .iter()
        .filter(|option| settings.source(option) != Source::Default)
        .map(|option| option.key)
        .collect();
    let scopes = diagnosis.scopes();
    if scopes.is_empty() {
        let remedy = did_you_mean(|option| option.key == "scope");
        return Check::new("options", State::Failed(USAGE), "no_scope", "no scope is set").remedy(
            remedy.unwrap_or("set TRACKUNIT_SCOPE or --scope, for example to asset.view".into()),
        );
    }
    let why = format!("valid; set: {}", set.join(", "));
    let check =
        Check::ok("options", "valid", why).detail("set", set).detail("scope", scopes.join(" "));
    match did_you_mean(|_| true) {
        Some(questions) => check.warn("misspelt", "an unknown variable is set", questions),
        None => check,
    }
}

pub fn clock() -> Check {
    judge_clock(SystemTime::now())
}

fn judge_clock(now: SystemTime) -> Check {
    let time = humantime::format_rfc3339_seconds(now);
    if now < SystemTime::UNIX_EPOCH + EARLIEST {
        return Check::new(
            "clock",
            State::Failed(TLS),
            "unset",
            format!("this device says {time}"),
        )
        .remedy(
            "set the clock (NTP, or a battery-backed clock): by it certificates are not yet valid",
        );
    }
    Check::ok("clock", "plausible", format!("this device says {time}"))
}

/// Whether runs can share tokens. Never a failure: without a store each run requests its own token.
pub fn store(diagnosis: &Diagnosis) -> Check {
    const NAME: &str = "store";
    match diagnosis.try_store() {
        Ok(None) => Check::ok(NAME, "memory", "tokens stay in memory; each run requests its own"),
        Ok(Some(StorePlace::Server(url))) => {
            Check::ok(NAME, "usable", format!("machines share tokens through {url}"))
                .detail("server", url)
        }
        Ok(Some(StorePlace::Directory(directory))) => {
            let shown = directory.display().to_string();
            Check::ok(NAME, "usable", format!("runs share tokens in {shown}"))
                .detail("directory", shown)
        }
        Err(error) => Check::new(NAME, State::Warning, "unusable", error.message()).remedy(
            "tokens can still be obtained, but each run requests its own: fix this, or use another \
             store (--store file:<dir> or redis://host, or TRACKUNIT_STORE)",
        ),
    }
}

/// The trusted root certificates.
pub fn trust_store(diagnosis: &Diagnosis) -> Check {
    const NAME: &str = "trust_store";
    if diagnosis.token_url().starts_with("http:") {
        return Check::skipped(NAME, "not needed for plain http to this machine");
    }
    if let Some(path) = diagnosis.ca_file() {
        // Readable: otherwise the check of the options would have failed.
        let shown = path.display().to_string();
        let roots = rustls_native_certs::load_certs_from_paths(Some(path), None).certs.len();
        return Check::ok(NAME, "ca_file", format!("{roots} roots in ca_file {shown}"))
            .detail("roots", roots)
            .detail("places", vec![shown]);
    }
    if cfg!(any(windows, target_vendor = "apple")) {
        return Check::ok(NAME, "system", "the system's own");
    }
    system_roots(NAME)
}

fn system_roots(name: &'static str) -> Check {
    let places = places();
    let roots = count_roots(&places);
    let shown: Vec<String> = places
        .iter()
        .map(|place| match place.named_by {
            Some(variable) => format!("{} ({variable})", place.path.display()),
            None => place.path.display().to_string(),
        })
        .collect();
    let looked_at = match shown.as_slice() {
        [] => "the usual places".to_owned(),
        shown => shown.join(", "),
    };
    let check = if roots == 0 {
        Check::new(name, State::Failed(TLS), "no_roots", format!("no roots in {looked_at}")).remedy(
            "install ca-certificates (Debian: apt install ca-certificates; Alpine: apk add \
             ca-certificates; Yocto: IMAGE_INSTALL:append = \" ca-certificates\"), or set ca_file; \
             check SSL_CERT_FILE and SSL_CERT_DIR if they are set",
        )
    } else {
        Check::ok(name, "system", format!("{roots} roots in {looked_at}"))
    };
    check.detail("roots", roots).detail("places", shown)
}

/// A file or directory of root certificates.
struct Place {
    path: PathBuf,
    is_file: bool,
    named_by: Option<&'static str>,
}

/// The places of the system's root certificates. The variables, if not empty, replace the usual places.
fn places() -> Vec<Place> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (file, directories) = (set("SSL_CERT_FILE"), set("SSL_CERT_DIR"));
    let place = |path: PathBuf, is_file, named_by| Place { path, is_file, named_by };
    if file.is_some() || directories.is_some() {
        let file = file.map(|path| place(path.into(), true, Some("SSL_CERT_FILE")));
        let directories = directories.iter().flat_map(std::env::split_paths);
        let directories = directories.map(|path| place(path, false, Some("SSL_CERT_DIR")));
        return file.into_iter().chain(directories).collect();
    }
    let found = openssl_probe::probe();
    let file = found.cert_file.map(|path| place(path, true, None));
    file.into_iter()
        .chain(found.cert_dir.into_iter().map(|path| place(path, false, None)))
        .collect()
}

/// Certificates that are both in the file and in the first directory count once.
fn count_roots(places: &[Place]) -> usize {
    let mut file = places.iter().find(|place| place.is_file).map(|place| place.path.as_path());
    let mut directories = places.iter().filter(|place| !place.is_file);
    let mut directory = directories.next();
    let mut roots = 0;
    while file.is_some() || directory.is_some() {
        let path = directory.map(|place| place.path.as_path());
        roots += rustls_native_certs::load_certs_from_paths(file.take(), path).certs.len();
        directory = directories.next();
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_fails() {
        assert_eq!(judge_clock(SystemTime::UNIX_EPOCH).state, State::Failed(TLS));
        assert_eq!(judge_clock(SystemTime::now()).state, State::Ok);
    }
}
