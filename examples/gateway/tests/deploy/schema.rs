//! Schemas of Kubernetes and of the custom resources, as far as the manifests use them (`schemas.md` says where they are from).

use serde_json::Value;

use crate::yaml::{self, Yaml};
use crate::{deploy, documents, files, read};

/// Kinds without a schema: of programs that read the file themselves, and of Flux.
const WITHOUT: [&str; 3] = [
    "kustomize.config.k8s.io/v1beta1/Kustomization",
    "kustomize.toolkit.fluxcd.io/v1/Kustomization",
    "source.toolkit.fluxcd.io/v1/GitRepository",
];

/// Returns what a value breaks of its schema, each with its place.
fn breaches(schema: &Value, value: &Yaml, place: &str, found: &mut Vec<String>) {
    let kind = schema["type"].as_str();
    let fits = match (kind, value) {
        (None, _) | (Some("object"), Yaml::Map(_)) | (Some("array"), Yaml::List(_)) => true,
        (Some("string"), Yaml::Text(_)) => true,
        (Some("integer"), Yaml::Text(text)) => text.parse::<i64>().is_ok(),
        (Some("boolean"), Yaml::Text(text)) => matches!(text.as_str(), "true" | "false"),
        _ => false,
    };
    if !fits {
        found.push(format!("{place} is no {}", kind.unwrap_or_default()));
    }
    if let (Some(allowed), Yaml::Text(text)) = (schema["enum"].as_array(), value)
        && !allowed.iter().any(|one| one == text.as_str())
    {
        found.push(format!("{place}: {text} is none of {allowed:?}"));
    }
    match value {
        Yaml::Map(pairs) => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for missing in required.filter(|name| !pairs.iter().any(|(known, _)| known == name)) {
                found.push(format!("{place} has no {missing}"));
            }
            for (name, value) in pairs {
                let place = format!("{place}.{name}");
                match (schema["properties"].get(name), schema.get("additionalProperties")) {
                    (Some(own), _) => breaches(own, value, &place, found),
                    (None, Some(any)) => breaches(any, value, &place, found),
                    (None, None) if schema["properties"].is_object() => {
                        found.push(format!("{place} is not known"));
                    }
                    (None, None) => {}
                }
            }
        }
        Yaml::List(items) => {
            for (at, item) in items.iter().enumerate() {
                breaches(&schema["items"], item, &format!("{place}[{at}]"), found);
            }
        }
        Yaml::Text(_) => {}
    }
}

/// Returns what an object breaks of the schema of its kind.
pub(crate) fn breaches_of(object: &Yaml) -> Vec<String> {
    let schemas: Value = serde_json::from_str(include_str!("schemas.json")).unwrap();
    let name = format!("{}/{}", object.text("apiVersion"), object.text("kind"));
    let mut found = Vec::new();
    match schemas.get(&name) {
        Some(schema) => breaches(schema, object, object.text("kind"), &mut found),
        None if WITHOUT.contains(&name.as_str()) => {}
        None => found.push(format!("there is no schema of {name}")),
    }
    found
}

#[test]
fn every_object_fits_the_schema_of_its_kind() {
    let mut seen = 0;
    for path in files(&deploy(), ".yaml").iter().filter(|path| !path.ends_with("fleet/fleet.yaml")) {
        for object in documents(path) {
            assert_eq!(breaches_of(&object), Vec::<String>::new(), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 18, "{seen}");
}

#[test]
fn each_breach_of_a_schema_is_found() {
    let text = read(deploy().join("base/statefulset.yaml"));
    let found = |text: &str| breaches_of(&yaml::parse(text).unwrap().remove(0));
    assert_eq!(found(&text), Vec::<String>::new());
    for (from, to, breach) in [
        ("replicas: 1", "replicas: one", "StatefulSet.spec.replicas is no integer"),
        ("replicas: 1", "replica: 1", "StatefulSet.spec.replica is not known"),
        (
            "runAsNonRoot: true",
            "runAsNonRoot: yes",
            "StatefulSet.spec.template.spec.securityContext.runAsNonRoot is no boolean",
        ),
        ("serviceName: ", "servicename: ", "StatefulSet.spec.servicename is not known"),
        ("  selector:", "  selectors:", "StatefulSet.spec has no selector"),
        ("apiVersion: apps/v1", "apiVersion: apps/v2", "there is no schema of apps/v2/StatefulSet"),
    ] {
        assert!(text.contains(from), "{from}");
        let found = found(&text.replacen(from, to, 1));
        assert!(found.iter().any(|one| one == breach), "{to}: {found:?}");
    }
    let set = read(deploy().join("argocd/applicationset.yaml"));
    let set = breaches_of(&yaml::parse(&set.replacen("generators:", "generator:", 1)).unwrap().remove(0));
    assert!(set.contains(&"ApplicationSet.spec.generator is not known".to_owned()), "{set:?}");
}
