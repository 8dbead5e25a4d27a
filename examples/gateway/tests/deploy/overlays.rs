//! Overlays as a cluster gets them: rendered by the few rules of kustomize that they use, and by `kubectl kustomize` where it is installed.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use crate::policy::breaches;
use crate::yaml::{self, Yaml};
use crate::{RENDERED, deploy, documents, read, schema, site_info};

/// Keys of a kustomization that are rendered here; another one would be left out without a word.
const KEYS: [&str; 7] =
    ["apiVersion", "kind", "namespace", "resources", "configMapGenerator", "images", "patches"];

/// What is rendered here is the test; what `kubectl` renders is compared with it, and a line says of how many overlays.
#[test]
fn overlays_keep_the_rules_as_they_are_rendered() {
    let mut compared = 0;
    for (of, folder) in RENDERED {
        let dir = deploy().join(of);
        let own = rendered(&dir);
        keeps_the_rules(of, folder, &own);
        match Command::new("kubectl").arg("kustomize").arg(&dir).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            output => {
                let output = output.unwrap();
                assert!(output.status.success(), "{of}: {}", String::from_utf8_lossy(&output.stderr));
                let theirs = yaml::parse(&String::from_utf8(output.stdout).unwrap()).unwrap();
                assert_eq!(comparable(&own), comparable(&theirs), "{of}: own left, kubectl's right");
                keeps_the_rules(of, folder, &theirs);
                compared += 1;
            }
        }
    }
    println!("executed overlays rendered by kubectl, too: {compared} cases");
    if compared == 0 {
        println!(
            "kubectl is not installed: that its rendering is the one that was tested here, nothing has shown"
        );
    }
}

fn keeps_the_rules(of: &str, folder: &str, objects: &[Yaml]) {
    for object in objects {
        assert_eq!([breaches(object), schema::breaches_of(object)].concat(), Vec::<String>::new(), "{of}");
    }
    // Behind the name of a generated ConfigMap `kubectl` writes a hash.
    let find = |kind: &str, name: &str| {
        let is_it = |object: &&Yaml| {
            let found = object.text("metadata.name");
            object.text("kind") == kind && (found == name || found.starts_with(&format!("{name}-")))
        };
        objects.iter().find(is_it).unwrap_or_else(|| panic!("{of}: no {kind} {name}"))
    };
    let Yaml::Map(labels) = find("Namespace", "iot-edge").at("metadata.labels") else { panic!("{of}") };
    let label = |end: &str| {
        let named = |name: &str| name == format!("pod-security.kubernetes.io/{end}");
        labels.iter().find(|(name, _)| named(name)).map(|(_, value)| value.text(""))
    };
    let has_mosquitto = of == "beside-mosquitto" || folder == "clusters/plant-east-02";
    let enforced = if has_mosquitto { "privileged" } else { "restricted" };
    assert_eq!((label("enforce"), label("warn")), (Some(enforced), Some("restricted")), "{of}");
    let image = find("StatefulSet", "edge-gateway").text("spec.template.spec.containers.0.image");
    assert!(image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{of}: {image}");
    let Yaml::Map(data) = find("ConfigMap", "edge-gateway").at("data") else { panic!("{of}") };
    assert_eq!(data[0].1.text(""), read(deploy().join(folder).join("gateway.toml")), "{of}");
    let info = find("ConfigMap", "site-info");
    site_info(of)
        .iter()
        .for_each(|(name, value)| assert_eq!(info.text(&format!("data.{name}")), value, "{of}"));
}

/// Renders a kustomization: resources, generated ConfigMaps, images, and patches that replace a value.
fn rendered(dir: &Path) -> Vec<Yaml> {
    let made = documents(&dir.join("kustomization.yaml")).remove(0);
    let Yaml::Map(pairs) = &made else { panic!("{}", dir.display()) };
    pairs.iter().for_each(|(key, _)| assert!(KEYS.contains(&key.as_str()), "{}: {key}", dir.display()));
    let mut objects = Vec::new();
    for resource in made.texts("resources") {
        let path = dir.join(resource);
        objects.extend(if path.is_dir() { rendered(&path) } else { documents(&path) });
    }
    made.items("configMapGenerator").iter().for_each(|generator| generate(dir, generator, &mut objects));
    made.items("images").iter().for_each(|image| name_images(image, &mut objects));
    made.items("patches").iter().for_each(|patch| apply(patch, &mut objects));
    objects
}

fn text(text: &str) -> Yaml {
    Yaml::Text(text.to_owned())
}

fn map(pairs: impl IntoIterator<Item = (&'static str, Yaml)>) -> Yaml {
    Yaml::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Returns the value below a path of keys, to be changed.
fn at<'a>(object: &'a mut Yaml, path: &[String]) -> &'a mut Yaml {
    path.iter().fold(object, |value, key| match value {
        Yaml::Map(pairs) => &mut pairs.iter_mut().find(|(known, _)| known == key).expect(key).1,
        Yaml::List(items) => items.get_mut(key.parse::<usize>().expect(key)).expect(key),
        Yaml::Text(_) => panic!("nothing below {key}"),
    })
}

/// Makes a ConfigMap, replaces one, or merges into one.
fn generate(dir: &Path, generator: &Yaml, objects: &mut Vec<Yaml>) {
    let files =
        generator.texts("files").into_iter().map(|file| (file.to_owned(), text(&read(dir.join(file)))));
    let mut data: Vec<(String, Yaml)> = files.collect();
    for file in generator.texts("envs") {
        let lines = read(dir.join(file));
        let pairs =
            lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        data.extend(pairs.map(|(name, value)| (name.to_owned(), text(value))));
    }
    let name = generator.text("name");
    let is_it =
        |object: &&mut Yaml| object.text("kind") == "ConfigMap" && object.text("metadata.name") == name;
    let known = objects.iter_mut().find(is_it).map(|object| at(object, &["data".to_owned()]));
    match (generator.text("behavior"), known) {
        ("", None) => objects.push(map([
            ("apiVersion", text("v1")),
            ("kind", text("ConfigMap")),
            ("metadata", map([("name", text(name))])),
            ("data", Yaml::Map(data)),
        ])),
        ("replace", Some(known)) => *known = Yaml::Map(data),
        ("merge", Some(Yaml::Map(known))) => {
            known.retain(|(name, _)| data.iter().all(|(own, _)| own != name));
            known.extend(data);
        }
        (behavior, known) => panic!("{name}: {behavior} of {known:?}"),
    }
}

fn name_images(image: &Yaml, objects: &mut [Yaml]) {
    let path = ["spec", "template", "spec", "containers"].map(str::to_owned);
    for object in
        objects.iter_mut().filter(|object| !object.items("spec.template.spec.containers").is_empty())
    {
        let Yaml::List(containers) = at(object, &path) else { panic!("{object:?}") };
        for container in containers.iter_mut().filter(|one| one.text("image") == image.text("name")) {
            let named = format!("{}:{}", image.text("newName"), image.text("newTag"));
            *at(container, &["image".to_owned()]) = Yaml::Text(named);
        }
    }
}

/// Replaces values in the one object that a patch is for (RFC 6902).
fn apply(patch: &Yaml, objects: &mut [Yaml]) {
    let (kind, name) = (patch.text("target.kind"), patch.text("target.name"));
    let is_it = |object: &&mut Yaml| object.text("kind") == kind && object.text("metadata.name") == name;
    let object = objects.iter_mut().find(is_it).unwrap_or_else(|| panic!("no {kind} {name} to be patched"));
    let Yaml::List(steps) = yaml::parse(patch.text("patch")).unwrap().remove(0) else { panic!("{patch:?}") };
    for step in steps {
        assert_eq!(step.text("op"), "replace", "{patch:?}");
        let keys = step.text("path").split('/').skip(1);
        let keys: Vec<String> = keys.map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
        *at(object, &keys) = step.at("value").clone();
    }
}

/// Returns objects as both ways show them: sorted, without the namespace, which kustomize writes into each, and without the hashes of generated names.
fn comparable(objects: &[Yaml]) -> Vec<String> {
    let generated = objects.iter().filter(|object| object.text("kind") == "ConfigMap");
    let generated: Vec<&str> = generated.map(|object| object.text("metadata.name")).collect();
    let mut all: Vec<String> = objects.iter().map(|object| sorted(object, &generated, "")).collect();
    all.sort();
    all
}

fn sorted(value: &Yaml, generated: &[&str], path: &str) -> String {
    match value {
        Yaml::Map(pairs) => {
            let below = |key: &str| format!("{path}.{key}");
            let mut lines: Vec<String> = pairs
                .iter()
                .filter(|(key, _)| below(key) != ".metadata.namespace")
                .map(|(key, value)| format!("{key}: {}", sorted(value, generated, &below(key))))
                .collect();
            lines.sort();
            format!("{{{}}}", lines.join(",\n"))
        }
        Yaml::List(items) => {
            let items: Vec<String> = items.iter().map(|item| sorted(item, generated, path)).collect();
            format!("[{}]", items.join(",\n"))
        }
        Yaml::Text(text) if path.ends_with(".name") && generated.contains(&text.as_str()) => {
            let hash = text.rsplit_once('-').filter(|(_, end)| end.len() == 10);
            format!("{:?}", hash.map_or(text.as_str(), |(name, _)| name))
        }
        // A file's mode, which is octal in YAML 1.1.
        Yaml::Text(text) if path.ends_with("Mode") && text.starts_with('0') => {
            format!("{:?}", u32::from_str_radix(text, 8).unwrap().to_string())
        }
        Yaml::Text(text) => format!("{text:?}"),
    }
}
