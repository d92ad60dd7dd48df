//! The command line of the example `fleet`.

use std::path::PathBuf;
use std::str::FromStr;

use tu_token::simulation::scenario::Scenario;

/// The usage text.
pub const USAGE: &str = "\
Usage: fleet [--clients N] [--hours H] [--seed S] [--svg FILE] [--stores-svg FILE] [--narrow-jitter]
  --clients N       number of clients, each with one token; at least 1000 (default 100000)
  --hours H         simulated hours, 8 to 168; the outages keep their lengths (default 24)
  --seed S          seed of the random numbers (default 1)
  --svg FILE        draw a chart of the requests per minute
  --stores-svg FILE draw a chart of the requests with each kind of store
  --narrow-jitter   also simulate the fleet with a tenth of the jitter
";

/// With fewer clients, the busiest minute is a matter of chance.
const MIN_CLIENTS: u32 = 1000;
const MAX_CLIENTS: u32 = 10_000_000;
const MAX_HOURS: u32 = 168;

/// The arguments, with defaults.
#[derive(Debug)]
pub struct Arguments {
    /// The number of clients.
    pub clients: u32,
    /// The number of simulated hours.
    pub hours: u32,
    /// The seed of the random numbers.
    pub seed: u64,
    /// The file for the chart.
    pub svg: Option<PathBuf>,
    /// The file for the chart of stores.
    pub stores_svg: Option<PathBuf>,
    /// Whether to simulate the fleet again with a narrow jitter.
    pub narrow_jitter: bool,
}

impl Arguments {
    /// Parses the command line. `None` means that help was requested. The error names the invalid word
    /// and the reason.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut words = words;
        let mut arguments = Self {
            clients: 100_000,
            hours: 24,
            seed: 1,
            svg: None,
            stores_svg: None,
            narrow_jitter: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--clients" => {
                    arguments.clients = number(&word, &value()?, MIN_CLIENTS, MAX_CLIENTS)?
                }
                "--hours" => {
                    arguments.hours = number(&word, &value()?, Scenario::LEAST_HOURS, MAX_HOURS)?
                }
                "--seed" => arguments.seed = number(&word, &value()?, 0, u64::MAX)?,
                "--svg" => arguments.svg = Some(value()?.into()),
                "--stores-svg" => arguments.stores_svg = Some(value()?.into()),
                "--narrow-jitter" => arguments.narrow_jitter = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown option {word}")),
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
    number.ok_or_else(|| format!("{option} {text}: must be a whole number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_have_defaults() {
        let arguments = parse("--hours 12 --svg day.svg").unwrap().unwrap();
        assert_eq!((arguments.clients, arguments.hours, arguments.seed), (100_000, 12, 1));
        assert_eq!(arguments.svg, Some("day.svg".into()));
        assert!(parse("--seed 2 --help").unwrap().is_none());
    }

    #[test]
    fn invalid_arguments_are_refused_by_name() {
        for (line, word) in [
            ("--hours 7", "--hours 7: must be a whole number from 8 to 168"),
            ("--clients many", "--clients many"),
            ("--seed", "--seed needs a value"),
            ("--cleints 5", "unknown option --cleints"),
        ] {
            let message = parse(line).unwrap_err();
            assert!(message.contains(word), "{line}: {message}");
        }
    }
}
