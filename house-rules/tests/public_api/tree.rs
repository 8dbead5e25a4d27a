//! Modules of a crate with their items, and the names that `use` brings into each.

use std::collections::BTreeMap;
use std::path::Path;

use syn::{Item, UseTree, Visibility};

/// Path of a module below the crate's root.
pub(crate) type ModulePath = Vec<String>;

/// Name that a module gives to a thing at another path. A glob has the name `*`.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    pub(crate) is_public: bool,
}

/// All modules of a crate but those of tests.
#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) modules: BTreeMap<ModulePath, Vec<Item>>,
    imports: BTreeMap<ModulePath, Vec<Import>>,
}

impl Tree {
    /// Reads a crate from its first file.
    pub(crate) fn read(lib: &Path) -> Tree {
        let mut tree = Tree::default();
        let children = lib.parent().unwrap().to_path_buf();
        tree.add(Vec::new(), parse(&std::fs::read_to_string(lib).unwrap()), Some(&children));
        tree
    }

    /// Makes a crate of modules' paths and sources.
    pub(crate) fn of(sources: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, source) in sources {
            let path = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            tree.add(path, parse(source), None);
        }
        tree
    }

    /// Adds a module and those within it; `folder` has the files of the latter.
    fn add(&mut self, path: ModulePath, items: Vec<Item>, folder: Option<&Path>) {
        for item in &items {
            let Item::Mod(module) = item else { continue };
            if is_of_tests(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let inner = [path.as_slice(), std::slice::from_ref(&name)].concat();
            let below = folder.map(|folder| folder.join(&name));
            if let Some((_, items)) = &module.content {
                self.add(inner, items.clone(), below.as_deref());
            } else if let Some(below) = below {
                let file =
                    [below.with_extension("rs"), below.join("mod.rs")].into_iter().find(|file| file.exists());
                let file = file.unwrap_or_else(|| panic!("no file of {}", below.display()));
                self.add(inner, parse(&std::fs::read_to_string(file).unwrap()), Some(&below));
            }
        }
        let mut imports = Vec::new();
        for item in &items {
            if let Item::Use(item) = item {
                leaves(&item.tree, &[], is_public(&item.vis), &mut imports);
            }
        }
        self.imports.insert(path.clone(), imports);
        self.modules.insert(path, items);
    }

    /// Returns what `use` brings into a module.
    pub(crate) fn imports(&self, module: &[String]) -> &[Import] {
        self.imports.get(module).map_or(&[], Vec::as_slice)
    }

    /// Returns the module and the name of a thing that a path in `module` stands for; `None` if it is of another crate.
    pub(crate) fn resolve(
        &self,
        module: &[String],
        path: &[String],
        depth: usize,
    ) -> Option<(ModulePath, String)> {
        let (name, parents) = path.split_last()?;
        if depth > 16 {
            return None;
        }
        let Some((first, rest)) = parents.split_first() else { return self.find(module, name, depth) };
        let mut at: ModulePath = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            child => self.module_named(module, child, depth)?,
        };
        for part in rest {
            at = match part.as_str() {
                "super" => at.split_last()?.1.to_vec(),
                child => self.module_named(&at, child, depth)?,
            };
        }
        self.find(&at, name, depth)
    }

    fn module_named(&self, module: &[String], name: &str, depth: usize) -> Option<ModulePath> {
        let inner = [module, &[name.to_owned()]].concat();
        if self.modules.contains_key(&inner) {
            return Some(inner);
        }
        let import = self.imports(module).iter().find(|import| import.name == name)?;
        let (parent, name) = self.resolve(module, &import.path, depth + 1)?;
        let found = [parent.as_slice(), &[name]].concat();
        self.modules.contains_key(&found).then_some(found)
    }

    /// Looks for a name among the items and the imports of a module.
    fn find(&self, module: &[String], name: &str, depth: usize) -> Option<(ModulePath, String)> {
        let items = self.modules.get(module)?;
        if items.iter().any(|item| crate::items::name_of(item).is_some_and(|found| found == name)) {
            return Some((module.to_vec(), name.to_owned()));
        }
        let imports = self.imports(module);
        let named = imports.iter().filter(|import| import.name == name);
        let mut globs = imports.iter().filter(|import| import.name == "*");
        // A name that stands for itself is one of another crate.
        let mut named = named.filter(|import| import.path.as_slice() != [name.to_owned()].as_slice());
        named.find_map(|import| self.resolve(module, &import.path, depth + 1)).or_else(|| {
            globs.find_map(|import| {
                let path = [import.path.as_slice(), &[name.to_owned()]].concat();
                self.resolve(module, &path, depth + 1)
            })
        })
    }
}

fn parse(source: &str) -> Vec<Item> {
    syn::parse_file(source).unwrap().items
}

fn is_of_tests(attributes: &[syn::Attribute]) -> bool {
    use quote::ToTokens as _;
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string();
        text.contains("cfg") && text.contains("test") && !text.contains("\"testing\"")
    })
}

pub(crate) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Adds all paths of a use tree: `a::{b, c as d}` is `a::b` and `a::c`.
fn leaves(tree: &UseTree, prefix: &[String], is_public: bool, into: &mut Vec<Import>) {
    let with = |name: String| [prefix, &[name]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(path.ident.to_string()), is_public, into),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, prefix, is_public, into)),
        UseTree::Glob(_) => into.push(Import { name: "*".to_owned(), path: prefix.to_vec(), is_public }),
        UseTree::Name(name) if name.ident == "self" => {
            let name = prefix.last().cloned().unwrap_or_default();
            into.push(Import { name, path: prefix.to_vec(), is_public });
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            into.push(Import { path: with(name.clone()), name, is_public });
        }
        UseTree::Rename(rename) => {
            let path = with(rename.ident.to_string());
            into.push(Import { name: rename.rename.to_string(), path, is_public });
        }
    }
}
