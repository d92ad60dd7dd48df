//! What the person who runs it says.

use std::path::PathBuf;
use std::str::FromStr;

use tu_token::simulation::scenario::Scenario;

/// How it is used.
pub const USAGE: &str = "\
Usage: fleet [--clients N] [--hours H] [--seed S] [--svg FILE] [--narrow-jitter]
  --clients N       how many clients, each with one token, from 1000 on (100000)
  --hours H         how long, 8 to 168; the outages keep their lengths (24)
  --seed S          of all that is left to chance (1)
  --svg FILE        draw the requests a minute there
  --narrow-jitter   simulate the fleet once more with a tenth of the jitter
";

/// With fewer, the highest minute is a matter of chance.
const LEAST_CLIENTS: u32 = 1000;
const MOST_CLIENTS: u32 = 10_000_000;
const MOST_HOURS: u32 = 168;

/// What was said, or the defaults.
#[derive(Debug)]
pub struct Arguments {
    /// How many.
    pub clients: u32,
    /// How many hours are simulated.
    pub hours: u32,
    /// Of all that is left to chance.
    pub seed: u64,
    /// Where to draw the picture.
    pub svg: Option<PathBuf>,
    /// Whether to simulate the fleet once more with a narrow jitter.
    pub narrow_jitter: bool,
}

impl Arguments {
    /// Reads the words of the command line. `None`: only the usage is wanted. The error says which
    /// word cannot be used and why.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut words = words;
        let mut arguments =
            Self { clients: 100_000, hours: 24, seed: 1, svg: None, narrow_jitter: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--clients" => {
                    arguments.clients = number(&word, &value()?, LEAST_CLIENTS, MOST_CLIENTS)?
                }
                "--hours" => {
                    arguments.hours = number(&word, &value()?, Scenario::LEAST_HOURS, MOST_HOURS)?
                }
                "--seed" => arguments.seed = number(&word, &value()?, 0, u64::MAX)?,
                "--svg" => arguments.svg = Some(value()?.into()),
                "--narrow-jitter" => arguments.narrow_jitter = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("{word} is not an option")),
            }
        }
        Ok(Some(arguments))
    }
}

fn number<N>(option: &str, text: &str, least: N, most: N) -> Result<N, String>
where
    N: FromStr + PartialOrd + std::fmt::Display,
{
    let number = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number
        .ok_or_else(|| format!("{option} {text}: a whole number from {least} to {most} is needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let arguments = parse("--hours 12 --svg day.svg").unwrap().unwrap();
        assert_eq!((arguments.clients, arguments.hours, arguments.seed), (100_000, 12, 1));
        assert_eq!(arguments.svg, Some("day.svg".into()));
        assert!(parse("--seed 2 --help").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        for (line, word) in [
            ("--hours 7", "--hours 7: a whole number from 8 to 168"),
            ("--clients many", "--clients many"),
            ("--seed", "--seed needs a value"),
            ("--cleints 5", "--cleints is not an option"),
        ] {
            let message = parse(line).unwrap_err();
            assert!(message.contains(word), "{line}: {message}");
        }
    }
}
