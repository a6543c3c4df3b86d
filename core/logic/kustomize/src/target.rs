//! Walks kustomizations and runs their fields in kustomize's order.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::Config;
use crate::error::{Error, Fault};
use crate::field::{self, FieldSpec};
use crate::files::{Files, display, is_remote, is_within, join};
use crate::generate::{self, Kind};
use crate::kustomization::{FILE_NAMES, Kustomization, Label};
use crate::replacement::ReplacementEntry;
use crate::resource::{self, Behavior, Resource};
use crate::transform::{self, End};
use crate::vars::{self, Vars};
use crate::{Options, order, patch, references, replacement};

mod plugins;

/// The version that `managedByLabel` writes. kubectl and Flux write `(devel)`,
/// which the API refuses as a label; the stand-alone kustomize writes this.
const MANAGED_BY: &str = "kustomize-v5.5.0";

/// Objects so far and the rules that hold for them.
#[derive(Default)]
struct Accumulated {
    resources: Vec<Resource>,
    config: Config,
    vars: Vars,
}

/// One kustomization and where it lies.
struct Place {
    kustomization: Kustomization,
    /// The kustomization file, for errors.
    file: String,
    folder: String,
    /// The folder as written from the root's, and the file's name; only with
    /// `buildMetadata`.
    origin: Option<(String, String)>,
}

struct Build<'a> {
    files: Files<'a>,
    options: &'a Options,
    /// The user's OpenAPI document, once a kustomization names one.
    document: Option<Value>,
    /// Folders being worked on, outermost first.
    stack: Vec<String>,
    with_origins: bool,
}

pub fn run(
    files: &BTreeMap<String, Vec<u8>>,
    folder: &str,
    options: &Options,
) -> Result<Vec<Value>, Error> {
    let folder = join("", folder).ok_or_else(|| Error::FindKustomization {
        folder: folder.to_owned(),
        message: "the folder lies outside the source".to_owned(),
    })?;
    let mut build = Build {
        files: Files {
            files,
            anywhere: options.load_from_anywhere,
        },
        options,
        document: None,
        stack: Vec::new(),
        with_origins: false,
    };
    let mut place = build.load(&folder)?;
    let metadata = place.kustomization.build_metadata.clone();
    build.with_origins = !metadata.is_empty();
    if build.with_origins {
        place.origin = Some((String::new(), place.file_name()));
    }
    let mut all = build.accumulate(&place, Accumulated::default())?;
    for object in &mut all.resources {
        if object.needs_hash {
            let hash = generate::name_hash(&object.value);
            object.remember_name();
            object.set_name(&format!("{}-{hash}", object.name()));
        }
    }
    references::repair(&mut all.resources, &all.config)
        .map_err(|fault| place.transform("resources", fault))?;
    vars::resolve(&mut all.resources, &all.vars, &all.config.var_reference)
        .map_err(|fault| place.transform("vars", fault))?;
    all.resources.retain(|object| {
        object
            .texts("annotations")
            .iter()
            .all(|(key, text)| key != "config.kubernetes.io/local-config" || text == "false")
    });
    sort(&mut all.resources, &place)?;
    finish(all.resources, &metadata, &place)
}

fn sort(resources: &mut [Resource], place: &Place) -> Result<(), Error> {
    let Some(options) = &place.kustomization.sort_options else {
        order::sort(resources, None, None);
        return Ok(());
    };
    let legacy = options.legacy_sort_options.as_ref();
    match options.order.as_str() {
        "legacy" => {
            order::sort(
                resources,
                legacy.map(|kinds| kinds.order_first.as_slice()),
                legacy.map(|kinds| kinds.order_last.as_slice()),
            );
            Ok(())
        }
        "fifo" if legacy.is_none() => Ok(()),
        "fifo" => Err(place.transform(
            "sortOptions.legacySortOptions",
            Fault::new("it is set but the selected sort order is 'fifo', not 'legacy'"),
        )),
        other => Err(place.transform(
            "sortOptions.order",
            Fault::new(format!("it must be one of [fifo, legacy], it is {other:?}")),
        )),
    }
}

fn finish(
    mut resources: Vec<Resource>,
    metadata: &[String],
    place: &Place,
) -> Result<Vec<Value>, Error> {
    let wants = |option: &str| metadata.iter().any(|wanted| wanted == option);
    if wants("managedByLabel") {
        let label = BTreeMap::from([(
            "app.kubernetes.io/managed-by".to_owned(),
            MANAGED_BY.to_owned(),
        )]);
        let spec = [FieldSpec::any("metadata/labels").created()];
        transform::set_entries(&mut resources, &label, &spec)
            .map_err(|fault| place.transform("buildMetadata", fault))?;
    }
    Ok(resources
        .into_iter()
        .map(|mut object| {
            patch::drop_build_annotations(&mut object.value);
            let mut notes = Vec::new();
            if wants("originAnnotations")
                && let Some(origin) = &object.origin
            {
                notes.push((patch::ORIGIN, origin.clone()));
            }
            if wants("transformerAnnotations") && !object.transformations.is_empty() {
                notes.push((patch::TRANSFORMATIONS, object.transformations.concat()));
            }
            for (key, text) in notes {
                if let Some(annotations) = object.annotations_mut() {
                    annotations.insert(key.to_owned(), Value::String(text));
                }
            }
            patch::tidy_annotations(&mut object.value);
            object.value
        })
        .collect())
}

impl Place {
    fn file_name(&self) -> String {
        self.file
            .rsplit('/')
            .next()
            .unwrap_or(&self.file)
            .to_owned()
    }

    fn load_error(&self, field: &str, Fault(message): Fault) -> Error {
        Error::Load {
            file: self.file.clone(),
            field: field.to_owned(),
            message,
        }
    }

    fn transform(&self, field: &str, Fault(message): Fault) -> Error {
        Error::Transform {
            file: self.file.clone(),
            field: field.to_owned(),
            message,
        }
    }

    /// Who made or changed an object, as the annotations of `buildMetadata`
    /// say it.
    fn configured_by(&self, plugin: &str) -> Option<String> {
        let (folder, name) = self.origin.as_ref()?;
        Some(format!(
            "configuredIn: {}\nconfiguredBy:\n  apiVersion: builtin\n  kind: {plugin}\n",
            clean(folder, name)
        ))
    }
}

/// `path` from `folder`, cleaned; leading `..` stay.
fn clean(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl<'a> Build<'a> {
    fn load(&mut self, folder: &str) -> Result<Place, Error> {
        let not_found = |message: String| Error::FindKustomization {
            folder: display(folder).to_owned(),
            message,
        };
        let found: Vec<(String, &'a [u8])> = FILE_NAMES
            .iter()
            .filter_map(|name| {
                let file = join(folder, name)?;
                let content = self.files.at(&file)?;
                Some((file, content))
            })
            .collect();
        let (file, content) = match found.as_slice() {
            [only] => only.clone(),
            [] => {
                return Err(not_found(format!(
                    "there is none of {}",
                    FILE_NAMES.join(", ")
                )));
            }
            [..] => return Err(not_found("there is more than one".to_owned())),
        };
        let kustomization =
            Kustomization::parse(content).map_err(|Fault(message)| Error::ReadKustomization {
                file: file.clone(),
                message,
            })?;
        if let Some((field, why)) = kustomization.unsupported() {
            return Err(Error::Unsupported {
                file,
                field: field.to_owned(),
                message: why.to_owned(),
            });
        }
        let place = Place {
            kustomization,
            file,
            folder: folder.to_owned(),
            origin: None,
        };
        if self.document.is_none()
            && let Some(path) = place.kustomization.openapi.get("path")
        {
            let read = || -> Result<Value, Fault> {
                let bytes = self.files.load(folder, path)?;
                let text = std::str::from_utf8(bytes)
                    .map_err(|_| Fault::new("the document is not UTF-8"))?;
                catalyst_yaml::from_str(text).map_err(|error| Fault::new(error.to_string()))
            };
            self.document = Some(read().map_err(|fault| place.load_error("openapi", fault))?);
        }
        Ok(place)
    }

    fn accumulate(&mut self, place: &Place, mut all: Accumulated) -> Result<Accumulated, Error> {
        self.stack.push(place.folder.clone());
        for path in &place.kustomization.resources {
            self.add_resource(place, "resources", path, &mut all)?;
        }
        self.add_config(place, &mut all)?;
        self.add_generated(place, &mut all)?;
        self.run_generators(place, &mut all)?;
        for path in &place.kustomization.components {
            let folder = self.folder(place, "components", path)?;
            let component = self.enter(place, "components", path, &folder, "Component")?;
            all = self.accumulate(&component, all)?;
        }
        self.transform(place, &mut all)?;
        self.run_transformers(place, &mut all)?;
        vars::declare(&place.kustomization.vars, &mut all.resources, &mut all.vars)
            .map_err(|fault| place.transform("vars", fault))?;
        self.stack.pop();
        Ok(all)
    }

    fn add_resource(
        &mut self,
        place: &Place,
        field: &str,
        path: &str,
        all: &mut Accumulated,
    ) -> Result<(), Error> {
        if !is_remote(path)
            && join(&place.folder, path).is_some_and(|full| self.files.at(&full).is_some())
        {
            let content = self
                .files
                .load(&place.folder, path)
                .map_err(|fault| place.load_error(field, fault))?;
            let found = resource::parse(content).map_err(|Fault(message)| {
                place.load_error(field, Fault::new(format!("{path}: {message}")))
            })?;
            for mut object in found {
                if let Some((folder, _)) = &place.origin {
                    object.origin = Some(format!("path: {}\n", clean(folder, path)));
                }
                append(&mut all.resources, object).map_err(|Fault(message)| {
                    place.load_error(field, Fault::new(format!("{path}: {message}")))
                })?;
            }
            return Ok(());
        }
        let folder = self.folder(place, field, path)?;
        let base = self.enter(place, field, path, &folder, "Kustomization")?;
        let below = self.accumulate(&base, Accumulated::default())?;
        for object in below.resources {
            append(&mut all.resources, object).map_err(|Fault(message)| {
                place.load_error(field, Fault::new(format!("{path}: {message}")))
            })?;
        }
        all.config
            .merge(below.config)
            .and_then(|()| vars::merge(&mut all.vars, below.vars))
            .map_err(|fault| place.transform(field, fault))
    }

    /// The folder that `path` means: below the source, or what the caller
    /// provides for a remote address.
    fn folder(&self, place: &Place, field: &str, path: &str) -> Result<String, Error> {
        if is_remote(path) {
            return self
                .options
                .remote_folders
                .get(path)
                .and_then(|folder| join("", folder))
                .ok_or_else(|| Error::LoadRemote {
                    file: place.file.clone(),
                    field: field.to_owned(),
                    address: path.to_owned(),
                });
        }
        let fail = |message: String| place.load_error(field, Fault(message));
        if path.starts_with('/') {
            return Err(fail(format!(
                "{path:?} is an absolute path; name it relative to the kustomization"
            )));
        }
        let folder = join(&place.folder, path)
            .ok_or_else(|| fail(format!("{path:?} leads out of the source")))?;
        if !self.files.is_folder(&folder) {
            return Err(fail(format!("there is no file or folder {folder:?}")));
        }
        if let Some(visited) = self
            .stack
            .iter()
            .find(|visited| is_within(visited, &folder))
        {
            return Err(fail(format!(
                "cycle detected: {:?} contains {:?}, which is being built",
                display(&folder),
                display(visited)
            )));
        }
        Ok(folder)
    }

    fn enter(
        &mut self,
        place: &Place,
        field: &str,
        path: &str,
        folder: &str,
        kind: &str,
    ) -> Result<Place, Error> {
        let mut inner = self.load(folder)?;
        if inner.kustomization.kind != kind {
            return Err(place.load_error(
                field,
                Fault::new(format!(
                    "{} is of kind {}; {field} takes kind {kind}",
                    inner.file, inner.kustomization.kind
                )),
            ));
        }
        if let Some((outer, _)) = &place.origin {
            inner.origin = Some((clean(outer, path), inner.file_name()));
        }
        Ok(inner)
    }

    fn add_config(&self, place: &Place, all: &mut Accumulated) -> Result<(), Error> {
        all.config
            .merge(Config::builtin())
            .map_err(|fault| place.transform("configurations", fault))?;
        type Read = fn(&[u8]) -> Result<Config, Fault>;
        let kinds: [(&str, &[String], Read); 2] = [
            (
                "configurations",
                &place.kustomization.configurations,
                Config::parse,
            ),
            ("crds", &place.kustomization.crds, Config::from_definitions),
        ];
        for (field, paths, read) in kinds {
            for path in paths {
                let content = self
                    .files
                    .load(&place.folder, path)
                    .map_err(|fault| place.load_error(field, fault))?;
                read(content)
                    .and_then(|config| all.config.merge(config))
                    .map_err(|Fault(message)| {
                        place.load_error(field, Fault::new(format!("{path}: {message}")))
                    })?;
            }
        }
        Ok(())
    }

    fn add_generated(&self, place: &Place, all: &mut Accumulated) -> Result<(), Error> {
        let kustomization = &place.kustomization;
        let generators = [
            (
                Kind::ConfigMap,
                "configMapGenerator",
                "ConfigMapGenerator",
                &kustomization.config_map_generator,
            ),
            (
                Kind::Secret,
                "secretGenerator",
                "SecretGenerator",
                &kustomization.secret_generator,
            ),
        ];
        for (kind, field, plugin, entries) in generators {
            for (at, entry) in entries.iter().enumerate() {
                let mut generated = generate::generate(
                    kind,
                    entry,
                    kustomization.generator_options.as_ref(),
                    self.files,
                    &place.folder,
                )
                .map_err(|Fault(message)| Error::Generate {
                    file: place.file.clone(),
                    field: format!("{field}[{at}]"),
                    message,
                })?;
                generated.origin = place.configured_by(plugin);
                absorb(&mut all.resources, generated).map_err(|Fault(message)| {
                    Error::Generate {
                        file: place.file.clone(),
                        field: format!("{field}[{at}]"),
                        message,
                    }
                })?;
            }
        }
        Ok(())
    }

    fn transform(&self, place: &Place, all: &mut Accumulated) -> Result<(), Error> {
        let Accumulated {
            resources, config, ..
        } = all;
        let kustomization = &place.kustomization;
        let document = self.document.as_ref();

        if !kustomization.patches_strategic_merge.is_empty() {
            let field = "patchesStrategicMerge";
            let mut patches = Vec::new();
            for entry in &kustomization.patches_strategic_merge {
                let text = if patch::is_inline(entry) {
                    entry.as_bytes()
                } else {
                    self.files
                        .load(&place.folder, entry)
                        .map_err(|fault| place.load_error(field, fault))?
                };
                patches
                    .extend(resource::parse(text).map_err(|fault| place.transform(field, fault))?);
            }
            patch::apply_merges(resources, &patches, document)
                .map_err(|fault| place.transform(field, fault))?;
            note(resources, place, "PatchStrategicMergeTransformer");
        }
        for (at, entry) in kustomization.patches.iter().enumerate() {
            let field = format!("patches[{at}]");
            let text = self.patch_text(place, &field, entry)?;
            patch::apply(
                resources,
                &text,
                entry.target.as_ref(),
                patch::allow(&entry.options),
                document,
            )
            .map_err(|fault| place.transform(&field, fault))?;
            note(resources, place, "PatchTransformer");
        }
        if !kustomization.namespace.is_empty() {
            transform::namespace(resources, &kustomization.namespace, &config.namespace)
                .map_err(|fault| place.transform("namespace", fault))?;
            note(resources, place, "NamespaceTransformer");
        }
        for (field, affix, end, specs, plugin) in [
            (
                "namePrefix",
                &kustomization.name_prefix,
                End::Prefix,
                &config.name_prefix,
                "PrefixTransformer",
            ),
            (
                "nameSuffix",
                &kustomization.name_suffix,
                End::Suffix,
                &config.name_suffix,
                "SuffixTransformer",
            ),
        ] {
            if !affix.is_empty() {
                transform::rename(resources, affix, end, specs)
                    .map_err(|fault| place.transform(field, fault))?;
                note(resources, place, plugin);
            }
        }
        self.label(place, resources, config)?;
        if !kustomization.common_annotations.is_empty() {
            transform::set_entries(
                resources,
                &kustomization.common_annotations,
                &config.common_annotations,
            )
            .map_err(|fault| place.transform("commonAnnotations", fault))?;
            note(resources, place, "AnnotationsTransformer");
        }
        for (at, entry) in kustomization.patches_json6902.iter().enumerate() {
            let field = format!("patchesJson6902[{at}]");
            let text = self.patch_text(place, &field, entry)?;
            let Some(target) = &entry.target else {
                return Err(place.transform(&field, Fault::new("it has no target")));
            };
            patch::apply_operations(resources, &text, target)
                .map_err(|fault| place.transform(&field, fault))?;
            note(resources, place, "PatchJson6902Transformer");
        }
        for (at, replica) in kustomization.replicas.iter().enumerate() {
            transform::replicas(resources, replica, &config.replicas)
                .map_err(|fault| place.transform(&format!("replicas[{at}]"), fault))?;
            note(resources, place, "ReplicaCountTransformer");
        }
        for (at, image) in kustomization.images.iter().enumerate() {
            transform::image(resources, image, &config.images)
                .map_err(|fault| place.transform(&format!("images[{at}]"), fault))?;
            note(resources, place, "ImageTagTransformer");
        }
        self.replace(place, resources)
    }

    fn label(
        &self,
        place: &Place,
        resources: &mut [Resource],
        config: &Config,
    ) -> Result<(), Error> {
        let kustomization = &place.kustomization;
        if kustomization.labels.is_empty() && kustomization.common_labels.is_empty() {
            return Ok(());
        }
        for (at, label) in kustomization.labels.iter().enumerate() {
            let specs = label_fields(label, config);
            specs
                .and_then(|specs| transform::set_entries(resources, &label.pairs, &specs))
                .map_err(|fault| place.transform(&format!("labels[{at}]"), fault))?;
            note(resources, place, "LabelTransformer");
        }
        transform::set_entries(
            resources,
            &kustomization.common_labels,
            &config.common_labels,
        )
        .map_err(|fault| place.transform("commonLabels", fault))?;
        note(resources, place, "LabelTransformer");
        Ok(())
    }

    fn replace(&self, place: &Place, resources: &mut [Resource]) -> Result<(), Error> {
        let given = &place.kustomization.replacements;
        let entries = self.replacements(place, "replacements", given)?;
        for entry in &entries {
            replacement::apply(resources, entry)
                .map_err(|fault| place.transform("replacements", fault))?;
        }
        if !entries.is_empty() {
            note(resources, place, "ReplacementTransformer");
        }
        Ok(())
    }

    /// Those that are written out, and those in the files that are named instead.
    fn replacements(
        &self,
        place: &Place,
        field: &str,
        given: &[ReplacementEntry],
    ) -> Result<Vec<ReplacementEntry>, Error> {
        let mut entries = Vec::new();
        for (at, entry) in given.iter().enumerate() {
            if entry.path.is_empty() {
                entries.push(entry.clone());
                continue;
            }
            let field = format!("{field}[{at}]");
            if entry.source.is_some() || !entry.targets.is_empty() {
                return Err(place.transform(
                    &field,
                    Fault::new("cannot specify both path and inline replacement"),
                ));
            }
            let content = self
                .files
                .load(&place.folder, &entry.path)
                .map_err(|fault| place.load_error(&field, fault))?;
            entries.extend(replacement::parse(content).map_err(|Fault(message)| {
                place.load_error(&field, Fault::new(format!("{}: {message}", entry.path)))
            })?);
        }
        Ok(entries)
    }

    fn patch_text(
        &self,
        place: &Place,
        field: &str,
        entry: &crate::kustomization::Patch,
    ) -> Result<String, Error> {
        let text = entry.patch.trim();
        match (text.is_empty(), entry.path.is_empty()) {
            (false, true) => Ok(text.to_owned()),
            (true, false) => {
                let bytes = self
                    .files
                    .load(&place.folder, &entry.path)
                    .map_err(|fault| place.load_error(field, fault))?;
                String::from_utf8(bytes.to_vec()).map_err(|_| {
                    place.load_error(field, Fault::new(format!("{:?} is not UTF-8", entry.path)))
                })
            }
            (true, true) => {
                Err(place.transform(field, Fault::new("must specify one of patch and path")))
            }
            (false, false) => Err(place.transform(
                field,
                Fault::new("patch and path can't be set at the same time"),
            )),
        }
    }
}

/// The fields a `labels` entry writes to.
fn label_fields(label: &Label, config: &Config) -> Result<Vec<FieldSpec>, Fault> {
    let mut specs = label.fields.clone();
    let mut add = |more: &[FieldSpec]| -> Result<(), Fault> {
        more.iter()
            .try_for_each(|spec| field::add(&mut specs, spec.clone()))
    };
    add(&config.labels)?;
    if label.include_selectors {
        add(&config.common_labels)?;
    } else {
        if label.include_templates {
            add(&config.template_labels)?;
        }
        add(&[FieldSpec::any("metadata/labels").created()])?;
    }
    Ok(specs)
}

/// Records a transformer on every object.
fn note(resources: &mut [Resource], place: &Place, plugin: &str) {
    if let Some(text) = place.configured_by(plugin) {
        note_text(resources, &text);
    }
}

fn note_text(resources: &mut [Resource], text: &str) {
    for object in resources {
        if object.origin.is_none() {
            object.origin = Some(text.to_owned());
        } else {
            let mut item = String::new();
            for (at, line) in text.lines().enumerate() {
                item.push_str(if at == 0 { "- " } else { "  " });
                item.push_str(line);
                item.push('\n');
            }
            object.transformations.push(item);
        }
    }
}

fn append(resources: &mut Vec<Resource>, object: Resource) -> Result<(), Fault> {
    let id = object.id();
    if resources.iter().any(|other| other.id().same_object(&id)) {
        return Err(Fault::new(format!(
            "may not add resource with an already registered id: {id}"
        )));
    }
    resources.push(object);
    Ok(())
}

/// Adds a generated object, or merges it into the one of its name.
fn absorb(resources: &mut Vec<Resource>, mut object: Resource) -> Result<(), Fault> {
    let id = object.id();
    let behavior = object.behavior;
    let matches: Vec<usize> = resources
        .iter()
        .enumerate()
        .filter(|(_, other)| other.all_ids().iter().any(|own| id.same_object(own)))
        .map(|(at, _)| at)
        .collect();
    match (matches.as_slice(), behavior) {
        ([], Behavior::Create) => append(resources, object),
        ([], Behavior::Merge | Behavior::Replace) => Err(Fault::new(format!(
            "id {id} does not exist; cannot merge or replace"
        ))),
        ([_], Behavior::Create) => Err(Fault::new(format!(
            "id {id} exists; behavior must be merge or replace"
        ))),
        ([at], _) => {
            if let Some(slot) = resources.get_mut(*at) {
                object.inherit_metadata(slot);
                if behavior == Behavior::Merge {
                    object.inherit_data("data", slot);
                    object.inherit_data("binaryData", slot);
                    if slot.origin.is_some() {
                        object.origin.clone_from(&slot.origin);
                    }
                }
                *slot = object;
            }
            Ok(())
        }
        _ => Err(Fault::new(format!(
            "found {} objects that could accept merge of {id}",
            matches.len()
        ))),
    }
}
