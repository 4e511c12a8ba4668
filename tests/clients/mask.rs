//! Puts signs in place of what differs from one moment to the next.

/// Keys of a status that Go's program does not know.
const OURS: [&str; 2] = ["\"bytes\": ", "\"next_try\": "];

/// Where that begins in lines of text.
const OURS_IN_TEXT: [&str; 2] = [" | Fetched: ", " | Next try: "];

/// Numbers of metrics, by their keys.
const MEASURED: [&str; 5] = ["expire", "received_at", "weight", "value", "seq"];

/// Returns the output of `line` without moments and measures, and in one order where peers answer in any.
pub fn masked(output: &str, line: &str) -> String {
    let lines = output.lines().filter_map(without_ours).map(|text| spans(&time_outs(&measures(&times(text))), line));
    let mut groups: Vec<String> = Vec::new();
    for text in lines {
        // Documents begin at the left; what belongs to them does not, but for closing brackets.
        match groups.last_mut() {
            Some(group) if text.starts_with([' ', '}', ']']) => *group += &text,
            _ => groups.push(text),
        }
        groups.last_mut().expect("it was just there").push('\n');
    }
    if ["peers ls", "status {", "graph"].iter().any(|unordered| line.contains(unordered)) {
        groups.sort();
    }
    groups.concat()
}

/// Takes out what our answers have beside Go's, as Go's program does when it prints them.
fn without_ours(text: &str) -> Option<&str> {
    let is_ours = OURS.iter().any(|key| text.trim_start().starts_with(key));
    let plain = OURS_IN_TEXT.iter().fold(text, |text, mark| text.split(mark).next().unwrap_or(text));
    (!is_ours).then_some(plain)
}

/// Returns stderr without the lines of Go's log, which begin with the time.
pub fn without_log(stderr: &str) -> String {
    stderr.split_inclusive('\n').filter(|line| !line.starts_with("<time>\t")).collect()
}

/// Returns the text without the versions of both.
pub fn version(text: &str) -> String {
    text.replace("1.1.6", "<version>").replace(env!("CARGO_PKG_VERSION"), "<version>")
}

/// Moments of this century, with and without `T`, fraction and `Z`; nobody's moments are those of the year 1.
fn times(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("20") {
        let (before, from) = rest.split_at(at);
        out += before;
        let length = time_length(from);
        out += if length == 0 { &from[..2] } else { "<time>" };
        rest = &from[length.max(2)..];
    }
    out + rest
}

/// How long the moment is that `text` begins with.
fn time_length(text: &str) -> usize {
    let shape = "dddd-dd-dd?dd:dd:dd";
    let fits = |(wanted, byte): (char, u8)| match wanted {
        'd' => byte.is_ascii_digit(),
        '?' => byte == b'T' || byte == b' ',
        wanted => byte == wanted as u8,
    };
    if text.len() < shape.len() || !shape.chars().zip(text.bytes()).all(fits) {
        return 0;
    }
    let rest = &text[shape.len()..];
    let fraction = rest.bytes().take_while(|byte| *byte == b'.' || byte.is_ascii_digit()).count();
    shape.len() + fraction + usize::from(rest[fraction..].starts_with('Z'))
}

/// `"expire": 1234,` and `"value": "1234",`.
fn measures(line: &str) -> String {
    let Some((key, value)) = line.split_once("\": ") else { return line.to_owned() };
    let bare = value.trim_matches(['"', ',']);
    let is_number = bare.len() > 5 && bare.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && MEASURED.iter().any(|name| key.ends_with(name)) {
        return format!("{key}\": {}", value.replace(bare, "<number>"));
    }
    line.to_owned()
}

/// Who is first when the time is over decides which of its three words Go has for it.
fn time_outs(text: &str) -> String {
    let text = text.replace(" (Client.Timeout exceeded while awaiting headers)", "");
    text.replace("net/http: request canceled", "context deadline exceeded")
}

/// How long metrics and alerts count from now, in text.
fn spans(text: &str, line: &str) -> String {
    let marks: &[&str] = match line {
        _ if line.contains("metrics") => &["Expires in: "],
        _ if line.contains("alerts") => &["Expired at: ", "Triggered at: "],
        _ => &[],
    };
    let mut text = text.to_owned();
    for mark in marks {
        if let Some((before, after)) = text.split_once(mark) {
            let end = after.find(". ").unwrap_or(after.len());
            text = format!("{before}{mark}<span>{}", &after[end..]);
        }
    }
    text
}

#[test]
fn moments_are_hidden_and_nothing_else() {
    let text =
        masked("a | 2026-05-11T08:17:41.123Z | 0001-01-01T00:00:00Z | 20 GB | Added: 2026-05-11 08:17:41\n", "pin ls");
    assert_eq!(text, "a | <time> | 0001-01-01T00:00:00Z | 20 GB | Added: <time>\n");
    assert_eq!(masked("    \"expire\": 1795687661,\n", "id"), "    \"expire\": <number>,\n");
    assert_eq!(masked("    \"attempt_count\": 1795687661,\n", "id"), "    \"attempt_count\": 1795687661,\n");
}

#[test]
fn what_only_our_answers_have_is_left_out() {
    let text = "{\n  \"bytes\": 5,\n  \"next_try\": \"x\",\n  \"priority_pin\": false\n}\n";
    assert_eq!(masked(text, "status"), "{\n  \"priority_pin\": false\n}\n");
    assert_eq!(
        masked("  > a : PIN_ERROR | Priority: true | Next try: soon\n", "status"),
        "  > a : PIN_ERROR | Priority: true\n"
    );
}

#[test]
fn only_peers_that_answer_in_any_order_are_sorted() {
    let text = "b\n  > x\na\n  > y\n";
    assert_eq!(masked(text, "peers ls"), "a\n  > y\nb\n  > x\n");
    assert_eq!(masked(text, "status"), text);
    assert_eq!(
        masked("{\n    \"id\": 2\n}\n{\n    \"id\": 1\n}\n", "peers ls"),
        "{\n    \"id\": 1\n}\n{\n    \"id\": 2\n}\n"
    );
}
