//! The document says what the router does.
use std::collections::BTreeSet;

use serde_json::Value;

use super::super::super::routes::{RestOptions, paths};
use super::super::super::tests::{answer, api, ask, fault, text};
use super::openapi;
use crate::api::Credentials;

/// What stands for a CID, and is answered as a bad one: these are no routes of their own.
const NO_CIDS: [&str; 4] = ["get /pins/recover", "get /pins/sync", "post /pins/counts", "delete /pins/counts"];

fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect()
}

/// Methods that the router answers at a path by itself.
async fn answered(path: &str) -> Vec<&'static str> {
    let (router, _) = api(&RestOptions::default());
    let uri = path.replace("{hash}", "x").replace("{peer}", "x").replace("{name}", "x").replace("{path}", "x");
    let mut methods = Vec::new();
    for method in ["get", "post", "put", "delete", "patch", "head", "options"] {
        let answer = text(ask(&router, &format!("{} {uri}", method.to_uppercase())).await).await;
        if answer.0 != 405 && answer != fault(404, "not found") {
            methods.push(method);
        }
    }
    methods
}

#[tokio::test]
async fn every_route_is_in_the_document_and_the_other_way_round() {
    let mut routes = BTreeSet::new();
    for path in paths() {
        let path = path.replace("{*", "{");
        let methods = answered(&path).await;
        assert!(!methods.is_empty(), "{path}");
        routes.extend(methods.into_iter().map(|method| format!("{method} {path}")));
    }
    for odd in NO_CIDS {
        assert!(routes.remove(odd), "{odd}");
    }
    assert_eq!(operations(&openapi()), routes);
}

#[test]
fn ids_are_unique_and_references_lead_somewhere() {
    let document = openapi();
    let text = document.to_string();
    let ids = text.matches("\"operationId\":\"").count();
    let unique: BTreeSet<&str> =
        text.split("\"operationId\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!((unique.len(), ids), (ids, operations(&document).len()));
    let mut references = 0;
    for rest in text.split("\"$ref\":\"#").skip(1) {
        assert!(document.pointer(rest.split('"').next().unwrap()).is_some(), "{}", &rest[..60]);
        references += 1;
    }
    assert!(references > 40, "{references}");
}

/// The document with objects that have no other fields than they say.
fn closed() -> Value {
    let mut document = openapi();
    let schemas = document["components"]["schemas"].as_object_mut().unwrap().values_mut();
    for schema in schemas.filter(|schema| schema.get("properties").is_some()) {
        schema["additionalProperties"] = false.into();
    }
    document
}

#[tokio::test]
async fn what_our_own_routes_answer_is_as_the_document_says() {
    const A: &str = "QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq";
    let document = closed();
    for (operation, query, status) in [
        ("get /pins/counts", "", 200),
        ("get /livez", "", 200),
        ("get /syncedz", "", 503),
        ("get /health/replication", "", 200),
        ("get /pins", "?limit=1", 200),
        ("get /allocations", "?limit=1", 200),
        ("post /pins/{hash}", "?wait=pinned", 200),
        ("post /pins/{hash}", "", 200),
        ("post /pins/{hash}", "?wait=x", 400),
        ("post /rebalance", "?dry-run=true", 200),
        ("post /rebalance", "?dry-run=x", 400),
    ] {
        let (method, path) = operation.split_once(' ').unwrap();
        let request = format!("{} {}{query}", method.to_uppercase(), path.replace("{hash}", A));
        let (found, body) = answer(&request).await;
        let responses = &document["paths"][path][method]["responses"];
        let response = responses.get(found.to_string()).unwrap_or(&responses["default"]);
        let schema = &response["content"]["application/json"]["schema"];
        let whole = serde_json::json!({ "allOf": [schema], "components": document["components"] });
        let validator = jsonschema::validator_for(&whole).unwrap();
        let documents: Vec<Value> = serde_json::Deserializer::from_str(&body).into_iter().map(Result::unwrap).collect();
        let faults = documents.iter().flat_map(|document| validator.iter_errors(document));
        let faults: Vec<_> = faults.map(|fault| fault.to_string()).collect();
        assert_eq!((found, faults), (status, vec![]), "{request}: {body}");
        assert!(!documents.is_empty(), "{request}");
        assert!(!validator.is_valid(&serde_json::json!({ "more": 1 })), "{request}");
    }
}

#[tokio::test]
async fn it_is_served_to_everybody_and_tells_nothing_of_the_peer() {
    let users = [("testuser".into(), "testpass".into())].into();
    let (router, _) = api(&RestOptions { credentials: Some(Credentials::new(&users)), ..RestOptions::default() });
    let (status, body) = text(ask(&router, "GET /openapi.json").await).await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document, openapi());
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(text(ask(&router, "GET /openapi.json/").await).await.0, 401);
    assert_eq!(answer("HEAD /openapi.json").await.0, 405);
}

#[test]
fn a_request_needs_fewer_fields_than_an_answer_has() {
    let document = openapi();
    let media = |body: &Value| body["content"]["application/json"]["schema"].clone();
    let pin = media(&document["paths"]["/pins"]["post"]["requestBody"]);
    assert_eq!((pin["properties"]["cid"].is_object(), pin["required"].is_null()), (true, true), "{pin}");
    assert_eq!(document["components"]["schemas"]["Pin"]["required"].as_array().unwrap().len(), 16);
}

#[test]
fn the_document_says_which_operations_need_no_password() {
    let document = openapi();
    let open = |path: &str| document["paths"][path]["get"]["security"] == serde_json::json!([]);
    for path in ["/health", "/livez", "/readyz", "/syncedz", "/openapi.json"] {
        assert!(open(path), "{path}");
    }
    assert!(!open("/id") && !open("/pins/{hash}"));
}
