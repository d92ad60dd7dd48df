//! Plays all cases in order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::case::Case;
use crate::endpoint::Endpoint;
use crate::play::Play;
use crate::secrets::Secrets;
use crate::testee::Testee;
use crate::vectors::{self, Stage};

/// The cases to play, and the testee.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The directory of the transcripts.
    pub vectors: PathBuf,
    /// Only cases whose names contain this.
    pub only: Option<String>,
    /// The command that starts the testee.
    pub command: Vec<String>,
    /// The maximum time for one answer of the testee.
    pub bound: Duration,
}

/// The results.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The number of passed cases.
    pub passed: usize,
    /// The failed cases: name, reason for the promise, problem.
    pub failed: Vec<(String, String, String)>,
}

impl Suite {
    /// Plays all cases. The error means that none could be played.
    pub fn run(&self) -> Result<Outcome, String> {
        let endpoint = Endpoint::start().map_err(|error| error.to_string())?;
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let cases = self.cases(&endpoint.origin(), scratch.path())?;
        let (mut outcome, mut secrets) = (Outcome::default(), Secrets::default());
        let mut testee = None;
        for case in &cases {
            let (hidden, found) = self.one(case, &endpoint, &mut testee);
            secrets.hide_all(&hidden);
            match found {
                Ok(()) => outcome.passed += 1,
                Err(problem) => {
                    outcome.failed.push((case.name.clone(), case.why.clone(), problem));
                    // Its state must not affect the next case.
                    testee = None;
                }
            }
        }
        if let Err(problem) = finished(testee, &secrets) {
            let (name, why) = ("the testee ends", "it must exit cleanly and show no secret");
            outcome.failed.push((name.to_owned(), why.to_owned(), problem));
        }
        Ok(outcome)
    }

    fn cases(&self, origin: &str, scratch: &Path) -> Result<Vec<Case>, String> {
        let stage = Stage { origin: origin.to_owned(), directory: scratch.to_owned() };
        let mut cases = vectors::read_all(&self.vectors, &stage)?;
        if let Some(text) = &self.only {
            cases.retain(|case| case.name.contains(text.as_str()));
        }
        match (cases.is_empty(), &self.only) {
            (false, _) => Ok(cases),
            (true, Some(text)) => {
                Err(format!("no case in {} has '{text}' in its name", self.vectors.display()))
            }
            (true, None) => Err(format!("{}: there are no cases", self.vectors.display())),
        }
    }

    fn one(
        &self,
        case: &Case,
        endpoint: &Endpoint,
        testee: &mut Option<Testee>,
    ) -> (Secrets, Result<(), String>) {
        if testee.is_none() {
            match Testee::start(&self.command, self.bound) {
                Ok(started) => *testee = Some(started),
                Err(problem) => return (Secrets::default(), Err(problem)),
            }
        }
        match testee {
            Some(testee) => Play::new(case, endpoint, testee).run(),
            None => (Secrets::default(), Err("there is no testee".to_owned())),
        }
    }
}

/// Checks that the testee ends successfully and that its stderr shows no secret.
fn finished(testee: Option<Testee>, secrets: &Secrets) -> Result<(), String> {
    match testee {
        Some(testee) => secrets.look_into(&testee.finish()?, "standard error"),
        None => Ok(()),
    }
}
