//! The `str` objects of the current tokens: calls return the same object until the token is renewed.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::num::NonZeroU64;

use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyString;
use tu_token::Token;

use crate::client::Client;

/// Maximum number of scopes to keep, apart from the client's own: the most that a client can have.
const MAX_SCOPES: usize = 10_000;

/// For each scope, the text and serial of the token that was returned last.
#[derive(Default)]
pub(crate) struct AtHand(UnsafeCell<Texts>);

#[derive(Default)]
struct Texts {
    own: Option<Text>,
    others: HashMap<String, Text>,
}

struct Text {
    serial: u64,
    text: Py<PyString>,
}

// SAFETY: the cell's contents are accessed only in `with`, by one thread at a time.
unsafe impl Sync for AtHand {}

impl AtHand {
    /// The text of the token with this serial, if it is the stored one.
    #[inline]
    pub(crate) fn get<'py>(
        client: &Bound<'py, Client>,
        scope: Option<&str>,
        serial: NonZeroU64,
    ) -> Option<Bound<'py, PyString>> {
        Self::with(client, |texts| {
            let text = texts.find(scope).filter(|text| text.serial == serial.get())?;
            Some(text.text.bind(client.py()).clone())
        })
    }

    /// The text of a token, stored for the next call.
    pub(crate) fn text_of<'py>(
        client: &Bound<'py, Client>,
        scope: Option<&str>,
        token: &Token,
    ) -> Bound<'py, PyString> {
        if let Some(text) =
            NonZeroU64::new(token.serial()).and_then(|serial| Self::get(client, scope, serial))
        {
            return text;
        }
        let text = PyString::new(client.py(), token.value());
        let kept = Text { serial: token.serial(), text: text.clone().unbind() };
        let _former = Self::with(client, |texts| texts.put(scope, kept));
        text
    }

    #[inline]
    fn with<R>(client: &Bound<'_, Client>, look: impl FnOnce(&mut Texts) -> R) -> R {
        with_critical_section(client.as_any(), || {
            // SAFETY: only one thread is here at a time: with the GIL, the attached one; without it,
            // the critical section locks the client. `look` runs no Python code, which could let
            // another thread in.
            look(unsafe { &mut *client.get().at_hand.0.get() })
        })
    }
}

impl Texts {
    #[inline]
    fn find(&self, scope: Option<&str>) -> Option<&Text> {
        match scope {
            None => self.own.as_ref(),
            Some(scope) => self.others.get(scope),
        }
    }

    /// Returns the replaced values, which must be dropped after the client has been unlocked.
    fn put(&mut self, scope: Option<&str>, text: Text) -> (Option<Text>, HashMap<String, Text>) {
        let Some(scope) = scope else {
            return (self.own.replace(text), HashMap::new());
        };
        let is_full = self.others.len() >= MAX_SCOPES && !self.others.contains_key(scope);
        let forgotten = if is_full { std::mem::take(&mut self.others) } else { HashMap::new() };
        (self.others.insert(scope.to_owned(), text), forgotten)
    }
}
