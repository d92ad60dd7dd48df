//! Paths, and patterns that pick some of them.

/// The pattern that means the token endpoint.
pub(crate) const TOKEN: &str = "token";
/// The token endpoint's path.
pub(crate) const TOKEN_PATH: &str = "/token/v2";
/// Below it are the routes that steer the emulator.
pub(crate) const CONTROL: &str = "/_emulator";
/// The API keys as JSON.
pub(crate) const KEYS: &str = "/api-keys";
/// The page for people.
pub(crate) const PAGE: &str = "/";

/// Whether a pattern, `"token"` or the beginning of a path, picks this path. Whole segments count:
/// `/api/asset` picks `/api/asset/v2`, not `/api/assets`.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = if pattern == TOKEN { TOKEN_PATH } else { pattern };
    match path.strip_prefix(pattern) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || pattern.ends_with('/'),
        None => false,
    }
}

/// Whether this is a path of the emulator's own. Those are not journalled and never go wrong on purpose.
pub(crate) fn is_own(path: &str) -> bool {
    path == PAGE || matches(CONTROL, path) || matches(KEYS, path)
}

/// The longest path that is told apart from others that begin like it.
const MOST_PATTERN: usize = 256;

/// Says why this cannot be the pattern of a fault, if it cannot.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), String> {
    if pattern != PAGE && is_own(pattern) {
        return Err("faults cannot hit the control routes, or they could not be cleared any more"
            .to_owned());
    }
    check_form(pattern)
}

/// Says why nothing in the journal can be picked by this pattern, if nothing can.
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
        return Err("route must be a path as it is sent: other characters than printable ASCII are percent-encoded there".to_owned());
    }
    if pattern.len() > MOST_PATTERN {
        return Err(format!("route is longer than {MOST_PATTERN} characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulators_own_paths_are_few() {
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
            let long = format!("/{}", "x".repeat(MOST_PATTERN));
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
