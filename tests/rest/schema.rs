//! Answers beside the `OpenAPI` document: what is answered is as it says, and has nothing that it does not say.
use serde_json::{Value, json};

use crate::exchange::Answer;
use crate::names::documents;
use crate::recording::{Recording, names};

/// The document, with objects that have no other fields than they say.
pub struct Document(Value);

impl Document {
    pub fn new() -> Self {
        let mut document = ipfs_cluster::api::rest::openapi();
        let schemas = document["components"]["schemas"].as_object_mut().expect("the document has schemas");
        for schema in schemas.values_mut().filter(|schema| schema.get("properties").is_some()) {
            schema["additionalProperties"] = false.into();
        }
        Self(document)
    }

    /// Returns what is wrong with an answer; `None` where it is not an operation's but the server's own.
    pub fn judge(&self, method: &str, target: &str, answer: &Answer) -> Option<Vec<String>> {
        let code = answer.status.get(..3)?;
        let is_of_server = matches!(code, "301" | "307" | "405" | "431" | "non");
        let operation = self.operation(&method.to_lowercase(), target.split('?').next()?).filter(|_| !is_of_server)?;
        let responses = &operation["responses"];
        let response = responses.get(code).unwrap_or(&responses["default"]);
        let Some(content) = response["content"].as_object() else {
            let is_empty = answer.body.is_empty();
            return Some((!is_empty).then(|| "has a body".into()).into_iter().collect());
        };
        let kind = answer.header("content-type").unwrap_or_default();
        let Some(media) = content.get(kind) else { return Some(vec![format!("has the type {kind:?}")]) };
        let mut found = documents(&answer.text()).unwrap_or_default();
        // After a bad option Go goes on, and writes what came of it behind the error.
        found.truncate(if code == "400" { 1 } else { usize::MAX });
        if found.is_empty() {
            return Some(vec!["has no document".into()]);
        }
        Some(self.faults(&media["schema"], &found))
    }

    /// The operation whose path has the most segments that are no parameters.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let paths = self.0["paths"].as_object().expect("the document has paths").iter();
        let fitting = paths.filter(|(pattern, item)| item.get(method).is_some() && fits(pattern, path));
        let best = fitting.max_by_key(|(pattern, _)| pattern.split('/').filter(|part| !part.starts_with('{')).count());
        best.map(|(_, item)| &item[method])
    }

    fn faults(&self, schema: &Value, found: &[Value]) -> Vec<String> {
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::options().should_validate_formats(true).build(&whole);
        let validator = validator.expect("the document has schemas that are some");
        let fault = |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
        found.iter().flat_map(|document| validator.iter_errors(document).map(fault).collect::<Vec<_>>()).collect()
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut parts, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (parts.next(), segments.next()) {
            (None, None) | (Some("{path}"), Some(_)) => return true,
            (Some(part), Some(segment)) if part.starts_with('{') || part == segment => {}
            _ => return false,
        }
    }
}

/// Why an answer is not an operation's.
fn is_apart(recording: &Recording) -> bool {
    let status = recording.answer.status.get(..3).unwrap_or_default();
    let is_of_server = matches!(status, "301" | "307" | "405" | "431" | "non") || recording.method == "OPTIONS";
    let path = recording.target.split('?').next().unwrap_or_default();
    let is_nowhere = path.starts_with("/add") || path.ends_with('/') || path == "/nothing";
    is_of_server || is_nowhere || recording.answer.text().contains("\"message\":\"not found\"")
}

#[test]
fn every_recorded_answer_is_as_the_document_says() {
    let document = Document::new();
    let (mut judged, mut faults) = (0, Vec::new());
    for name in names() {
        let recording = Recording::read(&name);
        match document.judge(&recording.method, &recording.target, &recording.answer) {
            Some(found) => {
                judged += 1;
                faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
            }
            None if is_apart(&recording) => (),
            None => faults.push(format!("{name}: no operation for {} {}", recording.method, recording.target)),
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(judged > 150, "{judged}");
}

#[test]
fn an_answer_that_is_another_is_seen() {
    let document = Document::new();
    let judge = |target: &str, status: &str, body: &str| {
        let headers = vec![("Content-Type".into(), "application/json".into())];
        let answer = Answer { status: status.into(), headers, body: body.into(), ..Answer::default() };
        document.judge("GET", target, &answer)
    };
    assert_eq!(judge("/version", "200 OK", "{\"version\":\"x\"}"), Some(vec![]));
    for body in ["{\"version\":5}", "{}", "{\"version\":\"x\",\"more\":1}", "[]", ""] {
        assert!(judge("/version", "200 OK", body).is_some_and(|faults| !faults.is_empty()), "{body}");
    }
    assert_eq!(judge("/pins/x/y", "404 Not Found", ""), None);
    assert_eq!(judge("/allocations", "204 No Content", ""), Some(vec![]));
    assert_eq!(judge("/version", "204 No Content", ""), Some(vec!["has no document".into()]));
    assert_eq!(judge("/pins/x", "500 x", "{\"code\":500,\"message\":\"\"}"), Some(vec![]));
}
