//! The state behind a client's one lock: the core, and what the client keeps beside it.

use std::sync::Arc;

use super::fetch::Fetch;
use super::messages::fingerprint;
use super::names::Names;
use super::wait::Waiters;
use super::watched::Watched;
use crate::cache::Random;
use crate::cache::core::{Core, Settings};
use crate::cache::flight::FlightId;
use crate::cache::input::Environment;
use crate::cache::jumps::Jumps;
use crate::cache::limits::Blocked;
use crate::clock::{BootTime, Clock, Reading};
use crate::credentials::Pair;
use crate::error::Error;
use crate::process::{Inherited, Mailbox};
use crate::scope::ScopeSet;
use crate::store::seal::Seal;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::token::Token;

/// Maximum number of different scopes of a client. A program that exceeds it is most likely
/// generating them.
const MAX_SCOPES: usize = 10_000;

/// One entry as readers see it.
pub(crate) struct Slot {
    pub(crate) index: usize,
    pub(crate) scope: ScopeSet,
    pub(crate) current: Watched,
    /// A caller has asked since this was last read; for `keep_warm`.
    pub(crate) asked: AtomicBool,
}

/// One entry's slot, waiters and store data.
pub(super) struct Seat {
    pub(super) slot: Arc<Slot>,
    pub(super) waiters: Waiters,
    /// Seals the token's record, if there is a store.
    pub(super) seal: Option<Arc<Seal>>,
    /// Fingerprint of the last token that an API refused.
    pub(super) invalidated: Option<String>,
}

impl Seat {
    fn new(slot: Arc<Slot>) -> Self {
        Self { slot, waiters: Waiters::default(), seal: None, invalidated: None }
    }

    /// Whether this is the last token that an API refused.
    pub(super) fn refused(&self, value: &str) -> bool {
        self.invalidated.is_some() && self.invalidated == fingerprint(value)
    }

    /// Whether this is the published token.
    pub(super) fn shows(&self, value: &str) -> bool {
        self.slot.current.read().is_some_and(|token| token.value() == value)
    }
}

/// The mutable state of a client.
pub(crate) struct ClientState {
    pub(super) found: Found,
    pub(super) core: Core<Error>,
    /// Indexed like the core's entries.
    pub(super) seats: Vec<Seat>,
    /// Fetches that no thread is working on.
    pub(super) fetches: Vec<Fetch>,
    /// The credentials that a fetch is trying out instead of refused ones.
    pub(super) tried: Option<(FlightId, Pair)>,
    /// A caller that waits briefly for a check of the credential files.
    pub(super) looker: Option<Arc<Mailbox<()>>>,
    pub(super) jumps: Jumps,
    /// Hosts that may not accept API Tokens v2; reported once each.
    pub(super) warned_hosts: Vec<String>,
}

/// Every entry's slot, kept outside the lock: see [`ClientState`]'s default.
#[derive(Clone, Copy)]
pub(super) struct Slots<'a> {
    /// That of the client's own scope, the first entry.
    pub(super) own: Option<&'a Arc<Slot>>,
    /// The others by canonical scope.
    pub(super) others: &'a Names<Arc<Slot>>,
}

impl<'a> Slots<'a> {
    fn get(self, scope: &ScopeSet) -> Option<&'a Arc<Slot>> {
        let own = self.own.filter(|own| own.scope.canonical() == scope.canonical());
        own.or_else(|| self.others.get(scope.canonical().as_bytes()))
    }
}

/// Whose state this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Own,
    /// The process has forked, and the core does not know yet.
    Parents,
    /// A fork left the state inconsistent; see [`Default`].
    Blank,
}

/// Waiters and fetches belong to the parent.
impl Inherited for ClientState {
    /// Callbacks of the parent's callers are dropped without being called: the parent calls its
    /// own.
    type Remains = (Vec<Waiters>, Vec<Fetch>);

    fn adopt(&mut self) -> Self::Remains {
        if self.found == Found::Own {
            self.found = Found::Parents;
        }
        (self.looker, self.tried) = (None, None);
        let waiters = self.seats.iter_mut().map(|seat| std::mem::take(&mut seat.waiters));
        (waiters.collect(), std::mem::take(&mut self.fetches))
    }
}

impl ClientState {
    pub(super) fn new(settings: Settings, clocks: Reading) -> Self {
        Self {
            found: Found::Own,
            core: Core::new(settings, 0),
            // Most clients have one scope; a list that grows by itself would start with room for
            // four.
            seats: Vec::with_capacity(1),
            fetches: Vec::new(),
            tried: None,
            looker: None,
            jumps: Jumps::new(clocks),
            warned_hosts: Vec::new(),
        }
    }

    /// The slot of a scope set; created if it is new.
    pub(super) fn slot_for(
        &mut self,
        scope: ScopeSet,
        now: BootTime,
        slots: Slots<'_>,
    ) -> Result<Arc<Slot>, Error> {
        if let Some(slot) = slots.get(&scope) {
            return Ok(slot.clone());
        }
        if self.seats.len() >= MAX_SCOPES {
            return Err(Error::argument(format!(
                "this client has {MAX_SCOPES} different scopes already, the maximum; use another \
                 client for more"
            )));
        }
        Ok(self.add_slot(scope, now, Some(slots.others)))
    }

    /// Creates a slot and adds it to `others`.
    pub(super) fn add_slot(
        &mut self,
        scope: ScopeSet,
        now: BootTime,
        others: Option<&Names<Arc<Slot>>>,
    ) -> Arc<Slot> {
        let index = self.core.add_entry(now);
        let slot = Arc::new(Slot {
            index,
            scope,
            current: Watched::default(),
            asked: AtomicBool::new(false),
        });
        if let Some(others) = others {
            others.insert(slot.scope.canonical(), slot.clone());
        }
        self.seats.push(Seat::new(slot.clone()));
        slot
    }

    pub(super) fn fetch(&mut self, id: FlightId) -> Option<&mut Fetch> {
        self.fetches.iter_mut().find(|fetch| fetch.id == id)
    }

    pub(super) fn take_fetch(&mut self, id: FlightId) -> Option<Fetch> {
        let place = self.fetches.iter().position(|fetch| fetch.id == id)?;
        Some(self.fetches.swap_remove(place))
    }

    /// The cached token, if it has not expired.
    pub(super) fn valid_token(&self, index: usize, now: BootTime) -> Option<Token> {
        let current = &self.seats[index].slot.current;
        self.core.is_valid(index, now).then(|| current.read()).flatten()
    }

    /// In a forked child that cannot rely on the parent's state: the same entries, all empty.
    pub(super) fn rebuild(
        &mut self,
        settings: Settings,
        generation: u32,
        clocks: Reading,
        all: Slots<'_>,
    ) {
        // By index: a name that the parent was inserting may appear twice.
        let mut slots: Vec<_> = all.own.cloned().map(Some).into_iter().collect();
        all.others.for_each(|slot| {
            slots.resize(slots.len().max(slot.index + 1), None);
            slots[slot.index] = Some(slot.clone());
        });
        // Ids that the parent used are not reused.
        let core = Core::new(settings.clone(), u64::from(generation) << 40);
        *self = Self { core, ..Self::new(settings, clocks) };
        for slot in slots.into_iter().flatten() {
            slot.current.clear();
            self.core.add_entry(clocks.boot);
            self.seats.push(Seat::new(slot));
        }
    }
}

/// The state of a child for which the fork handlers could not make sure that no thread was changing
/// the parent's (see `process`).
impl Default for ClientState {
    fn default() -> Self {
        let new = Self::new(Settings::default(), Clock::System.reading());
        Self { found: Found::Blank, ..new }
    }
}

/// What the core needs while it decides.
pub(super) struct ClientEnvironment<'a> {
    pub(super) seats: &'a [Seat],
    pub(super) chance: Chance,
    pub(super) refused_login: Option<Blocked<Error>>,
}

impl Random for ClientEnvironment<'_> {
    fn unit(&mut self) -> f64 {
        self.chance.unit()
    }
}

impl Environment<Error> for ClientEnvironment<'_> {
    fn has_waiters(&self, entry: usize) -> bool {
        self.seats[entry].waiters.are_there()
    }

    fn was_asked(&mut self, entry: usize) -> bool {
        self.seats[entry].slot.asked.swap(false, Ordering::Relaxed)
    }

    fn refused_login(&self) -> Option<Blocked<Error>> {
        self.refused_login.clone()
    }
}

/// The randomness of one step, drawn from the operating system before the lock is taken, because
/// that is a system call. So forked children draw different numbers.
#[derive(Default)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn draw() -> Self {
        let mut bytes = [0; 8];
        let random = ring::rand::SystemRandom::new();
        // Without randomness: any fixed value will do.
        let drawn = ring::rand::SecureRandom::fill(&random, &mut bytes);
        Self(drawn.map_or(0, |()| u64::from_le_bytes(bytes)))
    }
}

impl Random for Chance {
    #[cfg(all(test, feature = "__shuttle"))]
    fn unit(&mut self) -> f64 {
        let _ = self.0;
        crate::schedules::time::chance()
    }

    /// One step of SplitMix64 (Steele, Lea, Flood, 2014); an f64 holds 53 bits of it.
    #[cfg(not(all(test, feature = "__shuttle")))]
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
