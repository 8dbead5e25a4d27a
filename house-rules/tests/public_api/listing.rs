//! Lines of a crate's public surface.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, ItemImpl};

use crate::items::{Named, methods, name_of, own_lines, visibility_of};
use crate::print::tokens;
use crate::tree::{ModulePath, Tree, is_public};

/// Returns the lines in their order, each once.
pub(crate) fn listing(tree: &Tree, name: &str) -> Vec<String> {
    let mut lines = Lines { tree, impls: impls_of(tree), found: BTreeSet::new() };
    lines.module(&Vec::new(), name, 0);
    lines.found.into_iter().collect()
}

struct Lines<'t> {
    tree: &'t Tree,
    impls: BTreeMap<(ModulePath, String), Vec<&'t ItemImpl>>,
    found: BTreeSet<String>,
}

impl Lines<'_> {
    /// Adds what is public in a module under the path at which users see it.
    fn module(&mut self, module: &ModulePath, seen: &str, depth: usize) {
        let Some(items) = self.tree.modules.get(module) else { return };
        for item in items {
            if !visibility_of(item).is_some_and(is_public) {
                continue;
            }
            match item {
                Item::Mod(inner) => {
                    let path = [module.as_slice(), &[inner.ident.to_string()]].concat();
                    self.module(&path, &format!("{seen}::{}", inner.ident), depth);
                }
                Item::Use(_) => {}
                item => self.item(module, item, seen, name_of(item).as_deref()),
            }
        }
        let tree = self.tree;
        for import in tree.imports(module).iter().filter(|import| import.is_public) {
            if import.name == "*" {
                self.glob(module, &import.path, seen, depth);
                continue;
            }
            match self.tree.resolve(module, &import.path, 0) {
                Some((parent, name)) => self.named(&parent, &name, seen, &import.name, depth),
                None => {
                    self.found.insert(format!("{seen}::{}: use {}", import.name, import.path.join("::")));
                }
            }
        }
    }

    fn glob(&mut self, module: &ModulePath, path: &[String], seen: &str, depth: usize) {
        let found = self.tree.resolve(module, path, 0);
        let inner = found.map(|(parent, name)| [parent.as_slice(), &[name]].concat());
        match inner.filter(|_| depth < 8) {
            Some(inner) => self.module(&inner, seen, depth + 1),
            None => {
                self.found.insert(format!("{seen}: use {}::*", path.join("::")));
            }
        }
    }

    /// Adds the items of this name, as users see them.
    fn named(&mut self, module: &ModulePath, name: &str, seen: &str, shown: &str, depth: usize) {
        let inner = [module.as_slice(), &[name.to_owned()]].concat();
        if self.tree.modules.contains_key(&inner) && depth < 8 {
            self.module(&inner, &format!("{seen}::{shown}"), depth + 1);
        }
        let items = self.tree.modules.get(module).into_iter().flatten();
        let items: Vec<&Item> =
            items.filter(|item| name_of(item).is_some_and(|found| found == name)).collect();
        for item in items.into_iter().filter(|item| !matches!(item, Item::Mod(_))) {
            self.item(module, item, seen, Some(shown));
        }
    }

    fn item(&mut self, module: &ModulePath, item: &Item, seen: &str, shown: Option<&str>) {
        let Some(shown) = shown else { return };
        let Named { path, lines } = own_lines(item, &format!("{seen}::{shown}"));
        self.found.extend(lines);
        if let (Item::Struct(_) | Item::Enum(_) | Item::Union(_) | Item::Trait(_), Some(name)) =
            (item, name_of(item))
        {
            self.impls(module, &name, &path);
        }
    }

    /// Adds the methods of a type and the traits that it has, wherever they are written.
    fn impls(&mut self, module: &ModulePath, name: &str, path: &str) {
        for item in self.impls.get(&(module.clone(), name.to_owned())).into_iter().flatten() {
            match &item.trait_ {
                Some((_, name, _)) => {
                    self.found.insert(format!("{path}: impl {} for {}", tokens(name), tokens(&item.self_ty)));
                }
                None => self.found.extend(methods(&item.items, path)),
            }
        }
    }
}

/// Returns the impls of a crate by the type that they are of.
fn impls_of(tree: &Tree) -> BTreeMap<(ModulePath, String), Vec<&ItemImpl>> {
    let mut found: BTreeMap<_, Vec<&ItemImpl>> = BTreeMap::new();
    for (place, items) in &tree.modules {
        for item in items {
            let Item::Impl(item) = item else { continue };
            let syn::Type::Path(of) = item.self_ty.as_ref() else { continue };
            let parts: Vec<String> = of.path.segments.iter().map(|part| part.ident.to_string()).collect();
            if let Some(target) = tree.resolve(place, &parts, 0) {
                found.entry(target).or_default().push(item);
            }
        }
    }
    found
}
