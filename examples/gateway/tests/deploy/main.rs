#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    missing_docs,
    reason = "test code"
)]
//! Files of `examples/deploy` and `packaging`: manifests that parse and keep the rules of a plant, configurations that the gateway accepts in the room
//! that they are given, units and packages that let it do what the docs say.

mod install;
mod materials;
mod overlays;
mod packages;
mod policy;
mod schema;
#[allow(unreachable_pub, reason = "a module of this test")]
mod yaml;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use policy::{breaches, mebibytes};
use yaml::Yaml;

/// Kustomizations, each with the folder of its gateway.toml.
const RENDERED: [(&str, &str); 5] = [
    ("base", "base"),
    ("instead-of-mosquitto", "base"),
    ("beside-mosquitto", "beside-mosquitto"),
    ("clusters/plant-east-01", "base"),
    ("clusters/plant-east-02", "clusters/plant-east-02"),
];
const UNITS: [&str; 2] = ["edge-gateway", "mqtt-bridge"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn deploy() -> PathBuf {
    root().join("examples/deploy")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn documents(path: &Path) -> Vec<Yaml> {
    yaml::parse(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn one(path: &str) -> Yaml {
    documents(&deploy().join(path)).remove(0)
}

#[test]
fn every_manifest_parses_and_names_files_that_are_there() {
    let manifests = files(&deploy(), ".yaml");
    assert!(manifests.len() >= 15, "{manifests:?}");
    for path in &manifests {
        for document in documents(path) {
            // fleet.yaml is none of Kubernetes.
            let is_object = !document.text("apiVersion").is_empty() && !document.text("kind").is_empty();
            assert!(is_object || path.ends_with("fleet/fleet.yaml"), "{}", path.display());
            let generators = document.items("configMapGenerator").iter();
            let made =
                generators.flat_map(|generator| [generator.texts("files"), generator.texts("envs")].concat());
            for named in document.texts("resources").into_iter().chain(made) {
                let there = path.parent().unwrap().join(named);
                assert!(there.exists(), "{}: {named}", path.display());
            }
        }
    }
}

#[test]
fn what_can_be_taken_for_two_things_does_not_parse() {
    for wrong in [
        "a: 1\na: 2",
        "a:\n\tb: 1",
        "a: b: c",
        "a: &x 1",
        "a: [1, 2",
        "a: {b: 1",
        "a: \"b",
        "a: 1\n  b: 2",
        "a: >\n  b",
    ] {
        assert!(yaml::parse(wrong).is_err(), "{wrong}");
    }
    let value = yaml::parse("a:\n- b: [1, {c: 'x # y'}]  # z\n  d: |\n    e # f\n\n    g\n-   h\ni: \"\"")
        .unwrap()
        .remove(0);
    assert_eq!(value.text("a.0.b.1.c"), "x # y");
    assert_eq!(
        (value.text("a.0.d"), value.text("a.1"), value.at("i")),
        ("e # f\n\ng\n", "h", &Yaml::Text(String::new()))
    );
}

#[test]
fn workloads_keep_the_rules_and_each_broken_rule_is_found() {
    let text = read(deploy().join("base/statefulset.yaml"));
    let found = |text: &str| breaches(&yaml::parse(text).unwrap().remove(0));
    assert_eq!(found(&text), Vec::<String>::new());
    for (from, to) in [
        ("image: edge-gateway", "image: edge-gateway:latest"),
        ("replicas: 1", "replicas: 2"),
        ("podManagementPolicy: Parallel", "podManagementPolicy: OrderedReady"),
        ("cpu: 500m, memory: 96Mi", "cpu: 500m"),
        ("requests: { cpu: 50m, memory: 32Mi }", "requests: { cpu: 50m }"),
        ("runAsNonRoot: true", "runAsNonRoot: false"),
        ("runAsUser: 65532", "runAsUser: 0"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
        ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
        ("drop: [ALL]", "drop: [NET_RAW]"),
        ("type: RuntimeDefault", "type: Unconfined"),
        ("path: /healthz", "path: /metrics"),
        ("timeoutSeconds: 5", "timeoutSeconds: 3"),
        ("httpGet: { path: /readyz, port: metrics }", "exec: { command: [ping, hub.example.com] }"),
        ("terminationGracePeriodSeconds: 20", "terminationGracePeriodSeconds: 5"),
        ("priorityClassName: edge-data", "schedulerName: x"),
        ("whenDeleted: Retain", "whenDeleted: Delete"),
        ("Prune=false,Delete=false", "Prune=true"),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text, "{from}");
        assert_eq!(found(&broken).len(), 1, "{to}: {:?}", found(&broken));
    }
    for path in files(&deploy(), ".yaml") {
        documents(&path).iter().for_each(|document| assert_eq!(breaches(document), Vec::<String>::new()));
    }
}

#[test]
fn local_clients_reach_a_gateway_that_is_not_ready() {
    let found = |text: &str| breaches(&yaml::parse(text).unwrap().remove(0));
    for path in ["base/service.yaml", "instead-of-mosquitto/service.yaml"] {
        let text = read(deploy().join(path));
        assert_eq!(found(&text), Vec::<String>::new(), "{path}");
        let broken = text.replacen("publishNotReadyAddresses: true", "publishNotReadyAddresses: false", 1);
        assert_eq!(found(&broken), ["reached while not ready"], "{path}");
    }
}

/// The image is that of this version, and the namespace stays when Git has it no more.
#[test]
fn the_image_has_this_version_and_the_namespace_is_not_pruned() {
    assert_eq!(one("base/kustomization.yaml").text("images.0.newTag"), env!("CARGO_PKG_VERSION"));
    let namespace = one("base/namespace.yaml");
    let Yaml::Map(annotations) = namespace.at("metadata.annotations") else { panic!("{namespace:?}") };
    let value =
        |name: &str| annotations.iter().find(|(known, _)| known == name).map(|(_, value)| value.text(""));
    assert_eq!(value("argocd.argoproj.io/sync-options"), Some("Prune=false,Delete=false"));
    assert_eq!(value("kustomize.toolkit.fluxcd.io/prune"), Some("disabled"));
    assert_eq!(one("fleet/gitrepo.yaml").text("spec.keepResources"), "true");
    assert_eq!(one("argocd/applicationset.yaml").text("spec.syncPolicy.preserveResourcesOnDeletion"), "true");
}

/// `namespace` would have Fleet refuse what belongs to none, and Helm does not take over by itself what it made before.
#[test]
fn fleet_takes_what_belongs_to_no_namespace() {
    let cluster_scoped = ["base/namespace.yaml", "base/priorityclass.yaml"];
    let base = one("base/kustomization.yaml");
    for path in cluster_scoped {
        assert!(base.texts("resources").contains(&path.trim_start_matches("base/")), "{path}");
    }
    let fleet = one("fleet/fleet.yaml");
    assert_eq!((fleet.text("namespace"), fleet.text("defaultNamespace")), ("", "iot-edge"));
    assert_eq!(fleet.text("helm.takeOwnership"), "true");
}

/// The site's Mosquitto, which is no work of ours, has its pod in the namespace.
#[test]
fn beside_a_mosquitto_the_namespace_refuses_no_pod() {
    let label = "path: /metadata/labels/pod-security.kubernetes.io~1enforce\n";
    let namespace = read(deploy().join("base/namespace.yaml"));
    assert!(namespace.contains("    pod-security.kubernetes.io/enforce: restricted\n"), "{namespace}");
    let made = one("beside-mosquitto/kustomization.yaml");
    let patch = made.items("patches").iter().find(|patch| patch.text("target.kind") == "Namespace").unwrap();
    assert_eq!(patch.text("target.name"), one("base/namespace.yaml").text("metadata.name"));
    assert_eq!(patch.text("patch"), format!("- op: replace\n  {label}  value: privileged\n"));
}

/// Out go names, time and the hub's port: nothing else of the gateway's pod.
#[test]
fn the_network_policy_lets_out_the_hub_names_and_time_alone() {
    let policy = one("base/networkpolicy.yaml");
    assert_eq!(policy.texts("spec.policyTypes"), ["Ingress", "Egress"]);
    let mut open = Vec::new();
    for rule in policy.items("spec.egress") {
        let to = rule.text("to.0.ipBlock.cidr");
        open.extend(rule.items("ports").iter().map(|port| (to, port.text("port"), port.text("protocol"))));
    }
    assert_eq!(
        open,
        [("203.0.113.0/24", "8883", ""), ("", "53", "UDP"), ("", "53", "TCP"), ("", "123", "UDP")]
    );
    for site in ["clusters/plant-east-01", "clusters/plant-east-02"] {
        let patch = one(&format!("{site}/kustomization.yaml"));
        assert!(patch.text("patches.0.patch").contains("path: /spec/egress/0/to/0/ipBlock/cidr\n"), "{site}");
    }
}

/// Variables of a site, as its pod has them.
fn site_info(of: &str) -> BTreeMap<String, String> {
    let own = deploy().join(of).join("site-info.env");
    let texts = [Some(read(deploy().join("base/site-info.env"))), fs::read_to_string(own).ok()];
    let lines: Vec<String> =
        texts.iter().flatten().flat_map(|text| text.lines().map(str::to_owned)).collect();
    lines
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A figure that `check` prints, in MiB.
fn figure(printed: &str, name: &str) -> f64 {
    let line = printed.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    let (amount, unit) = line.trim_start()[name.len()..].trim().split_once(' ').unwrap();
    assert!(unit.starts_with("MiB"), "{line}");
    amount.parse().unwrap()
}

/// A certificate, its key and its authority, where a pod has its secret.
fn hub_tls(dir: &Path) {
    let issuer = rcgen::generate_simple_self_signed(vec!["hub.example.com".to_owned()]).unwrap();
    let (certificate, key) = (issuer.cert.pem(), issuer.signing_key.serialize_pem());
    for (name, text) in [("ca.crt", &certificate), ("tls.crt", &certificate), ("tls.key", &key)] {
        fs::write(dir.join(name), text).unwrap();
    }
}

#[test]
fn every_site_s_configuration_is_accepted_and_has_the_room_that_check_names() {
    let set = one("base/statefulset.yaml");
    let memory = mebibytes(set.text("spec.template.spec.containers.0.resources.limits.memory")).unwrap();
    let storage = mebibytes(set.text("spec.volumeClaimTemplates.0.spec.resources.requests.storage")).unwrap();
    let tls = tempfile::tempdir().unwrap();
    hub_tls(tls.path());
    for (of, folder) in RENDERED {
        let made = one(&format!("{of}/kustomization.yaml"));
        let generators = made.items("configMapGenerator");
        let is_its_own = generators.iter().any(|generator| generator.texts("files") == ["gateway.toml"]);
        assert_eq!(is_its_own, of == folder, "{of}");
        let mut check = Command::new(env!("CARGO_BIN_EXE_edge-gateway"));
        check.arg("check").arg(deploy().join(folder).join("gateway.toml"));
        let mut info = site_info(of);
        // What only a site has; two sites of one name would throw each other out at the hub.
        let is_site = of.starts_with("clusters/");
        assert_eq!((info.contains_key("SITE_ID"), info.contains_key("HUB_URL")), (is_site, is_site), "{of}");
        check.env("HUB_TLS", tls.path());
        if !is_site {
            let nameless = check.envs(&info).output().unwrap();
            assert!(String::from_utf8_lossy(&nameless.stderr).contains("SITE_ID"), "{of}");
            assert_eq!(nameless.status.code(), Some(2), "{of}: a site that forgets its name does not start");
            info.insert("SITE_ID".to_owned(), "site".to_owned());
            info.insert("HUB_URL".to_owned(), "mqtts://hub.example.com:8883".to_owned());
        }
        // The hub has each gateway of a fleet, however sensors reach it.
        let text = read(deploy().join(folder).join("gateway.toml"));
        assert!(text.contains("[status]\nto_hub = true\n"), "{folder}");
        let id = info["SITE_ID"].clone();
        let output = check.envs(info).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{of}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(printed.starts_with(&format!("gateway       {id}\n")), "{of}: {printed}");
        // And the buffers of sockets, as for the unit above.
        assert!(figure(&printed, "RAM at most") + 32.0 <= memory, "{of}: {memory} MiB: {printed}");
        // And twice max_bytes when the hub first refuses a message.
        assert!(figure(&printed, "disk reserved") * 1.9 <= storage, "{of}: {storage} MiB: {printed}");
    }
}

/// `check` fails for an expired certificate, with which the gateway still stores; `parked` asks by a socket of the file system; the start is behind
/// nothing that may never come; the clock may be asked.
#[test]
fn the_units_start_whatever_is_found_and_leave_what_the_programs_need() {
    for name in UNITS {
        let unit = read(deploy().join(format!("systemd/{name}.service")));
        let of = |key: &str| unit.lines().filter_map(|line| line.strip_prefix(key)).collect::<Vec<_>>();
        // Without the simulations of the costs: nothing listens meanwhile.
        let is_short = |command: &&str| command.starts_with('-') && command.contains(" check --findings ");
        assert!(of("ExecStartPre=").iter().all(is_short), "{unit}");
        assert_eq!((of("StartLimitIntervalSec="), of("Restart=")), (vec!["0"], vec!["always"]), "{unit}");
        assert_eq!((of("Type="), of("WatchdogSec=")), (vec!["notify"], vec!["30"]), "{unit}");
        assert!(of("RestartPreventExitStatus=").is_empty() && of("ProtectClock=").is_empty(), "{unit}");
        assert!(of("SystemCallFilter=").last().unwrap().contains("adjtimex"), "{unit}");
        let families = of("RestrictAddressFamilies=").concat();
        assert!(families.split(' ').any(|family| family == "AF_UNIX"), "{unit}");
        let order = [of("After="), of("Wants="), of("Requires=")].concat().join(" ");
        assert!(!order.contains("network-online") && !order.contains("time-sync"), "{order}");
        assert_eq!((of("User="), of("StateDirectory=")), (vec![name], vec![name]));
    }
}

/// Three lines are to be changed; before that it listens on this machine alone.
#[test]
fn the_package_s_configuration_is_valid_and_names_what_is_to_be_changed() {
    let file = root().join("packaging/edge-gateway/gateway.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_edge-gateway")).arg("check").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = read(&file);
    assert_eq!(text.lines().filter(|line| !line.starts_with('#') && line.contains("# <-")).count(), 3);
    let listens: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("listen = ")).collect();
    assert!(
        listens.len() == 2 && listens.iter().all(|address| address.starts_with("\"127.0.0.1:")),
        "{listens:?}"
    );
}
