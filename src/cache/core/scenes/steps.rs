//! Steps of callers and fetches, and what the core answers.

use super::*;
use crate::cache::input::CredentialStatus;
use scene::Heard;

impl Scene {
    // --- callers ---------------------------------------------------------------------------------

    #[track_caller]
    pub(super) fn asks(&mut self) -> Heard {
        self.asks_for(&PATIENT)
    }

    #[track_caller]
    pub(super) fn asks_for(&mut self, want: &Want) -> Heard {
        self.asks_again(want, None)
    }

    #[track_caller]
    pub(super) fn asks_again(&mut self, want: &Want, waited: Option<Waited>) -> Heard {
        let entry = self.on;
        self.env.asked[entry] = true;
        self.step(Input::Ask { entry, want: *want, waited });
        let starts = self.starts(entry).is_some();
        let mut answers = self.outputs.iter().filter_map(|output| match output {
            Output::Serve { .. } if starts => Some(ServedAndStarted),
            Output::Serve { .. } => Some(Served),
            Output::Wait { wait, .. } => Some(self.waits(wait, starts)),
            Output::Fail(reason) if starts => Some(FailsAndStarted(trouble(reason))),
            Output::Fail(reason) => Some(Fails(trouble(reason))),
            _ => None,
        });
        match (answers.next(), answers.next()) {
            (Some(heard), None) => heard,
            _ => panic!("not one answer: {:?}", self.outputs),
        }
    }

    fn waits(&self, wait: &Wait, starts: bool) -> Heard {
        match wait.serve_at.map(seconds) {
            Some(at) if starts => WaitsTillAndStarted(at),
            Some(at) => WaitsTill(at),
            None if starts => WaitsAndStarted,
            None if self.entries[self.on].fetch.is_none() => Later(seconds(wait.until)),
            None => Waits,
        }
    }

    /// Until when the last caller waits at most.
    #[track_caller]
    pub(super) fn waits_until(&self) -> f64 {
        let until = self.outputs.iter().find_map(|output| match output {
            Output::Wait { wait, .. } => Some(seconds(wait.until)),
            _ => None,
        });
        until.expect("the caller does not wait")
    }

    /// The wait in the error that the last caller got.
    #[track_caller]
    pub(super) fn is_told_to_wait(&self) -> f64 {
        let wait = self.outputs.iter().find_map(|output| match output {
            Output::Fail(Reason::Blocked { wait, .. } | Reason::Failed { wait, .. }) => Some(wait),
            _ => None,
        });
        wait.expect("the caller got no error that says how long to wait").as_secs_f64()
    }

    /// All waiters of the entry leave.
    pub(super) fn leaves(&mut self) -> &mut Self {
        self.env.waiting[self.on] = 0;
        self
    }

    // --- a fetch ---------------------------------------------------------------------------------

    #[track_caller]
    pub(super) fn flight(&self) -> FlightId {
        self.entries[self.on].fetch.expect("no fetch of this entry is in progress")
    }

    /// The rank of the fetch of this entry that the last step started, if any.
    pub(super) fn starts(&self, entry: usize) -> Option<Rank> {
        self.outputs.iter().find_map(|output| match *output {
            Output::Start { entry: of, rank, .. } if of == entry => {
                matches!(rank, Rank::Awaited | Rank::Background).then_some(rank)
            }
            _ => None,
        })
    }

    /// What the fetch's thread knows about its credentials.
    pub(super) fn status(
        &self,
        credentials: Option<Result<Pair, NoCredentials<Trouble>>>,
    ) -> CredentialStatus<Trouble> {
        CredentialStatus { source: self.source, credentials }
    }

    /// The source's current credentials.
    pub(super) fn pair(&self) -> Pair {
        Pair { version: self.source.version, is_other: false, was_requested: false }
    }

    pub(super) fn thread_comes(
        &mut self,
        flight: FlightId,
        credentials: Option<Result<Pair, NoCredentials<Trouble>>>,
    ) {
        let status = self.status(credentials);
        self.step(Input::ThreadReady { flight, status });
    }

    /// A thread takes the fetch, with credentials at hand.
    #[track_caller]
    pub(super) fn goes_on(&mut self) -> &mut Self {
        self.thread_comes(self.flight(), Some(Ok(self.pair())));
        self
    }

    /// A thread takes the fetch and sends its first request.
    #[track_caller]
    pub(super) fn begins(&mut self) {
        assert!(self.goes_on().sends().is_some(), "no request is sent: {:?}", self.outputs);
    }

    /// The time limit of the request being sent, and how much of the fetch's time was used before.
    pub(super) fn sends(&self) -> Option<(f64, f64)> {
        self.outputs.iter().find_map(|output| match *output {
            Output::Do { task: Task::Send { limit, spent }, .. } => {
                Some((limit.as_secs_f64(), spent.as_secs_f64()))
            }
            _ => None,
        })
    }

    /// What the fetch's thread does next.
    pub(super) fn does(&self) -> Option<Task> {
        self.outputs.iter().find_map(|output| match *output {
            Output::Do { task, .. } => Some(task),
            _ => None,
        })
    }

    /// Whether it waits for credentials or for a trial; `Some(true)`: for other credentials than it
    /// had.
    pub(super) fn is_parked(&self) -> Option<bool> {
        let is_paused = self.has_output(|output| matches!(output, Output::Pause { .. }));
        self.outputs.iter().find_map(|output| match *output {
            Output::Park { refused, .. } if !is_paused => Some(refused),
            _ => None,
        })
    }

    pub(super) fn answers(
        &mut self,
        flight: FlightId,
        answer: Result<Granted, Failure<Trouble>>,
    ) -> &mut Self {
        let source = self.source;
        self.step(Input::Answered { flight, answer, source });
        self
    }

    #[track_caller]
    pub(super) fn receives_token(&mut self, lifetime: u64) -> bool {
        self.arrives(self.flight(), Duration::from_secs(lifetime), false)
    }

    #[track_caller]
    pub(super) fn receives_same_token(&mut self, lifetime: Duration) -> bool {
        self.arrives(self.flight(), lifetime, true)
    }

    /// Returns whether the token is now the current one.
    pub(super) fn arrives(
        &mut self,
        flight: FlightId,
        lifetime: Duration,
        same_value: bool,
    ) -> bool {
        self.answers(flight, Ok(Granted { lifetime, same_value }));
        self.has_output(|output| matches!(output, Output::Publish { .. }))
    }

    /// A caller asks, and the fetch obtains a token immediately.
    #[track_caller]
    pub(super) fn gets(&mut self, lifetime: u64) {
        let heard = self.asks();
        self.begins();
        assert!(self.receives_token(lifetime), "the token is not used: {heard:?}");
    }

    /// An attempt fails. Returns when the next one is made; `None`: that was the last.
    #[track_caller]
    pub(super) fn attempt_fails(&mut self, failure: Failure<Trouble>) -> Option<f64> {
        self.answers(self.flight(), Err(failure)).goes_on_at()
    }

    /// When the paused fetch continues.
    pub(super) fn goes_on_at(&self) -> Option<f64> {
        self.outputs.iter().find_map(|output| match *output {
            Output::Pause { until, .. } => Some(seconds(until)),
            Output::Do { task: Task::GoOn, .. } => Some(seconds(self.now)),
            _ => None,
        })
    }

    /// The fetch fails with this attempt.
    #[track_caller]
    pub(super) fn fails(&mut self, failure: Failure<Trouble>) {
        assert_eq!(self.attempt_fails(failure), None, "the fetch continues");
        assert_eq!(self.is_parked(), None, "the fetch continues");
    }

    /// A caller asks, and the fetch fails immediately.
    #[track_caller]
    pub(super) fn fails_one_fetch(&mut self, failure: Failure<Trouble>) {
        let heard = self.asks();
        assert!(self.entries[self.on].fetch.is_some(), "nothing was started: {heard:?}");
        self.begins();
        self.fails(failure);
    }

    /// How many attempts the current fetch would make in total if each failed at once.
    pub(super) fn max_attempts(&self) -> u32 {
        let mut scene = self.clone();
        for made in 1.. {
            match scene.attempt_fails(failure(Class::Transient)) {
                Some(at) => scene.at(at).begins(),
                None => return made,
            }
        }
        unreachable!()
    }

    #[track_caller]
    pub(super) fn is_withdrawn(&mut self) {
        self.thread_comes(self.flight(), Some(Err(NoCredentials::NoThread(Trouble::NoThread))));
    }

    /// No thread is available for the fetch that was just started.
    #[track_caller]
    pub(super) fn is_not_started(&mut self) {
        let flight = self.flight();
        self.step(Input::NotStarted { flight, error: Trouble::NoThread });
        assert_eq!(self.entries[self.on].fetch, None);
    }
}

fn trouble(reason: &Reason<Trouble>) -> Trouble {
    match reason {
        Reason::Closed => Trouble::Closed,
        Reason::AlreadyReported => Trouble::AlreadyReported,
        Reason::Pending { .. } => Trouble::Pending,
        Reason::TimedOut { .. } => Trouble::TimedOut,
        Reason::Blocked { obstacle: Obstacle::Budget { .. }, .. } => Trouble::Budget,
        Reason::Blocked { obstacle: Obstacle::Remembered(fault), .. }
        | Reason::Failed { fault, .. } => match fault {
            Fault::Reported(trouble) => *trouble,
            Fault::Overrun => Trouble::Overrun,
            Fault::Ended(_) => Trouble::Ended,
        },
        Reason::NotMade(trouble) => *trouble,
        Reason::Ended => Trouble::Ended,
    }
}
