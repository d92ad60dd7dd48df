//! Reading a client's credentials from files or from a function.
//!
//! Both may hang, so neither is done on the thread of a fetch or of a caller: dedicated threads do
//! it (see `credentials::asking`). The core decides which fetches wait for a read and resume after
//! it.

use std::sync::Arc;
use std::time::Duration;

use super::drive::StepContext;
use super::shared::Shared;
use crate::cache::input::Input;
use crate::cache::policy;
use crate::cache::single_flight::Ticket;
use crate::clock::Clock;
use crate::credentials::{Change, Credentials};
use crate::error::{Error, ErrorKind};
use crate::events::{Event, EventKind};
use crate::process::Mailbox;
use crate::threads;

/// The result of a check of the credential files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// There are no files, or they have just been checked.
    NotDue,
    /// A check is in progress.
    Begun,
    Ended,
}

impl Shared {
    pub(super) fn ask_source(self: &Arc<Self>, refused: bool, ticket: Ticket, is_retry: bool) {
        let shared = Arc::downgrade(self);
        let address = Arc::as_ptr(self) as usize;
        let Some(ask) = self.source.ask() else {
            // Rotated just now.
            let given = Input::CredentialsGiven { refused, ticket };
            return self.step(&mut StepContext::default(), &mut |_, _, _| Some(given.clone()));
        };
        if self.source.is_files() {
            let late = Clock::System.now().after(policy::FILE_PATIENCE);
            threads::at(late, shared.clone(), move |shared| {
                let is_open = shared.state().core.is_being_read(ticket);
                if is_open {
                    shared.use_last_pair(refused);
                }
            });
        }
        ask.begin(address, refused, is_retry, move |read| {
            if let Some(shared) = shared.upgrade() {
                shared.have_read(refused, ticket, read.map(|read| read.credentials));
            }
        });
    }

    /// The files hang and so cannot be read: the fetches that wait for them continue with the
    /// credentials read last.
    pub(super) fn use_last_pair(self: &Arc<Self>, refused: bool) {
        if let Some((pair, change)) = self.source.last_of_files() {
            let version = self.report_change(change).then_some(pair.version);
            let read = Ok(pair);
            let mut context = StepContext { read: Some(&read), ..StepContext::default() };
            self.step(&mut context, &mut |_, _, _| {
                Some(Input::CredentialsLate { refused, version })
            });
        }
    }

    /// The credentials have arrived, or the reason why there are none.
    fn have_read(
        self: &Arc<Self>,
        refused: bool,
        ticket: Ticket,
        read: Result<Credentials, Error>,
    ) {
        let is_wanted = self.state().core.wants_read(refused, ticket);
        if !is_wanted {
            let end = Input::CredentialsRead { refused, ticket, obtained: false, version: None };
            return self.step(&mut StepContext::default(), &mut |_, _, _| Some(end.clone()));
        }
        let mut version = None;
        let read = self.source.adopt(read).map(|(pair, change)| {
            version = self.report_change(change).then_some(pair.version);
            pair
        });
        let obtained = read.is_ok();
        let mut looker = None;
        let mut context = StepContext { read: Some(&read), ..StepContext::default() };
        self.step(&mut context, &mut |state, _, _| {
            looker = state.looker.take();
            Some(Input::CredentialsRead { refused, ticket, obtained, version })
        });
        if let Some(looker) = looker {
            looker.put(());
        }
    }

    /// Reports that the files cannot be read any more, or can be again. Returns whether they hold
    /// different credentials.
    fn report_change(&self, change: Change) -> bool {
        if let Some(event) = change.told {
            self.events.tell(|| event);
        }
        change.is_other
    }

    /// Unreadable credential files are a configuration error, reported at once.
    pub(super) fn check_files(&self) -> Result<(), Error> {
        if !self.source.is_files() {
            return Ok(());
        }
        let read = self.source.read_within(self.options.file_patience());
        let (_, exposed) = read.map_err(|error| match error.kind() {
            ErrorKind::Credentials => Error::config(error.message()),
            _ => error,
        })?;
        for path in exposed.into_iter().flatten() {
            self.events.tell(|| {
                Event::new(
                    EventKind::Warning,
                    format!("{} can be read by other users of this machine", path.display()),
                )
            });
        }
        Ok(())
    }

    /// While callers fail, credential files are checked once a second, so that fixing them needs
    /// neither patience nor a restart. A calling thread waits for the check only briefly.
    pub(super) fn look_at_files(self: &Arc<Self>, patience: Duration) -> Look {
        if !self.source.is_files() {
            return Look::NotDue;
        }
        let looked = Arc::new(Mailbox::default());
        let mut context = StepContext { looked: Some(looked.clone()), ..StepContext::default() };
        self.step(&mut context, &mut |_, _, _| Some(Input::LookAtFiles));
        if !context.looks {
            return Look::NotDue;
        }
        let clock = Clock::System;
        let has_ended =
            !patience.is_zero() && looked.take(&clock, clock.now().after(patience)).is_some();
        if has_ended { Look::Ended } else { Look::Begun }
    }
}
