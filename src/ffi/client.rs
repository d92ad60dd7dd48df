//! `tu_client`: the cached tokens of one API key.

use std::ffi::c_char;

use super::guard::{caught, contained, report, status};
use super::{owned, text, tu_config, tu_error, tu_status, tu_token};
use crate::client::Client;
use crate::client::Config;
use crate::error::Error;

/// Fetches, caches and hands out the tokens of one API key. May be used by any number of threads
/// concurrently, and in a fork child. Release it with tu_free.
pub struct tu_client(());

/// # Safety
/// NULL, or a live handle.
pub(super) unsafe fn live<'a>(client: *const tu_client) -> Result<&'a Client, Error> {
    // SAFETY: the caller guarantees the handle.
    unsafe { owned::as_client(client) }.ok_or_else(|| Error::argument("the client is NULL"))
}

/// Creates a client from a copy of `config`; NULL: all options from the environment. Makes no
/// request and reads only the files that the options name. Returns NULL on the first mistake in the
/// options: TU_CONFIG or TU_INVALID_ARGUMENT. A missing `scope` is no mistake here: each get must
/// then name one, or fails. Release it with tu_free.
///
/// # Safety
/// `config` is NULL or a live handle, `error` NULL or valid to write to. As with getenv, no other
/// thread may change the environment during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_new(
    config: *const tu_config,
    error: *mut *mut tu_error,
) -> *mut tu_client {
    // SAFETY: the caller guarantees both.
    let made = caught(|| match unsafe { owned::as_config(config) } {
        Some(config) => Client::new(config),
        None => Client::new(Config::new().load_env()),
    });
    // SAFETY: the caller guarantees `error`.
    unsafe { report(made, error) }.map_or(std::ptr::null_mut(), owned::client)
}

/// Replaces the client id and secret, whatever their previous source (values, files or function),
/// from the next token request on. Both are copied. Cached tokens stay in use; a remembered refusal
/// is forgotten.
///
/// # Safety
/// `client` is NULL or a live handle, the strings NULL or NUL-terminated, `error` NULL or valid to
/// write to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_rotate(
    client: *mut tu_client,
    client_id: *const c_char,
    client_secret: *const c_char,
    error: *mut *mut tu_error,
) -> tu_status {
    // SAFETY: the caller guarantees all four.
    unsafe {
        status(error, || {
            let id = text::read(client_id, "client_id")?;
            let secret = text::read(client_secret, "client_secret")?;
            live(client)?.rotate(id, secret)
        })
    }
}

/// Reports that an API answered 401 to this token: it will not be served again. No effect if a
/// newer token is already cached. Do not call this after 403 or 429. NULL does nothing.
///
/// # Safety
/// `client` and `token` are NULL or live handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_invalidate(client: *mut tu_client, token: *const tu_token) {
    if token.is_null() {
        return;
    }
    // SAFETY: the caller guarantees both; a token's value is a NUL-terminated string.
    unsafe { tu_client_invalidate_value(client, super::token::tu_token_value(token)) };
}

/// Like tu_client_invalidate, for a token given as text: bare or as "Bearer <token>".
///
/// # Safety
/// `client` is NULL or a live handle, `token` NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_invalidate_value(client: *mut tu_client, token: *const c_char) {
    // SAFETY: the caller guarantees both.
    contained((), || unsafe {
        if let (Ok(client), Ok(token)) = (live(client), text::read(token, "token")) {
            client.invalidate_value(token);
        }
    });
}

/// Whether a token may be sent to this URL: https to a host in the option `api_hosts`, or loopback
/// over http or https. For programs that attach tokens to requests themselves; check again after
/// each redirect.
///
/// # Safety
/// `client` is NULL or a live handle, `url` NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_may_send_to(
    client: *const tu_client,
    url: *const c_char,
) -> bool {
    // SAFETY: the caller guarantees both.
    contained(false, || unsafe {
        matches!((live(client), text::read(url, "url")), (Ok(client), Ok(url)) if client.may_send_to(url))
    })
}

/// Reports that the API at this URL also answered 401 to the token fetched after the invalidation.
/// Only emits an event, once per host, saying that the API may not accept API Tokens v2 yet.
///
/// # Safety
/// `client` is NULL or a live handle, `url` NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_api_refused(client: *mut tu_client, url: *const c_char) {
    // SAFETY: the caller guarantees both.
    contained((), || unsafe {
        if let (Ok(client), Ok(url)) = (live(client), text::read(url, "url")) {
            client.api_refused(url);
        }
    });
}

/// Reports that the network is back: ends the backoff after failures, immediately for waiting
/// callers and within 5 s (random) for background renewals. A Retry-After from the server still
/// holds. A login that the proxy refused is retried at most once in 10 minutes.
///
/// # Safety
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_wake(client: *mut tu_client) {
    contained((), || {
        // SAFETY: the caller guarantees the handle.
        if let Ok(client) = unsafe { live(client) } {
            client.wake();
        }
    });
}

/// Closes the client: waiting calls return TU_CLOSED, and so do later ones that need a token or
/// rotate. Never blocks; may be called while other threads use the client. Events are still
/// delivered, and tu_client_may_send_to still works. tu_free is still required.
///
/// # Safety
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_close(client: *mut tu_client) {
    contained((), || {
        // SAFETY: the caller guarantees the handle.
        if let Ok(client) = unsafe { live(client) } {
            client.close_and_keep_functions();
        }
    });
}

/// Releases the client's callbacks (drop), each once no call to it is running. Events already
/// queued are delivered first; later ones are discarded. tu_free does the same; this function is
/// for language bindings whose closed clients may stay in memory for long: call it after
/// tu_client_close. Never blocks; may be called while other threads use the client.
///
/// # Safety
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_drop_functions(client: *mut tu_client) {
    contained((), || {
        // SAFETY: the caller guarantees the handle.
        if let Ok(client) = unsafe { live(client) } {
            client.release_functions();
        }
    });
}

/// Moves the library's clock forward. Only in test builds.
#[cfg(feature = "test-clock")]
#[unsafe(no_mangle)]
pub extern "C" fn tu_test_advance_ms(by: i64) {
    crate::clock::advance(std::time::Duration::from_millis(u64::try_from(by).unwrap_or(0)));
}
