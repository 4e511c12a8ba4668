//! What a program understands: commands and their flags.

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// Any text.
    Text,
    /// A whole number, decimal or `0x`.
    Number,
    /// A duration in Go's spelling.
    Duration,
    /// A text each time it is given.
    List,
}

/// One flag; every name may be written with one dash or two.
#[derive(Clone, Debug)]
pub struct Flag {
    pub names: Vec<&'static str>,
    pub kind: Kind,
    pub usage: String,
    pub placeholder: &'static str,
    pub default: String,
    pub env: Option<&'static str>,
    pub hidden: bool,
}

impl Flag {
    /// A flag without a value; `names` is a comma list, the first is the one that values are asked by.
    pub fn switch(names: &'static str, usage: &str) -> Self {
        Self::new(names, Kind::Switch, usage, "")
    }

    /// A flag with a text.
    pub fn text(names: &'static str, usage: &str) -> Self {
        Self::new(names, Kind::Text, usage, "")
    }

    /// A flag with a whole number, 0 when absent.
    pub fn number(names: &'static str, usage: &str) -> Self {
        Self::new(names, Kind::Number, usage, "0")
    }

    /// A flag with a duration, none when absent.
    pub fn duration(names: &'static str, usage: &str) -> Self {
        Self::new(names, Kind::Duration, usage, "0s")
    }

    /// A flag that may be given many times.
    pub fn list(names: &'static str, usage: &str) -> Self {
        Self::new(names, Kind::List, usage, "")
    }

    /// The value when it is absent.
    pub fn default(mut self, value: impl Into<String>) -> Self {
        self.default = value.into();
        self
    }

    /// The variable that it is read from when it is absent.
    pub fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    /// What the help calls its value.
    pub fn placeholder(mut self, name: &'static str) -> Self {
        self.placeholder = name;
        self
    }

    /// Leaves it out of the help.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    fn new(names: &'static str, kind: Kind, usage: &str, default: &str) -> Self {
        Self {
            names: names.split(',').map(str::trim).collect(),
            kind,
            usage: usage.into(),
            placeholder: "value",
            default: default.into(),
            env: None,
            hidden: false,
        }
    }
}

/// A program, a group of commands, or one command.
#[derive(Clone, Debug, Default)]
pub struct Command {
    pub name: String,
    pub usage: String,
    pub arguments: Option<String>,
    pub about: String,
    pub version: Option<String>,
    pub flags: Vec<Flag>,
    pub commands: Vec<Command>,
}

impl Command {
    /// A command with one sentence on what it does.
    pub fn new(name: impl Into<String>, usage: impl Into<String>) -> Self {
        Self { name: name.into(), usage: usage.into(), ..Self::default() }
    }

    /// What the help says behind the flags: `[arguments...]` when nothing is said.
    pub fn arguments(mut self, text: impl Into<String>) -> Self {
        self.arguments = Some(text.into());
        self
    }

    /// The long description.
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = text.into();
        self
    }

    /// Makes it a program: it has a version, and what it does with words that are no flags is up to it.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Adds a flag.
    pub fn flag(mut self, flag: Flag) -> Self {
        self.flags.push(flag);
        self
    }

    /// Adds a command, which makes it a group.
    pub fn command(mut self, command: Command) -> Self {
        self.commands.push(command);
        self
    }
}
