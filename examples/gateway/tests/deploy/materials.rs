//! `packaging/sbom`: the crates that are in the program, and no others.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::root;

fn sbom(program: &str) -> Output {
    Command::new("python3").arg(root().join("packaging/sbom")).arg(program).output().unwrap()
}

fn names<'a>(of: &'a Value, key: &str) -> BTreeSet<&'a str> {
    of.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect()
}

#[test]
fn each_crate_of_the_program_is_listed_with_licence_and_checksum() {
    let output = sbom("edge-gateway");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bill: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((bill["bomFormat"].as_str(), bill["specVersion"].as_str()), (Some("CycloneDX"), Some("1.5")));
    assert_eq!(bill["metadata"]["component"]["name"], "edge-gateway");
    let components = names(&bill["components"], "name");
    for needed in ["edge-queue", "edge-bridge", "rustls", "ring", "tokio"] {
        assert!(components.contains(needed), "{needed}");
    }
    // Of the tests, of a macro, of other programs of the repository.
    for other in ["tempfile", "serde_derive", "redb", "zstd-sys"] {
        assert!(!components.contains(other), "{other}");
    }
    for component in bill["components"].as_array().unwrap() {
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
        let is_ours = root().join(component["name"].as_str().unwrap()).is_dir()
            || root().join("examples").read_dir().unwrap().any(|dir| {
                let manifest = dir.unwrap().path().join("Cargo.toml");
                let name = format!("name = {}\n", component["name"]);
                std::fs::read_to_string(manifest).is_ok_and(|text| text.contains(&name))
            });
        let checksum = component["hashes"][0]["content"].as_str();
        assert_eq!(checksum.map(str::len), (!is_ours).then_some(64), "{component}");
    }
    let refs: BTreeSet<&str> = names(&bill["dependencies"], "ref");
    assert_eq!(refs.len(), bill["components"].as_array().unwrap().len() + 1);
    for one in bill["dependencies"].as_array().unwrap() {
        let needs = one["dependsOn"].as_array().unwrap();
        assert!(needs.iter().all(|need| refs.contains(need.as_str().unwrap())), "{one}");
    }
    assert_eq!(output.stdout, sbom("edge-gateway").stdout);
}

#[test]
fn a_program_that_is_not_here_has_none() {
    let output = sbom("nothing");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("packaging/sbom: cargo failed\n"));
}

/// Writes a script by another process: what is open for writing in a child of another test cannot be run.
fn script(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut child = install.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// An empty manifest would take away what the one before has made.
#[test]
fn a_stage_that_fails_leaves_the_manifest_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let [image, stage] = ["an image.tar", "a stage"].map(|name| dir.path().join(name));
    let kubectl = dir.path().join("kubectl");
    let run = |image: &Path, text: &str| {
        script(&kubectl, text);
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(root().join("examples/deploy/k3s/stage"));
        command.arg("plant-east-01").args([image, &stage]).env("PATH", path).output().unwrap()
    };
    let manifest = stage.join("server/manifests/edge-gateway.yaml");
    let good = "#!/bin/sh\necho kind: Namespace\n";
    assert!(!run(&image, good).status.success() && !manifest.exists(), "there is no image");
    std::fs::write(&image, "image").unwrap();
    let output = run(&image, good);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read(stage.join("agent/images/edge-gateway.tar")).unwrap(), b"image");
    let packed = dir.path().join("an image.tar.zst");
    std::fs::write(&packed, "packed").unwrap();
    assert!(run(&packed, good).status.success());
    assert_eq!(std::fs::read(stage.join("agent/images/edge-gateway.tar.zst")).unwrap(), b"packed");
    assert!(!stage.join("agent/images/edge-gateway.tar").exists(), "K3s would import both");
    assert_eq!(run(&kubectl, good).status.code(), Some(2), "no archive by its name");
    assert!(!run(&image, "#!/bin/sh\necho kind: Nam\nexit 1\n").status.success());
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), "kind: Namespace\n");
    let left: Vec<_> = std::fs::read_dir(stage.join("server/manifests")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "K3s applies whatever is there: {left:?}");
}

/// A path that was meant for something else is no socket that a killed signer left.
#[test]
fn a_signer_removes_no_file_that_is_no_socket() {
    let dir = tempfile::tempdir().unwrap();
    script(
        &dir.path().join("pkcs11-tool"),
        "#!/bin/sh\nwhile [ \"$1\" != --output-file ]; do shift; done; echo key > \"$2\"\n",
    );
    let file = dir.path().join("key.pem");
    std::fs::write(&file, "precious").unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let mut signer = Command::new("timeout");
    signer.args(["10", "python3"]).arg(root().join("examples/deploy/signer-pkcs11.py"));
    let output = signer.args(["module", "token", "01"]).arg(&file).env("PATH", path).output().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), "precious");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // It went as far as the socket.
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use"), "{output:?}");
}
