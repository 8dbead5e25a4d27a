//! Rules for workloads at a plant, as a look at one object finds them broken.

use crate::yaml::Yaml;

/// A clean stop takes at most so long.
const STOP_S_MAX: u64 = 16;

/// A quantity of Kubernetes in MiB.
pub(crate) fn mebibytes(quantity: &str) -> Option<f64> {
    let (number, factor) = match (quantity.strip_suffix("Mi"), quantity.strip_suffix("Gi")) {
        (Some(number), _) => (number, 1.0),
        (None, Some(number)) => (number, 1024.0),
        (None, None) => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// Returns what an object breaks; nothing for one that neither runs nor reaches anything.
pub(crate) fn breaches(object: &Yaml) -> Vec<String> {
    if object.text("kind") == "Service" {
        return service_breaches(object);
    }
    if !matches!(object.text("kind"), "StatefulSet" | "Deployment" | "DaemonSet") {
        return Vec::new();
    }
    let pod = object.at("spec.template.spec");
    let mut rules = vec![
        ("one replica", object.text("spec.replicas") == "1"),
        // Else a pod that never gets ready keeps out the change that would mend it.
        ("mended while not ready", is_mended_while_not_ready(object)),
        ("non-root", pod.text("securityContext.runAsNonRoot") == "true"),
        ("uid 65532", pod.text("securityContext.runAsUser") == "65532"),
        ("seccomp", pod.text("securityContext.seccompProfile.type") == "RuntimeDefault"),
        ("no token of the cluster", pod.text("automountServiceAccountToken") == "false"),
        ("a priority", !pod.text("priorityClassName").is_empty()),
        (
            "time for a clean stop",
            pod.text("terminationGracePeriodSeconds").parse().is_ok_and(|s: u64| s > STOP_S_MAX),
        ),
        ("a container", !pod.items("containers").is_empty()),
        ("claims are kept", keeps_claims(object)),
    ];
    pod.items("containers").iter().for_each(|container| rules.extend(container_rules(container)));
    rules.into_iter().filter(|(_, is_kept)| !is_kept).map(|(rule, _)| rule.to_owned()).collect()
}

/// A pod that is not ready still serves its local clients, and refuses what it cannot keep: by name they reach it all the same.
fn service_breaches(service: &Yaml) -> Vec<String> {
    let is_of_clients = service.items("spec.ports").iter().any(|port| port.text("name") == "mqtt");
    let is_reached = service.text("spec.publishNotReadyAddresses") == "true";
    if is_of_clients && !is_reached { vec!["reached while not ready".to_owned()] } else { Vec::new() }
}

fn container_rules(container: &Yaml) -> Vec<(&'static str, bool)> {
    let has = |path: &str| !container.text(&format!("resources.{path}")).is_empty();
    let probe = |name: &str| container.text(&format!("{name}.httpGet.path"));
    let waits = |name: &str| container.text(&format!("{name}.timeoutSeconds")).parse::<u32>().unwrap_or(1);
    vec![
        // Without a tag it is kustomize's to say.
        ("no latest", !container.text("image").ends_with(":latest")),
        ("requests", has("requests.cpu") && has("requests.memory")),
        ("limits", has("limits.cpu") && has("limits.memory")),
        ("a read-only root", container.text("securityContext.readOnlyRootFilesystem") == "true"),
        ("no escalation", container.text("securityContext.allowPrivilegeEscalation") == "false"),
        ("no capabilities", container.texts("securityContext.capabilities.drop") == ["ALL"]),
        // Neither page depends on the WAN: a test of the gateway holds that.
        ("alive is that the writer makes progress", probe("livenessProbe") == "/healthz"),
        ("ready is that it can accept", probe("readinessProbe") == "/readyz"),
        // Each page waits three seconds for the queue before it says that this does not answer.
        (
            "probes wait longer than pages",
            ["livenessProbe", "readinessProbe"].iter().all(|name| waits(name) > 3),
        ),
    ]
}

/// A Deployment's pods are replaced whether or not they are ready.
fn is_mended_while_not_ready(object: &Yaml) -> bool {
    object.text("kind") != "StatefulSet" || object.text("spec.podManagementPolicy") == "Parallel"
}

/// Neither the set's end nor a tool that prunes takes the disks away.
fn keeps_claims(object: &Yaml) -> bool {
    let retained = ["whenDeleted", "whenScaled"]
        .map(|when| object.text(&format!("spec.persistentVolumeClaimRetentionPolicy.{when}")) == "Retain");
    let claims = object.items("spec.volumeClaimTemplates");
    let is_kept = |claim: &Yaml| match claim.at("metadata.annotations") {
        Yaml::Map(pairs) => pairs.iter().any(|(_, value)| value.text("") == "Prune=false,Delete=false"),
        _ => false,
    };
    retained == [true; 2] && !claims.is_empty() && claims.iter().all(is_kept)
}
