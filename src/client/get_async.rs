//! Asynchronous gets: a callback instead of a waiting thread.
//!
//! Once a call has been accepted, its callback is called, whatever happens. The end of a wait may
//! depend on the clock, and on a worker thread that the clock watcher starts when none could be
//! started before. So the watcher is started before anything is registered, and it is kept until
//! the callback has been called or dropped.

use std::io;
use std::sync::{Arc, Weak};

use super::fetch::no_thread;
use super::get::{Next, Request, WaitHistory};
use super::shared::Shared;
use super::wait::{self, Outcome, Waiter};
use super::{Cancel, GetOptions};
use crate::cache::input::Waited;
use crate::error::{Error, ErrorKind};
use crate::process::{AnyProcess, Locked, OneProcess};
use crate::threads::{self, ClockHold};
use crate::token::Token;

pub(super) type Function = Box<dyn FnOnce(Result<Token, Error>) + Send>;

/// A callback to be called, and what keeps the clock watcher for it.
struct PendingCallback {
    function: Function,
    _clock: ClockHold,
}

/// A call whose callback is called once.
struct Call {
    request: Arc<Request>,
    cancel: Option<Cancel>,
    function: Locked<OneProcess<Option<PendingCallback>>>,
    /// How it has waited so far.
    waited: Locked<AnyProcess<Option<Waited>>>,
    /// Its current waiter.
    waiter: Locked<AnyProcess<Weak<Waiter>>>,
}

/// Allows to abandon a call before its callback is called.
pub(super) struct Registration(Weak<Call>);

impl Registration {
    /// Ends the wait without calling the callback.
    pub(super) fn abandon(&self) {
        let Some(call) = self.0.upgrade() else { return };
        // First, so that a wait that is just starting notices.
        drop(call.take_function());
        let waiter = call.waiter.lock().upgrade();
        if let Some(waiter) = waiter {
            waiter.leave();
        }
    }
}

impl Call {
    fn answer(&self, outcome: Result<Token, Error>) {
        if let Some(PendingCallback { function, _clock }) = self.take_function() {
            function(outcome);
        }
    }

    fn take_function(&self) -> Option<PendingCallback> {
        self.function.lock().take()
    }

    fn is_answered(&self) -> bool {
        self.function.lock().is_none()
    }
}

impl Shared {
    /// For a caller that has already tried the fast path.
    pub(crate) fn get_async(
        self: &Arc<Self>,
        options: &GetOptions<'_>,
        function: Function,
    ) -> Result<Registration, Error> {
        let request = Arc::new(self.request(options)?);
        self.begin_async(&request, options.cancel, function)
    }

    /// Starts a wait, or continues the wait of a caller whose token expired on its way.
    pub(super) fn begin_async(
        self: &Arc<Self>,
        request: &Arc<Request>,
        cancel: Option<&Cancel>,
        function: Function,
    ) -> Result<Registration, Error> {
        self.refuse_self_wait(request)?;
        if request.is_at_once() {
            return Ok(answered(function, self.ask_at_once(request)));
        }
        let clock = match ClockHold::take() {
            Ok(clock) => clock,
            Err(error) => return self.answer_without_clock(request, function, &error),
        };
        let call = Arc::new(Call {
            request: request.clone(),
            cancel: cancel.cloned(),
            function: Locked::new(OneProcess(Some(PendingCallback { function, _clock: clock }))),
            waited: Locked::new(AnyProcess::default()),
            waiter: Locked::new(AnyProcess::default()),
        });
        self.ask_async(&call, WaitHistory::default());
        Ok(Registration(Arc::downgrade(&call)))
    }

    /// Waiting is impossible: the callback is called only if the result is available.
    #[cold]
    fn answer_without_clock(
        self: &Arc<Self>,
        request: &Request,
        function: Function,
        error: &io::Error,
    ) -> Result<Registration, Error> {
        match self.ask_at_once(&request.at_once()) {
            Err(other) if matches!(other.kind(), ErrorKind::Pending | ErrorKind::Internal) => {
                Err(no_thread("the time limit of an asynchronous call", error))
            }
            outcome => Ok(answered(function, outcome)),
        }
    }

    /// For a request that does not wait.
    fn ask_at_once(self: &Arc<Self>, request: &Request) -> Result<Token, Error> {
        loop {
            if let Next::Done(outcome) = self.ask(request, None, &WaitHistory::default()) {
                return outcome;
            }
        }
    }

    fn ask_async(self: &Arc<Self>, call: &Arc<Call>, history: WaitHistory) {
        let (shared, called) = (self.clone(), call.clone());
        let waiter = Waiter::call(move |outcome| shared.woken_async(&called, outcome));
        call.waiter.lock().0 = Arc::downgrade(&waiter);
        if call.is_answered() {
            return;
        }
        if let Some(cancel) = &call.cancel {
            cancel.watch(&waiter);
        }
        let wait = loop {
            match self.ask(&call.request, Some(&waiter), &history) {
                Next::Done(outcome) => {
                    waiter.leave();
                    return call.answer(outcome);
                }
                Next::AskAgain => {}
                Next::Wait(wait, _) => break wait,
            }
        };
        call.waited.lock().0 = Some(Waited { serve_at: wait.serve_at, failed: false });
        // The entry holds the waiter as long as there is something to wait for.
        threads::at(wait.until, Arc::downgrade(&waiter), |waiter| {
            wait::end(vec![waiter], Outcome::AskAgain, false);
        });
    }

    fn woken_async(self: &Arc<Self>, call: &Arc<Call>, outcome: Outcome) {
        let mut history = WaitHistory::after(call.waited.lock().0);
        match self.end_of_wait(&outcome, &mut history, &mut None) {
            Some(outcome) => call.answer(outcome),
            None => self.ask_async(call, history),
        }
    }
}

/// Calls a callback whose result is available.
pub(super) fn answered(function: Function, outcome: Result<Token, Error>) -> Registration {
    function(outcome);
    Registration(Weak::new())
}
