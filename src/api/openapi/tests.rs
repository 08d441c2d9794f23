use super::*;
use crate::api::routes;

#[test]
fn every_route_has_an_operation_and_every_operation_a_route() {
    let operations: BTreeMap<String, Operation> = serde_json::from_str(OPERATIONS).unwrap();
    let described: Vec<&String> = operations.keys().collect();
    let mut routed: Vec<String> = routes::all().iter().map(key).collect();
    routed.sort();
    assert_eq!(described, routed.iter().collect::<Vec<_>>(), "say in operations.json what each route does");
    let in_paths: usize =
        build(routes::all(), "", false).unwrap()["paths"].as_object().unwrap().values().map(methods).sum();
    assert_eq!(in_paths, routed.len());
}

fn methods(path: &Value) -> usize {
    path.as_object().unwrap().len()
}

#[test]
fn operations_take_a_body_exactly_where_their_route_reads_one() {
    let operations: BTreeMap<String, Operation> = serde_json::from_str(OPERATIONS).unwrap();
    for route in routes::all() {
        let operation = &operations[&key(route)];
        assert!(operation.body.is_none() || route.takes_body(), "{} takes no body", key(route));
    }
    let mut ids: Vec<&str> = operations.values().map(|operation| operation.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), operations.len(), "operation ids are unique");
}

#[test]
fn named_schemas_exist_and_existing_schemas_are_named() {
    let document = build(routes::all(), "", false).unwrap();
    let mut named = std::collections::BTreeSet::new();
    references(&document, &mut named);
    let there: std::collections::BTreeSet<String> = document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
        .map(|name| format!("#/components/schemas/{name}"))
        .collect();
    assert_eq!(named, there);
}

fn references(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// The list is read from the source, because an enum cannot be iterated.
#[test]
fn every_event_type_is_described() {
    let source = include_str!("../../event/mod.rs");
    let arms = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    let arms = arms.filter(|(variant, _)| variant.ends_with("{ .. }") || variant.ends_with("(_)"));
    let mut reported: Vec<&str> = arms.map(|(_, name)| name.trim_end_matches("\",")).collect();
    reported.sort_unstable();
    let events: BTreeMap<String, SchemaObject> = serde_json::from_str(EVENTS).unwrap();
    assert_eq!(reported, events.keys().map(String::as_str).collect::<Vec<_>>());
}
