//! Names in place of the IDs that differ from run to run.
use std::collections::BTreeMap;

use serde_json::Value;

/// Names of peers (`<peer0>`) and of their daemons (`<ipfs of peer0>`) by ID.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Reads out of documents what each peer says of itself, alone or in a map of peers.
    pub fn learn(&mut self, document: &Value) {
        match document {
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Object(fields) => {
                if let Some(id) = document["id"].as_str() {
                    self.peer(id, &document["peername"], &document["ipfs"]["id"]);
                }
                for (key, value) in fields {
                    self.peer(key, &value["peername"], &value["ipfs_peer_id"]);
                    self.learn(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn peer(&mut self, id: &str, name: &Value, ipfs: &Value) {
        let Some(name) = name.as_str().filter(|name| !name.is_empty()) else { return };
        self.0.insert(id.to_owned(), format!("<{name}>"));
        if let Some(ipfs) = ipfs.as_str() {
            self.0.insert(ipfs.to_owned(), format!("<ipfs of {name}>"));
        }
    }

    /// The ID that has a name.
    pub fn id(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(_, found)| *found == name).map(|(id, _)| id.as_str())
    }

    /// Puts names in place of all known IDs.
    pub fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (id, name)| text.replace(id, name))
    }

    /// Puts the IDs that `there` gives to the same names in place of the IDs known here.
    pub fn translate(&self, text: &str, there: &Self) -> String {
        self.0.iter().fold(text.to_owned(), |text, (id, name)| match there.id(name) {
            Some(other) => text.replace(id, other),
            None => text,
        })
    }
}

/// The JSON documents of a body, one after the other; none when it is something else.
pub fn documents(body: &str) -> Option<Vec<Value>> {
    serde_json::Deserializer::from_str(body).into_iter().collect::<Result<_, _>>().ok()
}
