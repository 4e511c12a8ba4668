//! Programs of Go read argv like this; scripts rely on it.
use super::*;

fn program() -> Command {
    let add = Command::new("add", "Pins an item")
        .arguments("<CID|Path>")
        .flag(Flag::number("replication-min, rmin", "least"))
        .flag(Flag::text("name, n", "label"))
        .flag(Flag::text("mode", "mode").default("recursive"))
        .flag(Flag::switch("wait, w", "wait"))
        .flag(Flag::duration("wait-timeout, wt", "how long"))
        .flag(Flag::list("metadata", "key=value"));
    let pin = Command::new("pin", "Pins").command(add);
    Command::new("prog", "A program")
        .version("1.2.3")
        .flag(Flag::text("host, l", "where").default("here"))
        .flag(Flag::switch("debug, d", "more"))
        .command(pin)
        .command(Command::new("id", "Who"))
}

fn parsed(line: &str) -> Parsed {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    parse(&program(), &words)
}

fn ran(line: &str) -> Run {
    let parsed = parsed(line);
    let Parsed::Run(run) = parsed else { panic!("{line}: {parsed:?}") };
    run
}

fn misused(line: &str) -> String {
    let parsed = parsed(line);
    let Parsed::Misuse(text) = parsed else { panic!("{line}: {parsed:?}") };
    text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn one_dash_and_two_are_the_same_for_every_name() {
    for line in ["pin add -rmin 2 c", "pin add --rmin 2 c", "pin add -replication-min=2 c", "pin add c --rmin=2"] {
        let run = ran(line);
        assert_eq!((run.values.number("replication-min"), run.arguments), (2, vec!["c".into()]), "{line}");
    }
}

#[test]
fn flags_may_follow_words_and_values_may_begin_with_a_dash() {
    let run = ran("-l there pin add -wait c --name x -rmin -1 --metadata a=b --metadata c=d -wt 1m30s");
    assert_eq!(run.path, ["pin", "add"]);
    assert_eq!(run.globals.text("host"), "there");
    assert!(run.values.is_on("wait"));
    assert_eq!(run.values.text("name"), "x");
    assert_eq!(run.values.text("mode"), "recursive");
    assert_eq!(run.values.given("mode"), None);
    assert_eq!(run.values.number("replication-min"), -1);
    assert_eq!(run.values.list("metadata"), ["a=b", "c=d"]);
    assert_eq!(run.values.duration("wait-timeout"), GoDuration::from_secs(90));
    assert_eq!(run.arguments, ["c"]);
}

#[test]
fn nothing_after_two_dashes_is_a_flag() {
    assert_eq!(ran("pin add -- c --name x").arguments, ["c", "--name", "x"]);
}

#[test]
fn a_switch_takes_its_value_only_after_an_equals_sign() {
    assert!(!ran("pin add --wait=false c").values.is_on("wait"));
    assert_eq!(ran("pin add --wait false").arguments, ["false"]);
    assert_eq!(
        misused("pin add --wait=maybe c"),
        "Incorrect Usage: invalid boolean value \"maybe\" for -wait: parse error"
    );
}

#[test]
fn wrong_flags_are_named_as_go_names_them() {
    assert_eq!(misused("id --enc=json"), "Incorrect Usage: flag provided but not defined: -enc");
    assert_eq!(misused("--nothing id"), "Incorrect Usage. flag provided but not defined: -nothing");
    assert_eq!(misused("pin add c -rmin"), "Incorrect Usage: flag needs an argument: -rmin");
    assert_eq!(misused("pin add -rmin x"), "Incorrect Usage: invalid value \"x\" for flag -rmin: parse error");
    assert_eq!(misused("pin add ---x"), "Incorrect Usage: bad flag syntax: ---x");
    assert_eq!(misused("pin --rmin 2 add"), "Incorrect Usage: flag provided but not defined: -rmin");
}

#[test]
fn each_level_has_help() {
    for line in ["pin add -h", "pin add c --help", "pin help add", "pin h add"] {
        let Parsed::Help(text) = parsed(line) else { panic!("{line}") };
        assert!(text.starts_with("NAME:\n   prog pin add - Pins an item\n"), "{text}");
        assert!(text.contains("\nUSAGE:\n   prog pin add [command options] <CID|Path>\n"), "{text}");
        assert!(text.contains("\n   --replication-min value, --rmin value  least (default: 0)\n"), "{text}");
    }
    for line in ["-h", "--help", "help", "h"] {
        let Parsed::Help(text) = parsed(line) else { panic!("{line}") };
        assert!(text.contains("GLOBAL OPTIONS:\n   --host value, -l value  where (default: \"here\")\n"), "{text}");
    }
    assert!(matches!(parsed("pin"), Parsed::Help(_)));
    assert!(matches!(parsed(""), Parsed::NoCommand(_)));
    assert!(matches!(parsed("pin nothing"), Parsed::NoTopic(word) if word == "nothing"));
    assert!(matches!(parsed("help nothing"), Parsed::NoTopic(word) if word == "nothing"));
    assert!(matches!(parsed("nothing"), Parsed::UnknownCommand(word, _) if word == "nothing"));
    assert!(matches!(parsed("-v"), Parsed::Version(text) if text == "prog version 1.2.3"));
}
