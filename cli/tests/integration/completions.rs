//! Tests completion in the real shells.

#![cfg(unix)]

use std::process::Command;

use crate::common::Shell;

/// Prints the completions of bash for the given words, one per line.
const BASH: &str = r#"
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
function=$(complete -p tu-token | sed 's/.*-F \([^ ]*\).*/\1/')
"$function" tu-token "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// The same for zsh, which completes only in a terminal: it gets one, and prints what its completion
/// adds.
const ZSH: &str = r#"
zmodload zsh/zpty
script=$1; shift
zpty shell zsh -f -i
zpty -w shell "source $script.rc $script"
while zpty -r shell line; do [[ $line == *is-ready* ]] && break; done
zpty -w -n shell "$*"$'\t'
while zpty -r shell line; do
  [[ $line == *is-done* ]] && break
  [[ $line == *offered:* ]] && print -r -- "${${line##*offered:}%%$'\r'*}"
done
zpty -d shell
"#;

const ZSH_INSIDE: &str = r#"
PROMPT=; unsetopt zle_bracketed_paste prompt_cr 2>/dev/null
unset zle_bracketed_paste
autoload -U compinit; compinit -C -d $1.dump
source $1
bindkey '^I' complete-word
compadd () {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
  typeset -a __offered
  builtin compadd -A __offered "$@"
  print -rl -- "offered:"${^__offered}
}
finish () { print; print is-done }
comppostfuncs=(finish)
print is-''ready
"#;

/// The completions of a shell for a command line; the last word may be empty.
fn offers(shell: &Shell, name: &str, words: &[&str]) -> Option<Vec<String>> {
    if Command::new(name).arg("-c").arg("true").output().is_err() {
        // scripts/setup.sh installs the shells where all tests must run.
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
        return None;
    }
    let generated = shell.run(&["completions", name]);
    assert_eq!((generated.code, generated.err.as_str()), (Some(0), ""), "{generated:?}");
    let script = shell.write(&format!("completion.{name}"), &generated.out);
    let path = script.to_str().expect("a path");
    let mut arguments = match name {
        "bash" => vec!["--norc", "-c", BASH, name, path],
        "zsh" => vec!["-f", "-c", ZSH, name, path],
        _ => vec!["--no-config", "-c", "source $argv[1]; complete -C \"$argv[2..]\"", path],
    };
    arguments.extend(words);
    shell.write("completion.zsh.rc", ZSH_INSIDE);
    let run =
        shell.output(&mut crate::common::instead(&shell.command(&[]), name.as_ref(), &arguments));
    // After a tab, fish prints a description.
    let word = |line: &str| line.split('\t').next().unwrap_or_default().trim().to_owned();
    Some(run.out.lines().map(word).filter(|word| !word.is_empty()).collect())
}

/// Checks that these words are offered, and only words with the last one as a prefix.
fn completes(name: &str) {
    let shell = Shell::new();
    for (words, wanted) in [
        (&["tu-token", ""][..], &["get", "exec", "doctor", "options", "completions"][..]),
        (&["tu-token", "do"], &["doctor"]),
        (&["tu-token", "get", "--"], &["--format", "--renew", "--scope", "--client-secret-file"]),
        (&["tu-token", "get", "--sc"], &["--scope"]),
        (&["tu-token", "get", "--scope", "x", "--fo"], &["--format"]),
        (&["tu-token", "get", "--format", ""], &["token", "bearer", "header", "json"]),
        (&["tu-token", "get", "--format", "be"], &["bearer"]),
        (&["tu-token", "get", "--client-auth", "ba"], &["basic"]),
        (&["tu-token", "options", "--log", ""], &["off", "warn", "info"]),
        (&["tu-token", "doctor", "--store", ""], &["memory", "file"]),
        (&["tu-token", "exec", "--token-"], &["--token-url"]),
        (&["tu-token", "exec", "--", "mkfif"], &["mkfifo"]),
        (&["tu-token", "doctor", "--color", "al"], &["always"]),
        (&["tu-token", "doctor", "--js"], &["--json"]),
        (&["tu-token", "options", "--mark"], &["--markdown"]),
        (&["tu-token", "completions", "ba"], &["bash"]),
        #[cfg(feature = "emulator")]
        (&["tu-token", "em"], &["emulator"]),
        #[cfg(feature = "emulator")]
        (&["tu-token", "emulator", "--rotate"], &["--rotate-demo-key"]),
        (&["tu-token", "help", "opt"], &["options"]),
    ] {
        let Some(offered) = offers(&shell, name, words) else { return };
        for word in wanted {
            assert!(offered.iter().any(|it| it == word), "{name} {words:?}: {offered:?}");
        }
        let last = words[words.len() - 1];
        assert!(offered.iter().all(|it| it.starts_with(last)), "{name} {words:?}: {offered:?}");
    }
    // Files are offered where a file is expected, and nowhere else. (The script itself is one.)
    let begun = shell.home.path().join("completion.");
    let begun = begun.to_str().expect("a path");
    for (flag, is_file) in [("--client-secret-file", true), ("--scope", false)] {
        let words = ["tu-token", "get", flag, begun];
        let Some(offered) = offers(&shell, name, &words) else { return };
        let has_file = offered.iter().any(|it| it.ends_with(&format!("completion.{name}")));
        assert_eq!(has_file, is_file, "{name} {flag}: {offered:?}");
    }
}

#[test]
fn bash_completes_behind_an_equals_sign_and_leaves_a_programs_flags_alone() {
    let shell = Shell::new();
    for (words, wanted) in [
        (&["tu-token", "get", "--format", "=", "j"][..], &["json"][..]),
        (&["tu-token", "get", "--keep-warm", "=", "t"], &["true"]),
        (&["tu-token", "exec", "--", "ls", "--c"], &[]),
        (&["tu-token", "exec", "--", "ls", "-- "], &[]),
    ] {
        let Some(offered) = offers(&shell, "bash", words) else { return };
        assert_eq!(offered, wanted, "{words:?}");
    }
}

#[test]
fn bash_completes() {
    completes("bash");
}

#[test]
fn zsh_completes() {
    completes("zsh");
}

#[test]
fn fish_completes() {
    completes("fish");
}
