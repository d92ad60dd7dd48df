//! Paths and the patterns that match them.

/// The pattern for the token endpoint.
pub(crate) const TOKEN: &str = "token";
/// The token endpoint's path.
pub(crate) const TOKEN_PATH: &str = "/token/v2";
/// The prefix of the routes that control the emulator.
pub(crate) const CONTROL: &str = "/_emulator";
/// The API keys as JSON.
pub(crate) const KEYS: &str = "/api-keys";
/// The web page.
pub(crate) const PAGE: &str = "/";

/// Whether a pattern, `"token"` or the beginning of a path, matches this path. Only whole segments match: `/api/asset`
/// matches `/api/asset/v2`, but not `/api/assets`.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = if pattern == TOKEN { TOKEN_PATH } else { pattern };
    match path.strip_prefix(pattern) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || pattern.ends_with('/'),
        None => false,
    }
}

/// Whether this is one of the emulator's own routes, which are not journalled and never meet faults.
pub(crate) fn is_own(path: &str) -> bool {
    path == PAGE || matches(CONTROL, path) || matches(KEYS, path)
}

/// The maximum length of a pattern: the journal shortens longer paths.
const MAX_PATTERN: usize = 256;

/// Returns an error if this cannot be the pattern of a fault.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), String> {
    if pattern != PAGE && is_own(pattern) {
        return Err(
            "faults cannot affect the emulator's own routes: they could not be cleared any more"
                .to_owned(),
        );
    }
    check_form(pattern)
}

/// Returns an error if this pattern cannot match anything in the journal.
pub(crate) fn check_journal_pattern(pattern: &str) -> Result<(), String> {
    if pattern != PAGE && is_own(pattern) {
        return Err("requests to the emulator's own routes are neither counted nor in the journal"
            .to_owned());
    }
    check_form(pattern)
}

fn check_form(pattern: &str) -> Result<(), String> {
    if pattern != TOKEN && !pattern.starts_with('/') {
        return Err(format!(
            "route {pattern:?} must be \"token\" or the beginning of a path, for example \"/api/asset\""
        ));
    }
    if pattern.contains(['?', '#']) {
        return Err("route must be the beginning of a path, without a query".to_owned());
    }
    if !pattern.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("route must be a path as it is sent, where characters other than printable ASCII are percent-encoded".to_owned());
    }
    if pattern.len() > MAX_PATTERN {
        return Err(format!("route is longer than {MAX_PATTERN} characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulator_has_few_paths_of_its_own() {
        for path in ["/", "/api-keys", "/api-keys/id/rotate", "/_emulator/clock"] {
            assert!(is_own(path), "{path}");
        }
        for path in ["/token/v2", "/api-keysx", "/api/asset/v2/assets", "/index.html", ""] {
            assert!(!is_own(path), "{path}");
        }
        for check in [check_pattern, check_journal_pattern] {
            for pattern in ["/", "token", "/token/v2", "/api", "/api/", "/a%20b", "/api-keysx"] {
                assert_eq!(check(pattern), Ok(()));
            }
            let long = format!("/{}", "x".repeat(MAX_PATTERN));
            for pattern in [
                "/api-keys",
                "/_emulator/clock",
                "",
                "api",
                "Token",
                "token/v2",
                "/api?a=b",
                "/a b",
                "/\u{e9}",
                &long,
            ] {
                assert!(check(pattern).is_err(), "{pattern}");
            }
        }
    }

    #[test]
    fn patterns_pick_whole_segments() {
        for (pattern, path, picks) in [
            ("token", "/token/v2", true),
            ("token", "/token", false),
            ("/token/v2", "/token/v2", true),
            ("/", "/anything", true),
            ("/api", "/api/asset/v2/assets", true),
            ("/api/asset", "/api/assets", false),
            ("/api/asset/", "/api/asset/v2", true),
        ] {
            assert_eq!(matches(pattern, path), picks, "{pattern} {path}");
        }
    }
}
