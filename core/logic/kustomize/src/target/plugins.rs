//! Runs the fields `generators` and `transformers`, after the fields that do the same.

use super::{Accumulated, Build, Place, absorb, append, clean, note_text};
use crate::error::{Error, Fault};
use crate::plugin::{self, Transformer};
use crate::resource::{self, Resource};
use crate::{generate, patch, replacement, transform};

impl Build<'_> {
    /// The objects that `generators` or `transformers` name, or hold.
    fn plugins(
        &mut self,
        place: &Place,
        field: &str,
        entries: &[String],
    ) -> Result<Vec<Resource>, Error> {
        let mut all = Accumulated::default();
        for entry in entries {
            if !patch::is_inline(entry) {
                self.add_resource(place, field, entry, &mut all)?;
                continue;
            }
            let found = resource::parse(entry.as_bytes());
            for mut object in found.map_err(|fault| place.load_error(field, fault))? {
                if let Some((folder, name)) = &place.origin {
                    object.origin = Some(format!("path: {}\n", clean(folder, name)));
                }
                append(&mut all.resources, object)
                    .map_err(|fault| place.load_error(field, fault))?;
            }
        }
        Ok(all.resources)
    }

    pub(super) fn run_generators(
        &mut self,
        place: &Place,
        all: &mut Accumulated,
    ) -> Result<(), Error> {
        let field = "generators";
        for config in self.plugins(place, field, &place.kustomization.generators)? {
            let made = plugin::generator(&config).and_then(|(kind, generator)| {
                let mut made =
                    generate::generate(kind, &generator, None, self.files, &place.folder)?;
                made.origin = configured_by_plugin(&config);
                absorb(&mut all.resources, made)
            });
            made.map_err(|Fault(message)| Error::Generate {
                file: place.file.clone(),
                field: field.to_owned(),
                message,
            })?;
        }
        Ok(())
    }

    pub(super) fn run_transformers(
        &mut self,
        place: &Place,
        all: &mut Accumulated,
    ) -> Result<(), Error> {
        let field = "transformers";
        for config in self.plugins(place, field, &place.kustomization.transformers)? {
            let transformer =
                plugin::transformer(&config).map_err(|fault| place.transform(field, fault))?;
            self.run_transformer(place, transformer, &mut all.resources)?;
            if let Some(text) = configured_by_plugin(&config) {
                note_text(&mut all.resources, &text);
            }
        }
        Ok(())
    }

    fn run_transformer(
        &self,
        place: &Place,
        transformer: Transformer,
        resources: &mut Vec<Resource>,
    ) -> Result<(), Error> {
        let field = "transformers";
        let document = self.document.as_ref();
        match transformer {
            Transformer::Rename(_, affix, _) if affix.is_empty() => Ok(()),
            Transformer::Rename(end, affix, specs) => {
                transform::rename(resources, &affix, end, &specs)
            }
            Transformer::Entries(entries, specs) => {
                transform::set_entries(resources, &entries, &specs)
            }
            Transformer::Namespace(namespace, _) if namespace.is_empty() => Ok(()),
            Transformer::Namespace(namespace, specs) => {
                transform::namespace(resources, &namespace, &specs)
            }
            Transformer::Image(image, specs) => transform::image(resources, &image, &specs),
            Transformer::Replicas(replica, specs) => {
                transform::replicas(resources, &replica, &specs)
            }
            Transformer::Patch(entry) => {
                let text = self.patch_text(place, field, &entry)?;
                let allow = patch::allow(&entry.options);
                patch::apply(resources, &text, entry.target.as_ref(), allow, document)
            }
            Transformer::Operations(entry) => {
                let text = self.patch_text(place, field, &entry)?;
                match &entry.target {
                    Some(target) => patch::apply_operations(resources, &text, target),
                    None => Err(Fault::new("must specify the target name")),
                }
            }
            Transformer::Merges(paths, written) => {
                let mut patches = Vec::new();
                for path in &paths {
                    let text = self
                        .files
                        .load(&place.folder, path)
                        .map_err(|fault| place.load_error(field, fault))?;
                    patches.extend(
                        resource::parse(text).map_err(|fault| place.transform(field, fault))?,
                    );
                }
                if !written.is_empty() {
                    let more = resource::parse(written.as_bytes());
                    patches.extend(more.map_err(|fault| place.transform(field, fault))?);
                }
                patch::apply_merges(resources, &patches, document)
            }
            Transformer::Replacements(entries) => {
                let entries = self.replacements(place, field, &entries)?;
                entries
                    .iter()
                    .try_for_each(|entry| replacement::apply(resources, entry))
            }
        }
        .map_err(|fault| place.transform(field, fault))
    }
}

/// Who an object of `generators` or `transformers` is, as the annotations of
/// `buildMetadata` say it.
fn configured_by_plugin(config: &Resource) -> Option<String> {
    let path = config.origin.as_ref()?.strip_prefix("path: ")?;
    let mut text = format!(
        "configuredIn: {path}configuredBy:\n  apiVersion: builtin\n  kind: {}\n",
        config.kind()
    );
    for (key, value) in [("name", config.name()), ("namespace", config.namespace())] {
        if !value.is_empty() {
            text.push_str(&format!("  {key}: {value}\n"));
        }
    }
    Some(text)
}
