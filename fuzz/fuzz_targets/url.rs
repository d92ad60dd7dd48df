//! Which host a URL names: the library, the `url` crate and libcurl must agree on every URL that the
//! library accepts.

#![no_main]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::net::IpAddr;

use tu_token::fuzzing::{Named, url};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let named = url(data);
    let Named { secret_to, token_to, url } = &named;
    let others = [by_crate(url), by_curl(url)];
    for other in others.into_iter().flatten() {
        if let Some((scheme, host, port)) = secret_to {
            assert_eq!(other.scheme, *scheme, "{named:?}");
            assert_eq!(other.port, *port, "{named:?}: {other:?}");
            assert!(is_same(&other.host, host), "{named:?}: {other:?}");
        }
        if let Some(host) = token_to {
            assert!(is_same(&other.host, host), "{named:?}: {other:?}");
        }
    }
});

#[derive(Debug)]
struct Other {
    scheme: String,
    host: String,
    port: u16,
}

fn is_same(one: &str, other: &str) -> bool {
    let bare = |host: &str| host.trim_matches(['[', ']']).to_ascii_lowercase();
    let (one, other) = (bare(one), bare(other));
    let address = |host: &str| host.parse::<IpAddr>();
    match (address(&one), address(&other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// `None`: it does not take this for a URL, so nothing is sent.
fn by_crate(text: &str) -> Option<Other> {
    let url = url::Url::parse(text).ok()?;
    Some(Other {
        scheme: url.scheme().to_owned(),
        host: url.host_str()?.to_owned(),
        port: url.port_or_known_default()?,
    })
}

// --- libcurl ---------------------------------------------------------------------------------

const CURLUPART_URL: c_int = 0;
const CURLUPART_SCHEME: c_int = 1;
const CURLUPART_HOST: c_int = 5;
const CURLUPART_PORT: c_int = 6;
const CURLU_DEFAULT_PORT: c_uint = 1;

#[link(name = "curl")]
unsafe extern "C" {
    fn curl_url() -> *mut c_void;
    fn curl_url_cleanup(handle: *mut c_void);
    fn curl_url_set(handle: *mut c_void, part: c_int, text: *const c_char, flags: c_uint) -> c_int;
    fn curl_url_get(
        handle: *mut c_void,
        part: c_int,
        text: *mut *mut c_char,
        flags: c_uint,
    ) -> c_int;
    fn curl_free(text: *mut c_void);
}

struct Handle(*mut c_void);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it comes from `curl_url`, and is cleaned up once.
        unsafe { curl_url_cleanup(self.0) }
    }
}

impl Handle {
    fn part(&self, part: c_int) -> Option<String> {
        let mut text = std::ptr::null_mut();
        // SAFETY: the handle is valid, and `text` receives a string that `curl_free` frees.
        unsafe {
            if curl_url_get(self.0, part, &mut text, CURLU_DEFAULT_PORT) != 0 {
                return None;
            }
            let owned = CStr::from_ptr(text).to_str().ok().map(str::to_owned);
            curl_free(text.cast());
            owned
        }
    }
}

fn by_curl(text: &str) -> Option<Other> {
    let text = CString::new(text).ok()?;
    // SAFETY: no argument.
    let handle = Handle(unsafe { curl_url() });
    // SAFETY: the handle is valid, and the text ends with a NUL.
    if unsafe { curl_url_set(handle.0, CURLUPART_URL, text.as_ptr(), 0) } != 0 {
        return None;
    }
    Some(Other {
        scheme: handle.part(CURLUPART_SCHEME)?,
        host: handle.part(CURLUPART_HOST)?,
        port: handle.part(CURLUPART_PORT)?.parse().ok()?,
    })
}
