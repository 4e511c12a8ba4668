//! What stands before an argument and before a reply.
use crate::wire::msgpack::{DecodeError, Fields, Value, Writer, decode};

/// Names what is called: `Cluster.ID`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceId {
    /// `Cluster`, `PinTracker`, ..
    pub name: String,
    /// `ID`, `Status`, ..
    pub method: String,
}

/// What kind of failure an answer tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorKind {
    /// 0: the method itself failed.
    #[default]
    Method,
    /// 1: there is no such method, or its argument does not decode.
    Server,
    /// 2: the caller failed.
    Client,
    /// 3: the caller may not call it.
    Authorization,
}

/// The header of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// What was called; some servers leave it out.
    pub service: ServiceId,
    /// Why it failed; empty when it did not.
    pub error: String,
    /// Meaningful with an error.
    pub kind: ErrorKind,
}

impl ServiceId {
    /// Names a method of a service.
    #[must_use]
    pub fn new(name: &str, method: &str) -> Self {
        Self { name: name.into(), method: method.into() }
    }

    /// Encodes the header of a call.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.write(&mut writer);
        writer.into_bytes()
    }

    fn write(&self, writer: &mut Writer) {
        writer.map(2);
        writer.text("Name");
        writer.text(&self.name);
        writer.text("Method");
        writer.text(&self.method);
    }

    /// Decodes the header of a call, a map or an array.
    ///
    /// # Errors
    /// Bytes that are no value, or another one.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::read(&decode(bytes)?.0)
    }

    fn read(value: &Value<'_>) -> Result<Self, DecodeError> {
        let text = |value: Option<&Value<'_>>| value.and_then(Value::text).unwrap_or_default();
        match value {
            Value::Map(_) => Ok(Self { name: text(value.field("Name")), method: text(value.field("Method")) }),
            Value::Array(items) => Ok(Self { name: text(items.first()), method: text(items.get(1)) }),
            Value::Nil
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Float(_)
            | Value::Raw(_)
            | Value::Ext(..) => Err(DecodeError::at(0, "no service id")),
        }
    }
}

impl std::fmt::Display for ServiceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.name, self.method)
    }
}

impl Response {
    /// The header before a reply of `service`.
    #[must_use]
    pub fn success(service: ServiceId) -> Self {
        Self { service, ..Self::default() }
    }

    /// The header that tells why `service` failed; an empty body follows it.
    #[must_use]
    pub fn failure(service: ServiceId, kind: ErrorKind, error: String) -> Self {
        Self { service, error, kind }
    }

    /// Encodes the header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Fields::default();
        if self.service != ServiceId::default() {
            fields.field("Service", |w| self.service.write(w));
        }
        fields.text("Error", &self.error);
        fields.int("ErrType", self.kind.number());
        let mut writer = Writer::default();
        fields.finish(&mut writer);
        writer.into_bytes()
    }

    /// Decodes a header.
    ///
    /// # Errors
    /// Bytes that are no value, or no map.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (value, _) = decode(bytes)?;
        if !matches!(value, Value::Map(_)) {
            return Err(DecodeError::at(0, "no response"));
        }
        Ok(Self {
            service: value.field("Service").map(ServiceId::read).transpose()?.unwrap_or_default(),
            error: value.field("Error").and_then(Value::text).unwrap_or_default(),
            kind: ErrorKind::from_number(value.field("ErrType").and_then(Value::int).unwrap_or_default()),
        })
    }
}

impl ErrorKind {
    const fn number(self) -> i64 {
        match self {
            Self::Method => 0,
            Self::Server => 1,
            Self::Client => 2,
            Self::Authorization => 3,
        }
    }

    const fn from_number(n: i64) -> Self {
        match n {
            1 => Self::Server,
            2 => Self::Client,
            3 => Self::Authorization,
            _ => Self::Method,
        }
    }
}
