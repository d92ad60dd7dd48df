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

/// Says why this cannot be a pattern, if it cannot.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), String> {
    if pattern != PAGE && is_own(pattern) {
        return Err("faults cannot hit the control routes, or they could not be cleared any more"
            .to_owned());
    }
    if pattern == TOKEN || pattern.starts_with('/') {
        return Ok(());
    }
    Err(format!(
        "route {pattern:?} must be \"token\" or the beginning of a path, for example \"/api/asset\""
    ))
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
        assert!(check_pattern("/").is_ok() && check_pattern("/api-keys").is_err());
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
