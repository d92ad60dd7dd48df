//! The `str` and `Token` objects of the current tokens: calls return the same object until the token is
//! renewed.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::mem;
use std::num::NonZeroU64;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyString;
use tu_token::KnownScope;

use crate::arguments::Scope;
use crate::client::Client;
use crate::token::Token;

/// Maximum number of scopes to keep, apart from the client's own: the most that a client can have.
const MAX_SCOPES: usize = 10_000;
/// Number of `str` objects to recognize.
const MAX_SPELLINGS: usize = 1 << SPELLING_BITS;
const SPELLING_BITS: u32 = 6;

/// For each scope, the objects that calls returned last.
#[derive(Default)]
pub(crate) struct AtHand(UnsafeCell<Kept>);

#[derive(Default)]
struct Kept {
    own: Objects,
    others: Others,
    /// Nothing is stored any more.
    is_closed: bool,
}

/// The objects of one token.
#[derive(Default)]
pub(crate) struct Objects {
    serial: u64,
    text: Option<Py<PyString>>,
    token: Option<Py<Token>>,
}

/// The other scopes than the client's own.
#[derive(Default)]
struct Others {
    all: Vec<(KnownScope, Objects)>,
    /// Their places in `all`.
    names: HashMap<Box<str>, usize>,
    /// The same by the address of a `str`, which is kept so that no other object can have that address.
    /// Each address has one place here. Empty before the first call with a scope.
    spellings: Vec<Option<(Py<PyString>, usize)>>,
}

// SAFETY: the cell's contents are accessed only in `with`, by one thread at a time.
unsafe impl Sync for AtHand {}

impl AtHand {
    /// The object of the current token, if a call has returned it before. Recognizes the client's own
    /// scope and a `str` used before; does not read the scope.
    #[inline]
    pub(crate) fn recognized<'py, T>(
        client: &Bound<'py, Client>,
        core: &tu_token::Client,
        scope: Option<&Bound<'py, PyAny>>,
        which: impl FnOnce(&Objects) -> Option<&Py<T>>,
    ) -> Option<Bound<'py, T>> {
        Self::with(client, |kept| {
            let (serial, objects) = match scope {
                None => (core.serial_at_hand(None)?, &kept.own),
                Some(scope) => {
                    let (known, objects) = kept.others.recognize(scope)?;
                    (core.serial_of_known(known, Duration::ZERO)?, objects)
                }
            };
            Some(which(objects.of(serial)?)?.bind(client.py()).clone())
        })
    }

    /// The same for any scope and `min_ttl`. Recognizes the `str` from now on.
    pub(crate) fn find<'py, T>(
        client: &Bound<'py, Client>,
        core: &tu_token::Client,
        scope: Option<&Scope<'_, 'py>>,
        min_ttl: Duration,
        which: impl FnOnce(&Objects) -> Option<&Py<T>>,
    ) -> Option<Bound<'py, T>> {
        let serial = core.serial_at_hand_for(scope.map(|scope| &*scope.text), min_ttl)?;
        let (found, _former) = Self::with(client, |kept| {
            let mut former = None;
            let objects = match scope {
                None => &kept.own,
                Some(scope) => {
                    let at = *kept.others.names.get(&*scope.text)?;
                    former = kept.others.spell(scope, at);
                    &kept.others.all[at].1
                }
            };
            let found = objects.of(serial).and_then(which);
            Some((found.map(|found| found.bind(client.py()).clone()), former))
        })?;
        found
    }

    /// The text of a token obtained for a scope, kept for later calls.
    pub(crate) fn text<'py>(
        client: &Bound<'py, Client>,
        core: &tu_token::Client,
        scope: Option<&Scope<'_, 'py>>,
        token: &tu_token::Token,
    ) -> Bound<'py, PyString> {
        let text = match Self::kept(client, scope, token.serial()) {
            (Some(text), _) => return text,
            (None, Some(token)) => token.get().value(client.py()),
            (None, None) => PyString::new(client.py(), token.value()),
        };
        Self::keep(client, core, scope, token.serial(), |objects| {
            objects.text = Some(text.clone().unbind());
        });
        text
    }

    /// The object of a token obtained for a scope, kept for later calls.
    pub(crate) fn token<'py>(
        client: &Bound<'py, Client>,
        core: &tu_token::Client,
        scope: Option<&Scope<'_, 'py>>,
        token: tu_token::Token,
    ) -> PyResult<Bound<'py, Token>> {
        let serial = token.serial();
        let text = match Self::kept(client, scope, serial) {
            (_, Some(token)) => return Ok(token),
            (text, None) => text,
        };
        let token = Bound::new(client.py(), Token::new(client.py(), token, text))?;
        Self::keep(client, core, scope, serial, |objects| {
            objects.token = Some(token.clone().unbind());
        });
        Ok(token)
    }

    /// Forgets everything, for a client that returns no token any more.
    pub(crate) fn clear(client: &Bound<'_, Client>) {
        let closed = Kept { is_closed: true, ..Kept::default() };
        let _former = Self::with(client, |kept| mem::replace(kept, closed));
    }

    /// The objects kept for this token.
    fn kept<'py>(
        client: &Bound<'py, Client>,
        scope: Option<&Scope<'_, 'py>>,
        serial: u64,
    ) -> (Option<Bound<'py, PyString>>, Option<Bound<'py, Token>>) {
        let py = client.py();
        Self::with(client, |kept| {
            let objects = match scope {
                None => Some(&kept.own),
                Some(scope) => kept.others.named(&scope.text),
            };
            objects.filter(|objects| objects.serial == serial).map_or((None, None), |objects| {
                let (text, token) = (objects.text.as_ref(), objects.token.as_ref());
                (text.map(|text| text.bind(py).clone()), token.map(|token| token.bind(py).clone()))
            })
        })
    }

    /// Stores an object of the token with this serial, unless a later call has stored a newer token: a
    /// task may resume long after its wait has ended.
    fn keep<'py>(
        client: &Bound<'py, Client>,
        core: &tu_token::Client,
        scope: Option<&Scope<'_, 'py>>,
        serial: u64,
        store: impl FnOnce(&mut Objects),
    ) {
        let update = |objects: &mut Objects| {
            if objects.serial > serial {
                return None;
            }
            let is_other = objects.serial != serial;
            let former = is_other.then(|| mem::replace(objects, Objects::of_serial(serial)));
            store(objects);
            former
        };
        let Some(scope) = scope else {
            let _former =
                Self::with(client, |kept| (!kept.is_closed).then(|| update(&mut kept.own)));
            return;
        };
        // Without an entry in the core, no later call could find it.
        let Some(known) = core.known_scope(&scope.text) else { return };
        let _former = Self::with(client, |kept| {
            if kept.is_closed {
                return None;
            }
            let (at, forgotten) = kept.others.place(&scope.text, known);
            let spelling = kept.others.spell(scope, at);
            Some((update(&mut kept.others.all[at].1), forgotten, spelling))
        });
    }

    /// What `look` returns is dropped after the client has been unlocked; replaced objects must be
    /// among it.
    #[inline]
    fn with<R>(client: &Bound<'_, Client>, look: impl FnOnce(&mut Kept) -> R) -> R {
        with_critical_section(client.as_any(), || {
            // SAFETY: only one thread is here at a time: with the GIL, the attached one; without it,
            // the critical section locks the client. `look` runs no Python code, which could let
            // another thread in.
            look(unsafe { &mut *client.get().at_hand.0.get() })
        })
    }
}

impl Objects {
    #[inline]
    pub(crate) fn text(&self) -> Option<&Py<PyString>> {
        self.text.as_ref()
    }

    #[inline]
    pub(crate) fn token(&self) -> Option<&Py<Token>> {
        self.token.as_ref()
    }

    fn of_serial(serial: u64) -> Self {
        Self { serial, ..Self::default() }
    }

    #[inline]
    fn of(&self, serial: NonZeroU64) -> Option<&Self> {
        (self.serial == serial.get()).then_some(self)
    }
}

impl Others {
    /// The scope that this very object has named before.
    #[inline]
    fn recognize(&self, scope: &Bound<'_, PyAny>) -> Option<&(KnownScope, Objects)> {
        let (spelling, at) = self.spellings.get(place_of(scope))?.as_ref()?;
        if !spelling.is(scope) {
            return None;
        }
        self.all.get(*at)
    }

    fn named(&self, name: &str) -> Option<&Objects> {
        let at = *self.names.get(name)?;
        Some(&self.all[at].1)
    }

    /// Remembers the object as a name of this scope. Returns the object that had its place.
    fn spell(&mut self, scope: &Scope<'_, '_>, at: usize) -> Option<(Py<PyString>, usize)> {
        // An instance of a subclass could refer to the client, which the garbage collector would not
        // notice.
        let spelling = scope.object.cast_exact::<PyString>().ok()?;
        if self.spellings.is_empty() {
            self.spellings.resize_with(MAX_SPELLINGS, || None);
        }
        self.spellings[place_of(scope.object)].replace((spelling.clone().unbind(), at))
    }

    /// The place of a scope; of all scopes, if there are too many, only this one is kept. Also returns
    /// what has been forgotten.
    fn place(&mut self, name: &str, known: KnownScope) -> (usize, Option<Self>) {
        if let Some(at) = self.names.get(name) {
            return (*at, None);
        }
        let forgotten = (self.all.len() >= MAX_SCOPES).then(|| mem::take(self));
        self.all.push((known, Objects::default()));
        let at = self.all.len() - 1;
        self.names.insert(name.into(), at);
        (at, forgotten)
    }
}

/// The place of an object in `spellings`. Objects are aligned to 16 bytes.
#[inline]
fn place_of(object: &Bound<'_, PyAny>) -> usize {
    let address = object.as_ptr() as u64 >> 4;
    // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
    (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - SPELLING_BITS)) as usize
}
