//! `tu_config`: the options of a client, and its callbacks.

use std::ffi::{c_char, c_void};
use std::fmt;
use std::sync::Arc;

use super::guard::contained;
use super::user_data::UserData;
use super::{owned, text, tu_event, tu_event_fn};
use crate::config::parse;
use crate::credentials::{Credentials, CredentialsFn, Lack};
use crate::error::Error;
use crate::events::{Event, EventFn};

/// Options for tu_client_new, which copies them: the config may be changed or released right after.
/// Must not be used by two threads at once. Release it with tu_free.
pub struct tu_config(());

/// Receives the result of a credentials function: a client id and secret, or the reason there are
/// none. Valid during that call only.
pub struct tu_credentials {
    given: Option<Credentials>,
    lack: Lack,
}

/// The failure of a credentials function: the host program's pointer, and its message.
struct ForeignCause(UserData, String);

impl fmt::Debug for ForeignCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignCause(..)")
    }
}

impl fmt::Display for ForeignCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for ForeignCause {}

/// The pointer that a credentials function passed to tu_credentials_fail; NULL: none.
pub(super) fn cause_of(error: &Error) -> *mut c_void {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<ForeignCause>())
        .map_or(std::ptr::null_mut(), |cause| cause.0.pointer())
}

/// Releases `user_data`. Called exactly once, on any thread, after the last call of the function it
/// belongs to has returned; also if setting that function failed.
pub type tu_drop_fn = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;

/// Supplies the client id and secret, with tu_credentials_set, before each token request.
/// `refused`: the endpoint refused the last ones. Return false, or set nothing, if none are
/// available: the fetch fails with TU_CREDENTIALS; tu_credentials_fail gives the reason. The
/// function must not wait for a token of its own client (such a call fails with
/// TU_INVALID_ARGUMENT).
///
/// Runs on a library thread reserved for this purpose, at most eight at a time per process. All
/// fetches of the client that need credentials during the call share its result. Its running time
/// does not count against fetch_timeout: callers wait for it no longer than their own timeout (the
/// message of TU_TIMEOUT says so), and a valid token is served meanwhile. A call that has not
/// returned after 10 s may be hung: the function is called again on another thread, four times in
/// all, and the first result is used. It may therefore run on several threads at once.
pub type tu_credentials_fn = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        refused: bool,
        out: *mut tu_credentials,
    ) -> bool,
>;

/// Creates a config with the defaults of the option table. The environment is not read before
/// tu_config_load_env. Release it with tu_free.
#[unsafe(no_mangle)]
pub extern "C" fn tu_config_new() -> *mut tu_config {
    contained(std::ptr::null_mut(), owned::config)
}

/// # Safety
/// As [`owned::as_config_mut`].
unsafe fn with(config: *mut tu_config, change: impl FnOnce(&mut crate::Config)) {
    contained((), || {
        // SAFETY: the caller guarantees the handle.
        if let Some(config) = unsafe { owned::as_config_mut(config) } {
            change(config);
        }
    });
}

/// Sets an option. Never fails: tu_client_new reports the first mistake (an unknown key, a bad
/// value, NULL). Both strings are copied. Setting a key again replaces its value. Values set here
/// take precedence over the environment, regardless of order.
///
/// # Safety
/// `config` is NULL or a live handle; the strings are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_config_set(
    config: *mut tu_config,
    key: *const c_char,
    value: *const c_char,
) {
    // SAFETY: the caller guarantees all three.
    unsafe {
        with(config, |config| {
            let strings = text::read(key, "the key given to tu_config_set").and_then(|key| {
                let shown = parse::shown(key, 64);
                Ok((key, text::read(value, &format!("the value of option \"{shown}\""))?))
            });
            match strings {
                Ok((key, value)) => {
                    config.set(key, value);
                }
                Err(mistake) => config.remember(mistake),
            }
        });
    }
}

/// Reads every environment variable TRACKUNIT_<KEY>, such as TRACKUNIT_CLIENT_ID, that is set and
/// not empty at this moment. Unknown variables with that prefix are ignored.
///
/// # Safety
/// `config` is NULL or a live handle. As with getenv, no other thread may change the environment
/// during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_config_load_env(config: *mut tu_config) {
    // SAFETY: the caller guarantees the handle.
    unsafe {
        with(config, |config| {
            config.load_env();
        });
    }
}

/// Sets the function that supplies the credentials, instead of client_id and client_secret. Setting
/// another one drops the first. `drop` may be NULL.
///
/// # Safety
/// `config` is NULL or a live handle; the functions may be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_config_on_credentials(
    config: *mut tu_config,
    function: tu_credentials_fn,
    user_data: *mut c_void,
    drop: tu_drop_fn,
) {
    let user_data = UserData::new(user_data, drop);
    // SAFETY: the caller guarantees the handle.
    unsafe {
        with(config, |config| match function {
            Some(function) => {
                config.on_credentials(credentials_fn(function, user_data));
            }
            None => config.remember(Error::argument("tu_config_on_credentials: function is NULL")),
        });
    }
}

fn credentials_fn(
    function: unsafe extern "C-unwind" fn(*mut c_void, bool, *mut tu_credentials) -> bool,
    user_data: UserData,
) -> CredentialsFn {
    CredentialsFn::explaining(move |refused| {
        let mut out = tu_credentials { given: None, lack: Lack::default() };
        // SAFETY: the host program supplied both for this call; `out` outlives it.
        let is_given = unsafe { function(user_data.pointer(), refused, &mut out) };
        out.given.filter(|_| is_given).ok_or(out.lack)
    })
}

/// Sets the function that receives events. It is called on one library thread, one event at a time,
/// with no lock held; it may call the client. Setting another one drops the first. `drop` may be
/// NULL.
///
/// # Safety
/// `config` is NULL or a live handle; the functions may be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_config_on_event(
    config: *mut tu_config,
    function: tu_event_fn,
    user_data: *mut c_void,
    drop: tu_drop_fn,
) {
    let user_data = UserData::new(user_data, drop);
    // SAFETY: the caller guarantees the handle.
    unsafe {
        with(config, |config| match function {
            Some(function) => {
                config.on_event(event_fn(function, user_data));
            }
            None => config.remember(Error::argument("tu_config_on_event: function is NULL")),
        });
    }
}

fn event_fn(
    function: unsafe extern "C-unwind" fn(*mut c_void, *const tu_event),
    user_data: UserData,
) -> EventFn {
    EventFn::from(move |event: &Event| {
        super::event::with_c_event(event, |event| {
            // SAFETY: the host program supplied both for this call; the event outlives it.
            unsafe { function(user_data.pointer(), event) }
        });
    })
}

/// Supplies a client id and secret; call it inside a credentials function. Both are copied. NULL or
/// invalid UTF-8 counts as nothing set.
///
/// # Safety
/// `out` is NULL or the credentials function's argument; the strings are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_credentials_set(
    out: *mut tu_credentials,
    client_id: *const c_char,
    client_secret: *const c_char,
) {
    // SAFETY: the caller guarantees all three.
    contained((), || unsafe {
        let Some(out) = out.as_mut() else { return };
        let pair = text::read(client_id, "client_id")
            .and_then(|id| Ok((id, text::read(client_secret, "client_secret")?)));
        out.given = pair.ok().map(|(id, secret)| Credentials::new(id, secret));
    });
}

/// Longest failure message that is kept, in characters.
const MOST_MESSAGE: usize = 256;

/// Gives the reason why no credentials are available; call it inside a credentials function that
/// then returns false. `message` (may be NULL) becomes part of the error message and of events, so
/// it must contain no secret; its first 256 characters are used. `cause` is returned by
/// tu_error_cause; `drop` (may be NULL) is called with it exactly once, when the last error that
/// carries it has been released.
///
/// # Safety
/// `out` is NULL or the credentials function's argument; `message` is NULL or NUL-terminated;
/// `cause` may be used and dropped on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_credentials_fail(
    out: *mut tu_credentials,
    message: *const c_char,
    cause: *mut c_void,
    drop: tu_drop_fn,
) {
    let cause = UserData::new(cause, drop);
    // SAFETY: the caller guarantees all four.
    contained((), || unsafe {
        let Some(out) = out.as_mut() else { return };
        let message = text::read(message, "message").ok();
        let message = message.map(|message| parse::shown(message, MOST_MESSAGE));
        let text = message.clone().unwrap_or_default();
        out.given = None;
        out.lack = Lack { message, cause: Some(Arc::new(ForeignCause(cause, text))) };
    });
}
