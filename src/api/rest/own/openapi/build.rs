//! Makes the document.
use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::Response;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Kind, Operation, Parameter, Shape};
use super::table::operations;
use crate::api::error;
use crate::wire::rest::Error;

/// Go's version whose routes these are; the peer's own is `/version`, for those who may know.
const INTERFACE: &str = "1.1.6";
const ABOUT: &str = "The API of a peer of an IPFS cluster. Where an answer is a stream of documents, errors after the \
    first one are in its trailer X-Stream-Error. An empty parameter is none; the first of two wins.";

/// It is the same for as long as the program runs.
static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi);

pub(in crate::api::rest) async fn show() -> Response {
    error::json(StatusCode::OK, &*DOCUMENT)
}

/// Returns the `OpenAPI` 3.1 document of the REST API.
#[must_use]
pub fn openapi() -> Value {
    let [mut generator, mut requests] = generators();
    let mut paths = Map::new();
    for operation in operations() {
        let path = operation.path.replace("{*", "{");
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[operation.method] = describe(&operation, &mut generator, &mut requests);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "IPFS Cluster", "version": INTERFACE, "description": ABOUT },
        "security": [{ "basic": [] }, { "token": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

/// What makes the schemas of what is sent, and of what is read: that has fewer fields that must be there.
fn generators() -> [SchemaGenerator; 2] {
    let sent = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    // The names are taken by what is sent.
    let read = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    [sent, read].map(|settings| settings.with(|settings| settings.meta_schema = None).into_generator())
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator, requests: &mut SchemaGenerator) -> Value {
    let in_path = operation.path.split('/').filter_map(placeholder);
    let parameters: Vec<_> = in_path.chain(operation.parameters.iter().map(parameter)).collect();
    let mut document = json!({
        "operationId": operation.id,
        "summary": operation.about,
        "parameters": parameters,
        "responses": responses(operation, generator),
    });
    if let Some(body) = operation.body {
        document["requestBody"] = json!({ "required": true, "content": content(body, requests) });
    }
    if operation.is_open {
        document["security"] = json!([]);
    }
    if operation.is_old {
        document["deprecated"] = true.into();
    }
    document
}

/// The parameter that stands in a segment of a path.
fn placeholder(segment: &str) -> Option<Value> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    let about = match name {
        "hash" => "A CID.",
        "peer" => "A peer ID.",
        "*path" => "A path, slashes and all.",
        _ => "A name.",
    };
    let name = name.trim_start_matches('*');
    Some(json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string" } }))
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Number => json!({ "type": "integer" }),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
        Kind::Metadata => json!({
            "type": "object",
            "propertyNames": { "pattern": "^meta-." },
            "additionalProperties": { "type": "string" },
        }),
    };
    json!({ "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema })
}

fn responses(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for (status, about, shape) in &operation.answers {
        let mut response = json!({ "description": about });
        if !matches!(shape, Shape::Nothing) {
            response["content"] = content(*shape, generator);
        }
        if operation.parameters.iter().any(|parameter| parameter.name == "cursor") {
            let about = "Leads to the next page; there is none after the last.";
            response["headers"] = json!({ "X-Next-Cursor": { "description": about, "schema": { "type": "string" } } });
        }
        responses.insert(status.to_string(), response);
    }
    let error = content(Shape::One(SchemaGenerator::subschema_for::<Error>), generator);
    responses.insert("default".into(), json!({ "description": "What went wrong.", "content": error }));
    responses.into()
}

fn content(shape: Shape, generator: &mut SchemaGenerator) -> Value {
    let (kind, schema) = match shape {
        Shape::Nothing => return json!({}),
        Shape::One(describe) | Shape::Lines(describe) => ("application/json", describe(generator).into()),
        Shape::Events(describe) => ("text/event-stream", describe(generator).into()),
        Shape::Bytes => ("application/octet-stream", json!({})),
    };
    json!({ kind: { "schema": schema } })
}
