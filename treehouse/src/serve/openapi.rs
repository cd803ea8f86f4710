//! `/openapi.json`: OpenAPI 3.1 of the routes that exist, with the schemas of what they answer.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::api::{Energy, Policies, Power, Workloads};
use super::problem::Problem;
use crate::intensity::IntensityNow;

/// One route that answers JSON.
struct Route {
    path: &'static str,
    summary: &'static str,
    parameters: Value,
    schema: Value,
    problems: &'static [u16],
}

/// The whole document.
pub(super) fn document() -> Value {
    let mut generator =
        SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into()).into_generator();
    let problem = reference::<Problem>(&mut generator);
    let mut paths = Map::new();
    for route in routes(&mut generator) {
        let mut responses = Map::new();
        responses.insert("200".into(), content("application/json", &route.schema));
        for status in route.problems {
            responses.insert(status.to_string(), content("application/problem+json", &problem));
        }
        let mut operation = json!({ "summary": route.summary, "parameters": route.parameters, "responses": responses });
        if route.problems.contains(&401) {
            operation["security"] = either_way();
        }
        paths.insert(route.path.into(), json!({ "get": operation }));
    }
    for (path, summary, kind) in [
        ("/metrics", "Every metric, as Prometheus text 0.0.4 or OpenMetrics 1.0 by the Accept header", "text/plain"),
        ("/healthz", "The daemon measures", "text/plain"),
        ("/readyz", "The first interval is closed", "text/plain"),
        ("/", "The web page", "text/html"),
        ("/openapi.json", "This document", "application/json"),
    ] {
        let schema = if kind == "application/json" { json!({ "type": "object" }) } else { json!({ "type": "string" }) };
        let mut responses = Map::new();
        responses.insert("200".into(), content(kind, &schema));
        let refusals: &[&str] = match path {
            "/metrics" => &["401", "403"],
            "/healthz" | "/readyz" => &["503"],
            _ => &[],
        };
        for &status in refusals {
            responses.insert(status.into(), content("application/problem+json", &problem));
        }
        let mut operation = json!({ "summary": summary, "responses": responses });
        if path == "/metrics" {
            operation["security"] = either_way();
        }
        paths.insert(path.into(), json!({ "get": operation }));
    }
    paths.insert("/v1/policies/{policy}/decide".into(), decide(&problem));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Treehouse",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Energy and carbon of this machine and of what runs on it. Energies count from the start of the daemon and stand at the last closed interval. Over TCP without a token: the whole host in whole millijoules, one new value a second (\"quality\": \"coarsened\"). Over the Unix socket: each user's own in the same way; everything to the microjoule (\"quality\": \"fine\") for root, the daemon's own user and members of serve.trusted_group. With the token of serve.raw_token_file: everything, over both.",
            "license": { "name": "MIT OR Apache-2.0" }
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "raw": { "type": "http", "scheme": "bearer", "description": "the token of serve.raw_token_file" } }
        }
    })
}

fn routes(generator: &mut SchemaGenerator) -> Vec<Route> {
    let query = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema });
    let uid = query(
        "uid",
        "one user's energy alone; another's than the caller's needs a privilege",
        json!({ "type": "integer", "minimum": 0 }),
    );
    let none = json!([]);
    let cuts = json!({ "type": "string", "enum": ["partition", "process", "cgroup", "container", "span", "payer"] });
    vec![
        Route {
            path: "/v1/energy",
            summary: "Energy of the machine and of each domain, or of one user",
            parameters: json!([uid]),
            schema: reference::<Energy>(generator),
            problems: &[400, 401, 403, 422],
        },
        Route {
            path: "/v1/workloads",
            summary: "Who used it; the rows sum to the host",
            parameters: json!([query("by", "another cut of the same energy", cuts), uid]),
            schema: reference::<Workloads>(generator),
            problems: &[400, 401, 403, 422],
        },
        Route {
            path: "/v1/intensity",
            summary: "The grid intensity in force",
            parameters: json!([query(
                "zone",
                "a zone such as GB or US-CISO; the daemon's own without it",
                json!({ "type": "string" })
            )]),
            schema: reference::<IntensityNow>(generator),
            problems: &[400, 404, 503],
        },
        Route {
            path: "/v1/power",
            summary: "Mean power of each ten seconds of the last fifteen minutes",
            parameters: none.clone(),
            schema: reference::<Power>(generator),
            problems: &[401, 403],
        },
        Route {
            path: "/v1/sources",
            summary: "Every source tried, and what to do where one does not answer",
            parameters: none.clone(),
            schema: json!({ "type": "object", "required": ["host_cover", "sources"] }),
            problems: &[],
        },
        Route {
            path: "/v1/policies",
            summary: "The policies that can decide",
            parameters: none,
            schema: reference::<Policies>(generator),
            problems: &[],
        },
    ]
}

/// Without a token, or with one.
fn either_way() -> Value {
    json!([{}, { "raw": [] }])
}

fn decide(problem: &Value) -> Value {
    let names: Vec<&str> = integrations::policies().iter().map(|p| p.name).collect();
    let mut inputs = Vec::new();
    for name in &names {
        inputs.extend(integrations::example_json(name).ok().map(|example| json!({ "summary": name, "value": example })));
    }
    let examples: Map<String, Value> = names.iter().map(ToString::to_string).zip(inputs).collect();
    json!({ "post": {
        "summary": "One decision from a JSON view",
        "parameters": [{ "name": "policy", "in": "path", "required": true, "schema": { "type": "string", "enum": names } }],
        "requestBody": { "required": true, "content": { "application/json": { "schema": { "type": "object", "required": ["view"] }, "examples": examples } } },
        "responses": {
            "200": content("application/json", &json!({ "type": "object", "required": ["decision_id", "policy", "action", "why"] })),
            "400": content("application/problem+json", problem),
            "404": content("application/problem+json", problem),
            "422": content("application/problem+json", problem)
        }
    } })
}

fn content(kind: &str, schema: &Value) -> Value {
    json!({ "description": kind, "content": { kind: { "schema": schema } } })
}

fn reference<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let mut rest = text.as_str();
        let mut seen = 0;
        while let Some(at) = rest.find("\"$ref\":\"#") {
            rest = &rest[at + 9..];
            let end = rest.find('"').unwrap();
            assert!(document.pointer(&rest[..end]).is_some(), "{}", &rest[..end]);
            seen += 1;
        }
        assert!(seen >= 5, "{seen}");
    }
}
