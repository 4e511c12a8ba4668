//! What shells complete, and the manual page: both from the commands themselves.
use std::fmt::Write;

use super::flag::{Command, Flag, Kind};
use super::parse::help;

/// The shells that are known.
pub const SHELLS: &str = "bash, zsh or fish";

/// The command that prints completions, for the list of commands.
pub fn command(program: &str) -> Command {
    Command::new("completions", "Print completions for a shell").arguments("<bash|zsh|fish>").about(format!(
        "Prints a script that makes a shell complete commands and flags:\n\n\
         source <({program} completions bash)\n\
         source <({program} completions zsh)\n\
         {program} completions fish | source"
    ))
}

/// Returns the script for a shell; [`None`] for one that is not known.
pub fn script(program: &Command, shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash(program)),
        // Zsh runs the functions of bash.
        "zsh" => Some(format!("autoload -U +X bashcompinit && bashcompinit\n{}", bash(program))),
        "fish" => Some(fish(program)),
        _ => None,
    }
}

/// Every command with the words that lead to it, the program first, without words.
fn walk<'a>(command: &'a Command, path: &[&'a str], visit: &mut impl FnMut(&[&'a str], &'a Command)) {
    visit(path, command);
    for below in &command.commands {
        walk(below, &[path, &[below.name.as_str()]].concat(), visit);
    }
}

fn bash(program: &Command) -> String {
    let function = format!("_{}", program.name.replace('-', "_"));
    let (mut steps, mut words) = (Vec::new(), String::new());
    walk(program, &[], &mut |path, command| {
        let path = path.join(" ");
        if !path.is_empty() {
            steps.push(format!("\"{path}\""));
        }
        let offered: Vec<String> =
            command.commands.iter().map(|below| below.name.clone()).chain(flags(command)).collect();
        // Writing to a string does not fail.
        let _ = writeln!(words, "        \"{path}\") offered=\"{}\";;", offered.join(" "));
    });
    format!(
        "{function}() {{\n    local path=\"\" word next offered=\"\"\n    \
         for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n        next=\"${{path:+$path }}$word\"\n        \
         case \"$next\" in {}) path=\"$next\";; esac\n    done\n    \
         case \"$path\" in\n{words}    esac\n    \
         COMPREPLY=($(compgen -W \"$offered\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n}}\n\
         complete -o default -F {function} {}\n",
        steps.join("|"),
        program.name,
    )
}

/// The flags of a command as they are written: the long name of each.
fn flags(command: &Command) -> impl Iterator<Item = String> {
    command.flags.iter().filter(|flag| !flag.hidden).map(|flag| dashed(flag.names[0])).chain(["--help".into()])
}

fn dashed(name: &str) -> String {
    if name.len() == 1 { format!("-{name}") } else { format!("--{name}") }
}

fn fish(program: &Command) -> String {
    let mut script = format!("complete -c {} -f\n", program.name);
    walk(program, &[], &mut |path, command| {
        let seen: String = path.iter().flat_map(|word| ["__fish_seen_subcommand_from ", word, "; and "]).collect();
        let names: Vec<&str> = command.commands.iter().map(|below| below.name.as_str()).collect();
        let here = format!("{seen}not __fish_seen_subcommand_from {}", names.join(" "));
        let start = format!("complete -c {}", program.name);
        for below in &command.commands {
            let _ = writeln!(script, "{start} -n '{here}' -a {} -d {}", below.name, quoted(&below.usage));
        }
        let here = if names.is_empty() { seen.trim_end_matches("; and ") } else { &here };
        for flag in command.flags.iter().filter(|flag| !flag.hidden) {
            let _ = writeln!(script, "{start} -n '{here}' {}", fish_flag(flag));
        }
    });
    script
}

fn fish_flag(flag: &Flag) -> String {
    let names = flag.names.iter().map(|name| match name.len() {
        1 => format!("-s {name}"),
        _ => format!("-l {name}"),
    });
    let value = if flag.kind == Kind::Switch { "" } else { " -r" };
    format!("{}{value} -d {}", names.collect::<Vec<_>>().join(" "), quoted(&flag.usage))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Returns the manual page of a program, with a section a command.
pub fn manual(program: &Command) -> String {
    let mut page = format!(".TH {} 1\n", program.name.to_uppercase());
    let mut paths: Vec<Vec<&Command>> = Vec::new();
    collect(program, &[], &mut paths);
    for path in paths {
        let title = path.iter().map(|command| command.name.as_str()).collect::<Vec<_>>().join(" ");
        let _ = write!(page, ".SH \"{}\"\n.nf\n{}.fi\n", title.to_uppercase(), escaped(&help(&path)));
    }
    page
}

fn collect<'a>(command: &'a Command, above: &[&'a Command], paths: &mut Vec<Vec<&'a Command>>) {
    let path = [above, &[command]].concat();
    paths.push(path.clone());
    command.commands.iter().for_each(|below| collect(below, &path, paths));
}

/// Lines that troff takes for requests, and its escapes, are made plain text.
fn escaped(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}\n") } else { format!("{line}\n") }
    };
    text.lines().flat_map(|text| [line(text)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        Command::new("prog", "does").version("1").flag(Flag::text("host, l", "where it's at")).command(
            Command::new("pin", "pins")
                .command(Command::new("add", "adds").flag(Flag::switch("wait, w", "waits")))
                .command(Command::new("rm", "removes").flag(Flag::switch("secret-one", "x").hidden())),
        )
    }

    #[test]
    fn bash_offers_commands_and_flags_of_the_place() {
        let script = script(&program(), "bash").unwrap();
        let offered = |words: &str, at: usize, begun: &str| {
            let line = format!(
                "source /dev/stdin <<'X'\n{script}\nX\nCOMP_WORDS=({words} '{begun}'); COMP_CWORD={at}; _prog; \
                 echo \"${{COMPREPLY[*]}}\""
            );
            let out = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(offered("prog", 1, ""), "pin --host --help");
        assert_eq!(offered("prog pin", 2, ""), "add rm --help");
        assert_eq!(offered("prog --host x pin add", 5, "--w"), "--wait");
        assert_eq!(offered("prog pin rm", 3, "--s"), "");
    }

    #[test]
    fn fish_and_zsh_know_the_same_and_others_are_not_known() {
        let fish = script(&program(), "fish").unwrap();
        let line = "complete -c prog -n 'not __fish_seen_subcommand_from pin' -l host -s l -r -d 'where it\\'s at'\n";
        assert!(fish.contains(line), "{fish}");
        let line =
            "-n '__fish_seen_subcommand_from pin; and __fish_seen_subcommand_from add' -l wait -s w -d 'waits'\n";
        assert!(fish.contains(line) && !fish.contains("secret-one"), "{fish}");
        assert!(script(&program(), "zsh").unwrap().contains("bashcompinit"));
        assert!(script(&program(), "tcsh").is_none());
    }

    #[test]
    fn the_manual_has_a_section_a_command() {
        let page = manual(&program());
        let sections: Vec<&str> = page.lines().filter(|line| line.starts_with(".SH")).collect();
        assert_eq!(sections, [".SH \"PROG\"", ".SH \"PROG PIN\"", ".SH \"PROG PIN ADD\"", ".SH \"PROG PIN RM\""]);
        assert!(page.contains("\\-\\-wait, \\-w"), "{page}");
        assert_eq!(escaped(".x\\y"), "\\&.x\\ey\n");
    }
}
