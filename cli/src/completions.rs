//! Shell completion scripts.

use clap::ValueEnum as _;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

use crate::arguments;

/// Values to offer for some client options. Only suggestions: the library validates the value.
const WORDS: [(&str, &[&str]); 5] = [
    ("client_auth", &["post", "basic"]),
    ("log", &["off", "warn", "info"]),
    ("store", &["memory", "file"]),
    ("keep_warm", &["true", "false"]),
    ("allow_narrowed_scope", &["true", "false"]),
];

/// For bash: after `exec --` follows another program's command line, which bash completes itself.
const BASH_PROGRAMS: &str = r#"
_tu__token_or_program() {
    local i
    for ((i = 2; i < COMP_CWORD; i++)); do
        if [[ "${COMP_WORDS[1]}" == exec && "${COMP_WORDS[i]}" == -- ]]; then
            COMPREPLY=()
            if declare -F _command_offset >/dev/null; then
                _command_offset $((i + 1))
            elif ((COMP_CWORD == i + 1)); then
                COMPREPLY=( $(compgen -c -- "$2") )
            fi
            return 0
        fi
    done
    _tu__token "$@"
}
"#;

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "tu-token", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // clap_complete 4.6.11 uses two different spellings of its labels if the name has a hyphen.
        // It does not complete values after `=`, which bash treats as a separate word.
        Shell::Bash => {
            let script = script
                .replace("tu__subcmd__token", "tu__token")
                .replace(
                    "    prev=\"$3\"\n",
                    "    prev=\"$3\"\n    [[ $prev == = ]] && prev=\"${COMP_WORDS[COMP_CWORD-2]}\"\n",
                )
                .replace("complete -F _tu__token ", "complete -F _tu__token_or_program ");
            BASH_PROGRAMS.to_owned() + &script
        }
        // clap_complete offers the arguments of `help` in the wrong place.
        Shell::Fish => script.replace(" help\" -f -a", "\" -f -a") + &words_for_fish(),
        _ => script,
    }
}

fn command() -> clap::Command {
    let mut command = arguments::command();
    for name in arguments::CLIENTS {
        command = command.mut_subcommand(name, |subcommand| {
            WORDS.iter().fold(subcommand, |subcommand, (key, words)| {
                subcommand.mut_arg(key, |flag| {
                    flag.value_parser(PossibleValuesParser::new(words.iter().copied()))
                })
            })
        });
    }
    offered(&command)
}

/// The command without hidden subcommands, which clap_complete would offer.
fn offered(whole: &clap::Command) -> clap::Command {
    let subcommands = whole.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    clap::Command::new("tu-token")
        .version(env!("CARGO_PKG_VERSION"))
        // The scripts mention whether `--help` says more than `-h`.
        .long_about(whole.get_long_about().cloned().unwrap_or_default())
        .args(whole.get_arguments())
        .subcommands(subcommands)
}

/// clap_complete's fish script omits positional arguments of subcommands.
fn words_for_fish() -> String {
    let line = |subcommand: &str, rest: &str| {
        format!(
            "complete -c tu-token -n \"__fish_tu_token_using_subcommand {subcommand}\" {rest}\n"
        )
    };
    let shells: Vec<String> = Shell::value_variants().iter().map(Shell::to_string).collect();
    line("completions", &format!("-f -a \"{}\"", shells.join(" ")))
        + &line("exec", "-a \"(__fish_complete_subcommand --fcs-skip=2)\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offered_values_are_accepted() {
        for (key, word) in WORDS.iter().flat_map(|(key, words)| words.iter().map(move |w| (key, w)))
        {
            let mut config = tu_token::Config::new();
            config.set("client_id", "id").set("client_secret", "secret").set(key, word);
            assert!(tu_token::Client::new(&config).is_ok(), "{key} {word}");
        }
    }
}
