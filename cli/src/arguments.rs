//! The command line.
//!
//! The client's flags are generated from the library's option table, so a new option is a new flag.

use std::ffi::OsString;

use clap::{
    Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum, ValueHint,
};
use clap_complete::Shell;
use tu_token::{OPTIONS, OptionSpec};

use crate::failure::{Failure, USAGE};
use crate::output;
use crate::settings::{self, Settings};

const OPTIONS_HEADING: &str = "Client options (also as TRACKUNIT_<OPTION>)";

const OVERVIEW: &str = r#"Examples:
  tu-token emulator                 start the emulator and print the variables that select it
  tu-token doctor                   find out what is wrong and what to do
  tu-token get --format header      print a token as a header line for curl -H @-
  tu-token exec -- ./report.sh      run a program with TRACKUNIT_TOKEN set

Exit codes:
  0   success
  2   wrong usage or configuration
  3   refused: client id and secret, scope, or another OAuth error
  4   try later: network, timeout, rate limit, trouble at the endpoint
  5   no secure connection (TLS)
  70  internal error, or the output cannot be written
With exec: the program's own exit code; 127 if it is not found, 126 if it cannot be run.

The client id and secret come from TRACKUNIT_CLIENT_ID and TRACKUNIT_CLIENT_SECRET, or from the files
named in TRACKUNIT_CLIENT_ID_FILE and TRACKUNIT_CLIENT_SECRET_FILE."#;

const GET_EXAMPLES: &str = r#"Examples:
  Print the bare token:
    tu-token get

  Call an API. Use a pipe: arguments are visible to all users in the process list:
    tu-token get --format header | curl -H @- "https://iris.trackunit.com/api/asset/v2/assets?size=1"

  Request other scopes than those in TRACKUNIT_SCOPE:
    tu-token get --scope "asset.view site.view"

  Get another token after an API has answered 401:
    tu-token get --renew

  Read the secret from a file:
    tu-token get --client-secret-file /run/secrets/trackunit

Exit codes: 0; 2 usage, configuration; 3 refused; 4 try later; 5 TLS; 70 internal."#;

const EXEC_EXAMPLES: &str = r#"Examples:
  Run a script with TRACKUNIT_TOKEN set and without the secret:
    tu-token exec -- ./report.sh

  Run curl. Use a pipe: arguments are visible to all users in the process list:
    tu-token exec -- sh -c 'printf "Authorization: Bearer %s\n" "$TRACKUNIT_TOKEN" | curl -H @- "$URL"'

The token is fetched once, before the program starts, and lives at most 20 minutes. The program has no
secret to get another one with: if it runs longer, start it without exec and let it call `tu-token get`
when it needs a token.

Exit codes: the program's own; 127 not found; 126 cannot be run. Before it starts: 2 usage,
configuration; 3 refused; 4 try later; 5 TLS; 70 internal."#;

const DOCTOR_EXAMPLES: &str = r#"Examples:
  Find out what is wrong and what to do:
    tu-token doctor

  Print JSON for a program:
    tu-token doctor --json | jq '.checks[] | select(.state == "failed")'

The doctor requests a token (more than one if a scope is refused, to find out which) and one asset from
the first of api_hosts. It shows neither secrets nor tokens.

Exit codes: 0 nothing failed; otherwise that of the first failed check: 2 configuration; 3 refused; 4 try
later; 5 TLS; 70 internal."#;

const OPTIONS_EXAMPLES: &str = r#"Examples:
  Show every option, its current value and its source:
    tu-token options

  Print JSON for a program:
    tu-token options --json | jq '.[] | select(.source != "default")'"#;

const COMPLETIONS_EXAMPLES: &str = r#"Examples:
  bash: tu-token completions bash > ~/.local/share/bash-completion/completions/tu-token
  zsh:  tu-token completions zsh > "${fpath[1]}/_tu-token"
  fish: tu-token completions fish > ~/.config/fish/completions/tu-token.fish"#;

#[cfg(feature = "emulator")]
const EMULATOR_EXAMPLES: &str = r#"Examples:
  Start it, and paste the lines it prints into another shell:
    tu-token emulator

  In a script: use any free port, and wait for the file with the variables:
    rm -f emulator.env; tu-token emulator --port 0 --env-file emulator.env &
    while kill -0 $! && [ ! -f emulator.env ]; do sleep 0.1; done; . ./emulator.env

Exit codes: 0 after Ctrl-C, SIGTERM or SIGHUP; 2 wrong options, port in use; 70 anything else."#;

/// Access tokens for Trackunit's IRIS APIs on the command line
///
/// Obtains OAuth 2.0 access tokens (API Tokens V2) with a client id and secret. Not affiliated with
/// Trackunit.
#[derive(Parser)]
#[command(name = "tu-token", version, after_help = overview())]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Print an access token
    #[command(after_help = GET_EXAMPLES)]
    Get(Get),
    /// Run a program with TRACKUNIT_TOKEN set and without the client secret
    #[command(after_help = EXEC_EXAMPLES)]
    Exec(Exec),
    /// Find out what is wrong and what to do
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Doctor),
    /// Show every option with its value and source
    #[command(after_help = OPTIONS_EXAMPLES)]
    Options(Table),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages
    #[cfg(feature = "__man")]
    #[command(hide = true)]
    Man {
        /// The directory to write to
        directory: std::path::PathBuf,
    },
    /// Run an emulator of the service: token endpoint, API keys page, sample IRIS routes
    #[cfg_attr(feature = "emulator", command(after_help = EMULATOR_EXAMPLES))]
    // Any arguments, including help flags, lead to the message that says where to get the emulator.
    #[cfg_attr(not(feature = "emulator"), command(
        hide = true,
        disable_help_flag = true,
        about = "Say where to get the emulator, which this tu-token was built without",
        long_about = None
    ))]
    Emulator(crate::emulator::Options),
}

#[derive(Args, Debug)]
pub struct Get {
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Token)]
    pub format: Format,

    /// Replace the shared token, because an API answered 401 to it
    #[arg(long)]
    pub renew: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// The bare token
    Token,
    /// `Bearer <token>`
    Bearer,
    /// `Authorization: Bearer <token>`
    Header,
    /// A JSON object with the token, its scope and its expiry
    Json,
}

#[derive(Args, Debug)]
pub struct Exec {
    /// The program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

#[derive(Args)]
pub struct Doctor {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// When to use colour; auto: on a terminal unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Args)]
pub struct Table {
    /// Print a JSON array
    #[arg(long)]
    pub json: bool,

    /// Print the option table in Markdown, without values
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// The subcommands that create a client. (The emulator has its own `--client-id`.)
pub const CLIENTS: [&str; 4] = ["get", "exec", "doctor", "options"];

/// The overview, without the emulator if it is not built in.
fn overview() -> String {
    let lines = OVERVIEW.split_inclusive('\n');
    lines.filter(|line| cfg!(feature = "emulator") || !line.contains("emulator")).collect()
}

/// The complete command, including the flags from the option table.
pub fn command() -> clap::Command {
    for_clients(with_flags)
}

fn for_clients(change: fn(clap::Command) -> clap::Command) -> clap::Command {
    let add = |command: clap::Command, name| command.mut_subcommand(name, change);
    CLIENTS.into_iter().fold(Arguments::command(), add)
}

fn with_flags(subcommand: clap::Command) -> clap::Command {
    subcommand.args(OPTIONS.iter().map(flag))
}

/// Parses the command line. Help and usage errors are printed here and returned as a silent failure.
pub fn parse() -> Result<(Command, Settings), Failure> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(command) = everyday(&words) {
        return Ok((command, Settings::new([])));
    }
    // Only the subcommand that is used gets its flags: making those of all four takes a third of the time of
    // a run that finds its token in the store.
    let command = for_clients(|subcommand| subcommand.defer(with_flags));
    let matches = command.try_get_matches().map_err(|error| told(&error))?;
    let arguments = Arguments::from_arg_matches(&matches).map_err(|error| told(&error))?;
    let settings = match matches.subcommand() {
        Some((name, given)) if CLIENTS.contains(&name) => Settings::new(
            OPTIONS
                .iter()
                .filter_map(|option| Some((option, given.get_one::<String>(option.key)?.clone()))),
        ),
        _ => Settings::new([]),
    };
    Ok((arguments.command, settings))
}

/// The lines that scripts run all the time, without any other flag: building clap's parser would take a quarter of
/// the instructions of a run that finds its token in the store.
fn everyday(words: &[OsString]) -> Option<Command> {
    let get = |format| Some(Command::Get(Get { format, renew: false }));
    match words {
        [command] if command == "get" => get(Format::Token),
        [command, flag, format] if command == "get" && flag == "--format" => {
            get(Format::from_str(format.to_str()?, false).ok()?)
        }
        [command, dashes, program @ ..]
            if command == "exec" && dashes == "--" && !program.is_empty() =>
        {
            Some(Command::Exec(Exec { command: program.to_vec() }))
        }
        _ => None,
    }
}

/// Prints help or the usage error.
fn told(error: &clap::Error) -> Failure {
    let printed = error.print();
    match output::written(printed) {
        // Help that cannot be written is an error; a usage error keeps its own exit code.
        Err(unwritten) if !error.use_stderr() => unwritten,
        _ => Failure::silent(u8::try_from(error.exit_code()).unwrap_or(USAGE)),
    }
}

/// The flag of an option: `--client-id` for `client_id`.
fn flag(option: &'static OptionSpec) -> Arg {
    let everyday = ["client_id", "client_id_file", "client_secret_file", "scope", "token_url"];
    let default = match settings::default(option) {
        "" => String::new(),
        text => format!(" [default: {text}]"),
    };
    let flag = Arg::new(option.key)
        .long(option.key.replace('_', "-"))
        .value_name("VALUE")
        .help(format!("{}{default}", option.meaning.trim_end_matches('.')))
        .help_heading(OPTIONS_HEADING)
        .value_hint(match option.key.ends_with("_file") {
            true => ValueHint::FilePath,
            false => ValueHint::Other,
        })
        .hide_short_help(!everyday.contains(&option.key));
    match option.default {
        // `--keep-warm` without a value means true.
        "true" | "false" => flag.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => flag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The command as clap parses it, and whether the line has flags of the client.
    fn by_clap(words: &[OsString]) -> Option<Command> {
        let line = std::iter::once("tu-token".into()).chain(words.iter().cloned());
        let matches = command().try_get_matches_from(line).ok()?;
        let (_, given) = matches.subcommand()?;
        let has_flags = OPTIONS.iter().any(|option| given.contains_id(option.key));
        Arguments::from_arg_matches(&matches)
            .ok()
            .map(|parsed| parsed.command)
            .filter(|_| !has_flags)
    }

    fn shown(command: Option<Command>) -> Option<String> {
        match command? {
            Command::Get(get) => Some(format!("{get:?}")),
            Command::Exec(exec) => Some(format!("{exec:?}")),
            _ => None,
        }
    }

    #[test]
    fn everyday_lines_mean_the_same_to_clap() {
        for (line, is_everyday) in [
            ("get", true),
            ("get --format token", true),
            ("get --format bearer", true),
            ("get --format header", true),
            ("get --format json", true),
            ("exec -- ls", true),
            ("exec -- ls --help -l -- x", true),
            ("exec -- -- ls", true),
            ("exec -- --help", true),
            ("get --format Token", false),
            ("get --format", false),
            ("get --format --renew", false),
            ("get --renew", false),
            ("get get", false),
            ("get --help", false),
            ("get --scope x", false),
            ("exec", false),
            ("exec --", false),
            ("exec ls", false),
            ("GET", false),
            ("", false),
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let quick = shown(everyday(&words));
            assert_eq!(quick.is_some(), is_everyday, "{line}");
            if is_everyday {
                assert_eq!(quick, shown(by_clap(&words)), "{line}");
            }
        }
    }
}
