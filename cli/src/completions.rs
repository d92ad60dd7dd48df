//! The script that a shell completes command lines with.

use clap::ValueEnum as _;
use clap_complete::Shell;

use crate::arguments;

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::command(), "tu-token", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // clap_complete 4.6.11 jumps to labels that it writes another way if the name has a hyphen.
        Shell::Bash => script.replace("tu__subcmd__token", "tu__token"),
        // It has `help` complete what is not behind `help`.
        Shell::Fish => script.replace(" help\" -f -a", "\" -f -a") + &words_for_fish(),
        _ => script,
    }
}

/// For fish, clap_complete leaves out what stands behind a subcommand and is no flag.
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
