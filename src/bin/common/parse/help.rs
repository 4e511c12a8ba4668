//! The help of a command: NAME, USAGE, VERSION, DESCRIPTION, COMMANDS, OPTIONS.
use super::super::flag::{Command, Flag, Kind};

/// Two columns, left and right.
type Rows = Vec<(String, String)>;

/// Returns the help of the last command of `path`, which begins with the program; it ends with a line feed.
pub fn help(path: &[&Command]) -> String {
    let command = *path.last().expect("the path begins with the program");
    let title = path.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(" ");
    let options = options(command);
    let heading = if command.version.is_some() { "GLOBAL OPTIONS" } else { "OPTIONS" };
    let sections = [
        ("NAME", format!("   {title} - {}\n", command.usage)),
        ("USAGE", format!("   {}\n", usage(&title, command))),
        ("VERSION", command.version.as_ref().map(|version| format!("   {version}\n")).unwrap_or_default()),
        ("DESCRIPTION", indented(&command.about)),
        ("COMMANDS", table(&commands(command))),
        (heading, table(&options)),
    ];
    let filled = sections.into_iter().filter(|(_, text)| !text.is_empty());
    filled.map(|(heading, text)| format!("{heading}:\n{text}")).collect::<Vec<_>>().join("\n")
}

fn usage(title: &str, command: &Command) -> String {
    let arguments = command.arguments.as_deref().unwrap_or("[arguments...]");
    let flags = match (command.version.is_some(), command.commands.is_empty(), command.flags.is_empty()) {
        (true, true, _) => " [global options]",
        (true, false, _) => " [global options] command [command options]",
        (false, false, _) => " command [command options]",
        (false, true, false) => " [command options]",
        (false, true, true) => "",
    };
    format!("{title}{flags} {arguments}").trim_end().into()
}

fn indented(text: &str) -> String {
    let mut indented = String::new();
    for line in text.trim().lines() {
        indented.push_str(if line.is_empty() { "" } else { "   " });
        indented.push_str(line.trim_end());
        indented.push('\n');
    }
    indented
}

fn commands(command: &Command) -> Rows {
    if command.commands.is_empty() {
        return Vec::new();
    }
    let mut rows: Rows = command.commands.iter().map(|c| (c.name.clone(), c.usage.clone())).collect();
    if command.version.is_some() {
        rows.push(("help, h".into(), "Shows a list of commands or help for one command".into()));
    }
    rows
}

/// A command lists its own flags; only groups and programs list the help flag, which all have.
fn options(command: &Command) -> Rows {
    let mut rows: Rows = command.flags.iter().filter(|f| !f.hidden).map(row).collect();
    if command.version.is_some() || !command.commands.is_empty() {
        rows.push(("--help, -h".into(), "show help".into()));
    }
    if command.version.is_some() {
        rows.push(("--version, -v".into(), "print the version".into()));
    }
    rows
}

fn row(flag: &Flag) -> (String, String) {
    let name = |name: &&str| {
        let dashes = if name.len() == 1 { "-" } else { "--" };
        let value = if flag.kind == Kind::Switch { String::new() } else { format!(" {}", flag.placeholder) };
        format!("{dashes}{name}{value}")
    };
    let names = flag.names.iter().map(name).collect::<Vec<_>>().join(", ");
    let default = match flag.kind {
        Kind::Text if !flag.default.is_empty() => format!(" (default: {:?})", flag.default),
        Kind::Number | Kind::Duration => format!(" (default: {})", flag.default),
        Kind::Switch | Kind::Text | Kind::List => String::new(),
    };
    let env = flag.env.map(|name| format!(" [${name}]")).unwrap_or_default();
    (names, format!("{}{default}{env}", flag.usage))
}

fn table(rows: &Rows) -> String {
    let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    let mut lines: Vec<String> = rows.iter().map(|(left, right)| format!("   {left:width$}  {right}")).collect();
    lines.push(String::new());
    if rows.is_empty() { String::new() } else { lines.join("\n") }
}
