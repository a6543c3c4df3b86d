//! A chart from files or an archive.
//!
//! Called by whoever has the bytes: the GitOps stand-in, Blueprint lint and
//! the command line. What must stay true: an archive cannot name a path
//! outside itself, link anywhere, or unpack to more than the bounds below.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use regex::Regex;
use serde_json::{Map, Value};

use crate::ast::Template;
use crate::ignore::Rules;
use crate::metadata::{check_lock, conform, validate};
use crate::objects::FileMap;
use crate::table::{FrozenMap, frozen};

/// Bytes that an archive may unpack to, subcharts included.
const MAX_UNPACKED: u64 = 100 << 20;
/// Bytes of one file, as in Helm.
const MAX_FILE: u64 = 5 << 20;
const MAX_FILES: usize = 10_000;
/// Charts within charts.
const MAX_DEPTH: usize = 16;

/// Why a chart could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    #[error("cannot unpack the chart archive: {0}")]
    Unpack(String),
    #[error("cannot read the chart: {0} is missing")]
    Missing(String),
    #[error("cannot read {path} of the chart")]
    Yaml {
        path: String,
        #[source]
        source: catalyst_yaml::Error,
    },
    #[error("cannot read the chart: {path} {why}")]
    Invalid { path: String, why: String },
    /// A rule that Helm has for charts is broken, in its words.
    #[error("cannot read the chart: validation: {0}")]
    Validation(String),
    #[error("error unpacking subchart {name} in {chart}")]
    Subchart {
        name: String,
        chart: String,
        #[source]
        source: Box<ChartError>,
    },
}

/// A chart with its subcharts.
#[derive(Debug, Clone)]
pub struct Chart {
    pub(crate) name: String,
    /// The name below which templates of its subcharts are found: an alias is
    /// not always passed on to them.
    pub(crate) inner_name: String,
    pub(crate) metadata: Arc<Map<String, Value>>,
    pub(crate) values: Arc<Defaults>,
    pub(crate) schema: Option<Arc<Value>>,
    /// Path in the chart → text, `templates/` only.
    pub(crate) templates: Arc<BTreeMap<String, String>>,
    /// Everything `.Files` may see.
    pub(crate) files: FileMap,
    pub(crate) crds: Arc<BTreeMap<String, String>>,
    pub(crate) subcharts: Vec<Chart>,
    /// Bytes of its values and templates, without its subcharts'.
    pub(crate) weight: usize,
    pub(crate) kept: Arc<Kept>,
}

/// What renderings of a chart make alike, kept for the next: its templates as parsed,
/// its defaults with what they import, its schema and the expressions as compiled.
#[derive(Default)]
pub(crate) struct Kept {
    /// By the path that errors name: a chart of two aliases is parsed twice.
    parsed: Mutex<HashMap<String, Arc<[Arc<Template>]>>>,
    /// By the charts that take part; of each in turn, itself first.
    defaults: Mutex<HashMap<String, Vec<Arc<Defaults>>>>,
    validator: OnceLock<Result<Validator, String>>,
    regexes: Mutex<HashMap<String, Regex>>,
}

/// Default values, which the charts of all renderings share.
#[derive(Debug)]
pub(crate) struct Defaults {
    plain: Map<String, Value>,
    frozen: OnceLock<FrozenMap>,
}

impl Defaults {
    pub(crate) fn new(plain: Map<String, Value>) -> Self {
        Self {
            plain,
            frozen: OnceLock::new(),
        }
    }

    /// The same, from which a rendering takes what it looks into.
    pub(crate) fn frozen(&self) -> &FrozenMap {
        self.frozen.get_or_init(|| frozen(&self.plain))
    }
}

/// Choices of subcharts whose defaults are kept.
const MAX_KEPT: usize = 16;
/// Expressions that are kept.
const MAX_REGEXES: usize = 50;

impl Kept {
    /// The templates that `text` defines, the file's own first; an error is text/template's.
    pub(crate) fn templates(&self, path: &str, text: &str) -> Result<Arc<[Arc<Template>]>, String> {
        let known = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(path) {
            return Ok(known.clone());
        }
        drop(known);
        let parsed: Arc<[_]> = crate::parser::parse(path, text)?
            .into_iter()
            .map(Arc::new)
            .collect();
        let mut known = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.to_owned(), parsed.clone());
        Ok(parsed)
    }

    /// The defaults where these charts take part, if they were made before.
    pub(crate) fn defaults(&self, charts: &str) -> Option<Vec<Arc<Defaults>>> {
        let known = self.defaults.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(charts).cloned()
    }

    pub(crate) fn keep_defaults(&self, charts: String, defaults: Vec<Arc<Defaults>>) {
        let mut known = self.defaults.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_KEPT {
            known.insert(charts, defaults);
        }
    }
}

impl Kept {
    /// The chart's schema as `compile` makes it, or why it is not valid.
    pub(crate) fn validator(
        &self,
        compile: impl FnOnce() -> Result<Validator, String>,
    ) -> Result<&Validator, &str> {
        let validator = self.validator.get_or_init(compile);
        validator.as_ref().map_err(String::as_str)
    }

    /// The expression `pattern` as `compile` makes it.
    pub(crate) fn regex(
        &self,
        pattern: &str,
        compile: impl FnOnce(&str) -> Result<Regex, String>,
    ) -> Result<Regex, String> {
        let known = self.regexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(pattern) {
            return Ok(known.clone());
        }
        drop(known);
        let regex = compile(pattern)?;
        let mut known = self.regexes.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_REGEXES {
            known.insert(pattern.to_owned(), regex.clone());
        }
        Ok(regex)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl Chart {
    /// Reads a packaged chart (`.tgz`): one folder that holds the chart. `.helmignore`
    /// was followed when it was packaged, and is not again.
    pub fn from_archive(archive: &[u8]) -> Result<Self, ChartError> {
        let mut budget = MAX_UNPACKED;
        Self::from_files_within(unpack(archive, &mut budget)?, &mut budget, 0)
    }

    /// Reads a chart from the files of its folder, keyed by path within the chart;
    /// those that `.helmignore` names are left out.
    pub fn from_files(mut files: BTreeMap<String, Vec<u8>>) -> Result<Self, ChartError> {
        for path in files.keys() {
            check_path(path)?;
        }
        let rules = match files.get(".helmignore") {
            Some(rules) => Rules::read(&String::from_utf8_lossy(without_mark(rules))),
            None => Rules::read(""),
        };
        let rules = rules.map_err(|why| ChartError::Invalid {
            path: ".helmignore".to_owned(),
            why: format!("is not understood: {why}"),
        })?;
        files.retain(|path, _| !rules.ignores(path));
        for (path, data) in &mut files {
            // As of an archive: whoever unpacks what is packed of it would refuse it.
            if data.len() as u64 > MAX_FILE {
                return Err(ChartError::Invalid {
                    path: path.clone(),
                    why: format!("is larger than {MAX_FILE} bytes"),
                });
            }
            strip_mark(data);
        }
        Self::from_files_within(files, &mut MAX_UNPACKED.clone(), 0)
    }

    /// The chart and its subcharts without the schemas of their values, which any values
    /// meet then.
    #[must_use]
    pub fn without_schemas(mut self) -> Self {
        self.schema = None;
        let subcharts = self.subcharts.into_iter();
        self.subcharts = subcharts.map(Self::without_schemas).collect();
        self
    }

    /// The chart's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The chart's version.
    #[must_use]
    pub fn version(&self) -> &str {
        self.meta("version")
    }

    /// `Chart.yaml` as JSON.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// The chart's own default values.
    #[must_use]
    pub fn values(&self) -> &Map<String, Value> {
        &self.values.plain
    }

    /// The dependencies of `Chart.yaml` that no chart in `charts/` is called like. Helm
    /// renders without them only where others checked.
    #[must_use]
    pub fn missing_dependencies(&self) -> Vec<&str> {
        let wanted = self.metadata.get("dependencies").and_then(Value::as_array);
        wanted
            .into_iter()
            .flatten()
            .filter(|wanted| wanted.is_object())
            .map(|wanted| wanted.get("name").and_then(Value::as_str).unwrap_or(""))
            .filter(|name| self.subcharts.iter().all(|chart| chart.name != *name))
            .collect()
    }

    pub(crate) fn meta(&self, key: &str) -> &str {
        self.metadata
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn from_files_within(
        mut files: BTreeMap<String, Vec<u8>>,
        budget: &mut u64,
        depth: usize,
    ) -> Result<Self, ChartError> {
        if depth > MAX_DEPTH {
            return Err(ChartError::Invalid {
                path: "charts/".to_owned(),
                why: format!("nests charts deeper than {MAX_DEPTH} levels"),
            });
        }
        let Some(metadata) = files.remove("Chart.yaml") else {
            return Err(ChartError::Missing("Chart.yaml".to_owned()));
        };
        let mut metadata = mapping("Chart.yaml", &metadata)?;
        conform("Chart.yaml", &mut metadata)?;
        if let Some(old) = files.get("requirements.yaml")
            && !metadata.contains_key("dependencies")
            && let Some(list) = mapping("requirements.yaml", old)?.remove("dependencies")
        {
            metadata.insert("dependencies".to_owned(), list);
            conform("requirements.yaml", &mut metadata)?;
        }
        for path in ["requirements.lock", "Chart.lock"] {
            if let Some(lock) = files.get(path) {
                check_lock(path, &mapping(path, lock)?)?;
            }
        }
        files.remove("Chart.lock");
        if !matches!(
            metadata.get("apiVersion").and_then(Value::as_str),
            None | Some("" | "v1")
        ) {
            files.remove("requirements.yaml");
            files.remove("requirements.lock");
        }
        validate(&metadata)?;
        let name = metadata
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let mut weight = 0;
        let values = match files.remove("values.yaml") {
            Some(text) => {
                weight = text.len();
                mapping("values.yaml", &text)?
            }
            None => Map::new(),
        };
        let schema = match files.remove("values.schema.json") {
            Some(text) => {
                let schema = serde_json::from_slice(&text).map_err(|why| ChartError::Invalid {
                    path: "values.schema.json".to_owned(),
                    why: format!("is not JSON: {why}"),
                })?;
                Some(Arc::new(schema))
            }
            None => None,
        };
        let (mut templates, mut others, mut crds) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut folders: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
        for (path, data) in files {
            if path.starts_with("templates/") {
                weight += data.len();
                templates.insert(path, String::from_utf8_lossy(&data).into_owned());
                continue;
            }
            if let Some(rest) = path.strip_prefix("charts/")
                && !path.ends_with(".prov")
            {
                let (folder, inner) = rest.split_once('/').unwrap_or((rest, ""));
                if !folder.starts_with(['_', '.']) {
                    let folder = folders.entry(folder.to_owned()).or_default();
                    folder.insert(inner.to_owned(), data);
                }
                continue;
            }
            if path.starts_with("crds/")
                && (path.ends_with(".yaml") || path.ends_with(".yml") || path.ends_with(".json"))
            {
                crds.insert(path.clone(), String::from_utf8_lossy(&data).into_owned());
            }
            others.insert(path, Arc::new(data));
        }
        let mut subcharts = Vec::new();
        for (folder, inner) in folders {
            let sub = Self::subchart(&folder, inner, budget, depth);
            subcharts.push(sub.map_err(|source| ChartError::Subchart {
                name: folder,
                chart: name.clone(),
                source: Box::new(source),
            })?);
        }
        Ok(Self {
            inner_name: name.clone(),
            name,
            metadata: Arc::new(metadata),
            values: Arc::new(Defaults::new(values)),
            schema,
            templates: Arc::new(templates),
            files: Arc::new(others),
            crds: Arc::new(crds),
            subcharts,
            weight,
            kept: Arc::default(),
        })
    }

    /// Reads what lies in `charts/` below one name: an archive or a folder. A file has
    /// the empty path; one that is no archive is to Helm a chart without files.
    fn subchart(
        name: &str,
        mut files: BTreeMap<String, Vec<u8>>,
        budget: &mut u64,
        depth: usize,
    ) -> Result<Self, ChartError> {
        let file = files.remove("");
        if name.ends_with(".tgz") {
            let Some(archive) = file else {
                return Err(ChartError::Unpack(format!("{name} is a folder")));
            };
            files = unpack(&archive, budget)?;
        }
        Self::from_files_within(files, budget, depth + 1)
    }
}

/// The mark of UTF-8, which Helm takes off each file of a chart once.
const MARK: &[u8] = b"\xef\xbb\xbf";

fn without_mark(data: &[u8]) -> &[u8] {
    data.strip_prefix(MARK).unwrap_or(data)
}

fn strip_mark(data: &mut Vec<u8>) {
    if data.starts_with(MARK) {
        data.drain(..MARK.len());
    }
}

fn mapping(path: &str, text: &[u8]) -> Result<Map<String, Value>, ChartError> {
    let text = String::from_utf8_lossy(text);
    match catalyst_yaml::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(ChartError::Invalid {
            path: path.to_owned(),
            why: "is not a map".to_owned(),
        }),
        Err(source) => Err(ChartError::Yaml {
            path: path.to_owned(),
            source,
        }),
    }
}

fn check_path(path: &str) -> Result<(), ChartError> {
    let bad = path.is_empty()
        || path.starts_with('/')
        || path.contains(['\\', '\0', ':'])
        || path.split('/').any(|part| part == ".." || part.is_empty());
    if bad {
        return Err(ChartError::Unpack(format!(
            "the path {path:?} leaves the chart"
        )));
    }
    Ok(())
}

fn unpack(archive: &[u8], budget: &mut u64) -> Result<BTreeMap<String, Vec<u8>>, ChartError> {
    let failed = |why: std::io::Error| ChartError::Unpack(why.to_string());
    // The reader stops one byte past the budget, so a bomb cannot go on.
    let limit = *budget + 1;
    let stream = flate2::read::GzDecoder::new(archive).take(limit.saturating_mul(2));
    let mut reader = tar::Archive::new(stream);
    let mut files = BTreeMap::new();
    for entry in reader.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let kind = entry.header().entry_type();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        if !kind.is_file() {
            return Err(ChartError::Unpack(format!(
                "{path:?} is a link or a special file"
            )));
        }
        let path = path.strip_prefix("./").unwrap_or(&path);
        check_path(path)?;
        let Some((_, inner)) = path.split_once('/') else {
            return Err(ChartError::Unpack(format!(
                "{path:?} is not in the chart's folder"
            )));
        };
        if entry.size() > MAX_FILE {
            return Err(ChartError::Unpack(format!(
                "{path:?} is larger than {MAX_FILE} bytes"
            )));
        }
        let mut data = Vec::new();
        entry
            .by_ref()
            .take(MAX_FILE + 1)
            .read_to_end(&mut data)
            .map_err(failed)?;
        *budget = budget.checked_sub(data.len() as u64).ok_or_else(|| {
            ChartError::Unpack(format!("it unpacks to more than {MAX_UNPACKED} bytes"))
        })?;
        strip_mark(&mut data);
        files.insert(inner.to_owned(), data);
        if files.len() > MAX_FILES {
            return Err(ChartError::Unpack(format!(
                "it holds more than {MAX_FILES} files"
            )));
        }
    }
    if files.is_empty() {
        return Err(ChartError::Unpack("it holds no files".to_owned()));
    }
    Ok(files)
}
