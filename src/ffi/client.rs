//! `tu_client`: the cached tokens of one API key.

use std::ffi::c_char;

use super::guard::{caught, contained, report, status};
use super::{owned, text, tu_config, tu_error, tu_status, tu_token};
use crate::client::Client;
use crate::client::Config;
use crate::error::Error;

/// Gets, keeps and hands out the tokens of one API key. Every function may be called on it from
/// any thread at once, and in a forked child. Release it with tu_free.
pub struct tu_client(());

/// # Safety
/// NULL, or a live handle.
pub(super) unsafe fn live<'a>(client: *const tu_client) -> Result<&'a Client, Error> {
    // SAFETY: the caller vouches for the handle.
    unsafe { owned::as_client(client) }.ok_or_else(|| Error::argument("the client is NULL"))
}

/// A client with a copy of `config`; NULL: everything from the environment. Makes no request and
/// reads no file but those the options name. NULL on the first mistake in the options: TU_CONFIG
/// or TU_INVALID_ARGUMENT. Without the option `scope` each call has to name one: else the call fails,
/// not this function. Release it with tu_free.
///
/// # Safety
/// `config` is NULL or a live handle, `error` NULL or valid to write to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_new(
    config: *const tu_config,
    error: *mut *mut tu_error,
) -> *mut tu_client {
    // SAFETY: the caller vouches for both.
    let made = caught(|| match unsafe { owned::as_config(config) } {
        Some(config) => Client::new(config),
        None => Client::new(Config::new().load_env()),
    });
    // SAFETY: the caller vouches for `error`.
    unsafe { report(made, error) }.map_or(std::ptr::null_mut(), owned::client)
}

/// Uses another client id and secret from the next request on, in the place of whatever gave them
/// before. Both are copied. Cached tokens stay in use; a remembered refusal is forgotten.
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
    // SAFETY: the caller vouches for all four.
    unsafe {
        status(error, || {
            let id = text::read(client_id, "client_id")?;
            let secret = text::read(client_secret, "client_secret")?;
            live(client)?.rotate(id, secret)
        })
    }
}

/// An API answered 401 to this token: it is not handed out again. If a newer one is cached
/// already, nothing happens. Neither 403 nor 429 is a reason to call this. NULL does nothing.
///
/// # Safety
/// `client` and `token` are NULL or live handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_invalidate(client: *mut tu_client, token: *const tu_token) {
    if token.is_null() {
        return;
    }
    // SAFETY: the caller vouches for both; a token's value is a NUL-terminated string.
    unsafe { tu_client_invalidate_value(client, super::token::tu_token_value(token)) };
}

/// The same for a token known by its text, bare or as "Bearer <token>".
///
/// # Safety
/// `client` is NULL or a live handle, `token` NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_invalidate_value(client: *mut tu_client, token: *const c_char) {
    // SAFETY: the caller vouches for both.
    contained((), || unsafe {
        if let (Ok(client), Ok(token)) = (live(client), text::read(token, "token")) {
            client.invalidate_value(token);
        }
    });
}

/// Whether a token may be sent to this URL: by https to a host of the option `api_hosts`, or to this
/// machine. For whoever attaches tokens to requests by itself; ask again after each redirect.
///
/// # Safety
/// `client` is NULL or a live handle, `url` NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_may_send_to(
    client: *const tu_client,
    url: *const c_char,
) -> bool {
    // SAFETY: the caller vouches for both.
    contained(false, || unsafe {
        matches!((live(client), text::read(url, "url")), (Ok(client), Ok(url)) if client.may_send_to(url))
    })
}

/// An API at this URL answered 401 also to the token that followed the invalidated one. Says in an
/// event, once a host, that it may not accept API Tokens v2 yet. Does nothing else.
///
/// # Safety
/// `client` is NULL or a live handle, `url` NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_api_refused(client: *mut tu_client, url: *const c_char) {
    // SAFETY: the caller vouches for both.
    contained((), || unsafe {
        if let (Ok(client), Ok(url)) = (live(client), text::read(url, "url")) {
            client.api_refused(url);
        }
    });
}

/// The network is back: pauses after failures end now for whoever waits, and within five seconds
/// for renewals. A wait that the server asked for by Retry-After still holds. A login that the proxy
/// refused is made again at most once in ten minutes.
///
/// # Safety
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_wake(client: *mut tu_client) {
    contained((), || {
        // SAFETY: the caller vouches for the handle.
        if let Ok(client) = unsafe { live(client) } {
            client.wake();
        }
    });
}

/// Ends the client: waiting calls return TU_CLOSED, and so does every later one that asks for a
/// token or rotates. Never blocks; may be called while other threads use the client. Events are still
/// told, and tu_client_may_send_to still answers. tu_free is still needed.
///
/// # Safety
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_close(client: *mut tu_client) {
    contained((), || {
        // SAFETY: the caller vouches for the handle.
        if let Ok(client) = unsafe { live(client) } {
            client.close_and_keep_functions();
        }
    });
}

/// Lets the functions of a client go (drop), each as soon as no call of it runs; events that wait to be
/// told are told before, later ones to nobody. tu_free does this by itself. It is for bindings to other
/// languages, whose closed clients may stay for long: call it after tu_client_close. Never blocks; may
/// be called while other threads use the client.
///
/// # Safety
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_drop_functions(client: *mut tu_client) {
    contained((), || {
        // SAFETY: the caller vouches for the handle.
        if let Ok(client) = unsafe { live(client) } {
            client.release_functions();
        }
    });
}

/// Turns the clock of this library forward. Only in builds for tests.
#[cfg(feature = "test-clock")]
#[unsafe(no_mangle)]
pub extern "C" fn tu_test_advance_ms(by: i64) {
    crate::clock::advance(std::time::Duration::from_millis(u64::try_from(by).unwrap_or(0)));
}
