//! A Sovereign with something in it: Organizations, each with an Environment, and
//! an Application that runs. What takes a container is left out where this machine
//! runs none.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::figures::{elapsed, processor, resident};
use crate::sovereign::{Administrator, Sovereign, own_address};
use crate::user::{User, git};
use crate::{alone, millis};

/// Organizations, with one Environment each.
pub const ORGANIZATIONS: usize = 9;
const PUSHES: usize = 15;
const RESTARTS: usize = 3;
/// How long it is watched doing nothing.
const REST: Duration = Duration::from_secs(20);
/// Longer than anything here takes; a wait that ends by this has failed.
const PATIENCE: Duration = Duration::from_secs(120);
const VCLUSTER: &str = "lo-loc-rtz-dev-org-0";
const APPLICATION: &str = "/environments/org-0-dev/applications/database";

/// What was measured.
pub struct Figures {
    /// Milliseconds from the request for an Environment until its vcluster answers.
    pub environments: Vec<f64>,
    /// Percent of a core at rest, without an Application.
    pub rest: f64,
    /// With one; none without containers.
    pub running: Option<Running>,
}

/// What was measured with an Application that runs.
pub struct Running {
    /// Resident memory in MB; the Application's own processes are not counted.
    pub memory: f64,
    /// Milliseconds from the end of `git push` until the Application in the vcluster
    /// is as pushed.
    pub applications: Vec<f64>,
    /// The same, until the workload is that its chart renders from it.
    pub workloads: Vec<f64>,
    /// Percent of a core at rest.
    pub rest: f64,
    /// Milliseconds from a start to ready, the Application's pod running on.
    pub restarts: Vec<f64>,
}

/// Fills a Sovereign, and measures as it goes.
pub async fn measure(program: &Path, directory: &Path) -> Figures {
    let data = directory.join("data");
    let listen = own_address();
    let sovereign = Sovereign::start_by(alone(program, &data, &listen));
    let link = sovereign.address("signIn").to_owned();
    let mut admin = User::join(&sovereign, "sovereign-admin", &link).await;
    let administrator = sovereign.administrator();
    let mut environments = Vec::new();
    for number in 0..ORGANIZATIONS {
        let organization = format!("org-{number}");
        admin
            .post("/organizations", json!({"name": organization}))
            .await;
        admin
            .until_phase(&format!("/organizations/{organization}"), "Running")
            .await;
        let taken = environment(&sovereign, &administrator, &mut admin, &organization).await;
        environments.push(taken);
    }
    for number in 0..ORGANIZATIONS {
        let path = format!("/environments/org-{number}-dev");
        admin.until_phase(&path, "Running").await;
    }
    let rest = at_rest(&sovereign).await;
    let doctor = Command::new(program).arg("doctor").output().unwrap();
    if !doctor.status.success() {
        sovereign.terminate();
        return Figures {
            environments,
            rest,
            running: None,
        };
    }

    let install = json!({"command": "install", "name": "database", "blueprint": "bp-postgres"});
    admin.post("/environments/org-0-dev/changes", install).await;
    admin.until_phase(APPLICATION, "Running").await;
    let memory = resident(sovereign.process());
    let mut running = Running {
        memory,
        applications: Vec::new(),
        workloads: Vec::new(),
        rest: 0.0,
        restarts: Vec::new(),
    };
    pushes(&sovereign, &mut admin, directory, &mut running).await;
    running.rest = at_rest(&sovereign).await;
    sovereign.terminate();

    for round in 1..=RESTARTS {
        let mut command = alone(program, &data, &listen);
        if round == RESTARTS {
            // The last one leaves nothing running behind.
            command.arg("--stop-pods");
        }
        let sovereign = Sovereign::start_by(command);
        running.restarts.push(millis(&sovereign));
        admin.reconnect();
        admin.until_phase(APPLICATION, "Running").await;
        sovereign.terminate();
    }
    Figures {
        environments,
        rest,
        running: Some(running),
    }
}

async fn environment(
    sovereign: &Sovereign,
    administrator: &Administrator,
    admin: &mut User,
    organization: &str,
) -> f64 {
    let ready = sovereign.cluster(&format!("lo-loc-rtz-dev-{organization}"), "/readyz");
    let path = format!("/organizations/{organization}/environments");
    let started = Instant::now();
    admin.post(&path, json!({"envType": "dev"})).await;
    loop {
        let answer = administrator.http.get(&ready).send().await.unwrap();
        if answer.status() == StatusCode::OK {
            return elapsed(started);
        }
        assert!(started.elapsed() < PATIENCE, "{organization} has none");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Percent of a core that the Sovereign's own process uses while nobody asks it.
async fn at_rest(sovereign: &Sovereign) -> f64 {
    let before = processor(sovereign.process());
    tokio::time::sleep(REST).await;
    let used = processor(sovereign.process()) - before;
    100.0 * used / REST.as_secs_f64()
}

async fn pushes(sovereign: &Sovereign, admin: &mut User, directory: &Path, running: &mut Running) {
    let administrator = sovereign.administrator();
    let inside = |path: &str| sovereign.cluster(VCLUSTER, path);
    let application =
        inside("/apis/catalyst.openova.io/v1alpha1/namespaces/org-0-dev/applications/database");
    let workload = inside("/apis/apps/v1/namespaces/database/statefulsets/database");
    let release =
        inside("/apis/helm.toolkit.fluxcd.io/v2/namespaces/org-0-dev/helmreleases/database");

    let clone = directory.join("clone");
    std::fs::create_dir(&clone).unwrap();
    let url = admin.repository(sovereign, "org-0/org-0-dev").await;
    git(&clone, &["clone", "--quiet", &url, "."]);
    git(&clone, &["config", "user.name", "Bench"]);
    git(&clone, &["config", "user.email", "bench@example.com"]);
    let file = clone.join("applications/database/application.yaml");
    let base = std::fs::read_to_string(&file).unwrap();
    for number in 0..PUSHES {
        let connections = 20 + number;
        let config = format!("spec:\n  config:\n    maxConnections: {connections}\n");
        let text = base.replacen("spec:\n", &config, 1);
        assert_ne!(text, base, "there is no spec");
        std::fs::write(&file, text).unwrap();
        git(&clone, &["commit", "--quiet", "--all", "-m", "Change it"]);
        // The token in the address does not last as long as this.
        let url = admin.repository(sovereign, "org-0/org-0-dev").await;
        git(&clone, &["remote", "set-url", "origin", &url]);
        git(&clone, &["push", "--quiet"]);
        let started = Instant::now();
        until(&administrator, &application, |object| {
            object["spec"]["config"]["maxConnections"] == connections
        })
        .await;
        running.applications.push(elapsed(started));
        let wanted = format!("max_connections={connections}");
        until(&administrator, &workload, |object| {
            let container = &object["spec"]["template"]["spec"]["containers"][0];
            container["args"][1] == wanted
        })
        .await;
        running.workloads.push(elapsed(started));
        // The next push meets a release that has come to rest.
        until(&administrator, &release, is_settled).await;
    }
    admin.until_phase(APPLICATION, "Running").await;
}

/// Whether Flux has nothing more to do for a release.
fn is_settled(release: &Value) -> bool {
    let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    let conditions = release["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(is_ready))
        && release["status"]["observedGeneration"] == release["metadata"]["generation"]
}

/// Reads an object until it is as wanted.
async fn until(administrator: &Administrator, url: &str, wanted: impl Fn(&Value) -> bool) {
    let started = Instant::now();
    loop {
        let answer = administrator.http.get(url).send().await.unwrap();
        let object: Value = answer.json().await.unwrap_or_default();
        if wanted(&object) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{url}: {object:#}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
