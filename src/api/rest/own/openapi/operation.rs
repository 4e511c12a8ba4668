//! What the document says of one method of one path.
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Makes the schema of a type.
pub(super) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// One parameter in the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Number,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Keys that begin with `meta-`, each a parameter of its own.
    Metadata,
}

/// What a body is.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Nothing,
    One(Describe),
    /// Documents, one a line.
    Lines(Describe),
    /// The documents in server-sent events.
    Events(Describe),
    Bytes,
}

/// The body is one document.
pub(super) fn one<T: JsonSchema>() -> Shape {
    Shape::One(SchemaGenerator::subschema_for::<T>)
}

/// The body is a stream of documents.
pub(super) fn lines<T: JsonSchema>() -> Shape {
    Shape::Lines(SchemaGenerator::subschema_for::<T>)
}

/// One method of one path.
pub(super) struct Operation {
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    pub id: &'static str,
    pub about: &'static str,
    pub parameters: Vec<Parameter>,
    pub body: Option<Shape>,
    pub answers: Vec<(u16, &'static str, Shape)>,
    /// Whether it needs no password.
    pub is_open: bool,
    /// Whether another name is to be used.
    pub is_old: bool,
}

impl Operation {
    pub fn new(method: &'static str, path: &'static str, id: &'static str, about: &'static str) -> Self {
        let (parameters, answers) = (Vec::new(), Vec::new());
        Self { method, path, id, about, parameters, body: None, answers, is_open: false, is_old: false }
    }

    pub fn with(mut self, parameters: &[Parameter]) -> Self {
        self.parameters.extend_from_slice(parameters);
        self
    }

    pub fn takes(mut self, body: Shape) -> Self {
        self.body = Some(body);
        self
    }

    pub fn answers(mut self, status: u16, about: &'static str, shape: Shape) -> Self {
        self.answers.push((status, about, shape));
        self
    }

    /// 200 with a document.
    pub fn gives<T: JsonSchema>(self) -> Self {
        self.answers(200, "As asked.", one::<T>())
    }

    /// 200 with documents, or 204 where there are none.
    pub fn lists<T: JsonSchema>(self) -> Self {
        self.answers(200, "Documents, one a line, as they come.", lines::<T>()).answers(
            204,
            "There are none.",
            Shape::Nothing,
        )
    }

    /// 404, of what is not pinned.
    pub fn or_absent(self) -> Self {
        self.answers(404, "It is not in the pinset.", one::<crate::wire::rest::Error>())
    }

    pub fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    pub fn old(mut self) -> Self {
        self.is_old = true;
        self
    }
}

pub(super) fn get(path: &'static str, id: &'static str, about: &'static str) -> Operation {
    Operation::new("get", path, id, about)
}

pub(super) fn post(path: &'static str, id: &'static str, about: &'static str) -> Operation {
    Operation::new("post", path, id, about)
}

pub(super) fn delete(path: &'static str, id: &'static str, about: &'static str) -> Operation {
    Operation::new("delete", path, id, about)
}
