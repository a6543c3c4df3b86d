//! `catalyst up` that is told to stop has ended within 5 s, whatever anybody has
//! open, and says what goes on running.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;

use crate::pods::{obstacle, push_hello};
use crate::sovereign::{Sovereign, log_of, own_address, program, with_arguments};

const WITHIN: Duration = Duration::from_secs(5);
/// Longer than a pod takes to start; a wait that ends by this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn terminate(sovereign: Sovereign, what: &str) {
    let asked = Instant::now();
    sovereign.terminate();
    let took = asked.elapsed();
    assert!(took < WITHIN, "{what}: stopping took {took:?}");
}

#[tokio::test]
async fn nothing_that_is_open_holds_up_the_end() {
    crate::begin();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let sovereign = Sovereign::start_logging(&data, "127.0.0.1:0");
    let mut admin = crate::admin(&sovereign).await;
    let token = admin.token().await;

    // Silence, the beginning of a handshake, and half a request.
    let parts: [&[u8]; 5] = [
        b"",
        b"",
        b"",
        &[0x16, 3, 1, 2, 0, 1, 0, 1],
        b"GET /healthz HT",
    ];
    let open: Vec<TcpStream> = parts
        .into_iter()
        .map(|part| {
            let mut stream = TcpStream::connect(sovereign.address("registry")).unwrap();
            stream.write_all(part).unwrap();
            stream
        })
        .collect();
    // Streams that have no end of their own, once they have begun. The ones above
    // were taken before them.
    let watch = sovereign.cluster("lo-loc-rtz-dev", "/api/v1/namespaces?watch=true");
    let watch = sovereign.administrator().http.get(watch).send();
    let mut watch = watch.await.unwrap();
    assert_eq!(watch.status(), StatusCode::OK);
    assert!(watch.chunk().await.unwrap().is_some());
    let events = reqwest::Client::builder().no_proxy().build().unwrap();
    let events = events
        .get(format!("{}/stream", sovereign.address("api")))
        .bearer_auth(&token)
        .send();
    let mut events = events.await.unwrap();
    assert_eq!(events.status(), StatusCode::OK);

    terminate(sovereign, "with connections open");
    // Those were ended, where a connection that is cut off is an error.
    while watch.chunk().await.unwrap().is_some() {}
    while events.chunk().await.unwrap().is_some() {}
    drop(open);
    // Those whose streams were open were recognised to the end.
    let said = std::fs::read_to_string(log_of(&data)).unwrap();
    assert!(!said.contains("token not recognised"), "{said}");
}

/// Folders of the pods that a node knows, each with a holder of its namespaces.
fn pods(data: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(data.join("node/pods"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("sandbox.json").exists())
        .collect()
}

async fn until_a_pod_runs(sovereign: &Sovereign, data: &Path) {
    let list = sovereign.cluster("lo-loc-rtz-dev", "/api/v1/namespaces/default/pods");
    let administrator = sovereign.administrator();
    let started = Instant::now();
    loop {
        let answer = administrator.http.get(&list).send().await.unwrap();
        let answer: serde_json::Value = answer.json().await.unwrap();
        let pod = &answer["items"][0];
        if pod["status"]["phase"] == "Running" && pods(data).len() == 1 {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "no pod runs: {answer:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Starts one for a person, and stops it once it is ready; what it said then.
fn stopped_by_hand(data: &Path, listen: &str) -> String {
    let mut child: Child = Command::new(program())
        .args(["up", "--listen", listen, "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_ready = lines
        .map_while(Result::ok)
        .any(|line| line.starts_with("Press Ctrl-C"));
    let asked = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(is_ready && asked.success());
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    said
}

#[tokio::test]
async fn pods_go_on_and_are_spoken_of_or_end_when_that_is_asked_for() {
    crate::begin();
    if let Some(why) = obstacle() {
        eprintln!("not run: pods after the end, because this machine runs no containers:\n{why}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // The image is known by the registry's address.
    let listen = own_address();
    let start_ending_pods = || {
        let mut command = with_arguments(Command::new(program()), &data, &listen);
        command.arg("--stop-pods");
        Sovereign::start_by(command)
    };

    let sovereign = Sovereign::start(&data, &listen);
    let mut admin = crate::admin(&sovereign).await;
    let token = admin.token().await;
    let image = push_hello(&sovereign, &token, directory.path()).await;
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello"},
        "spec": {
            "selector": {"matchLabels": {"app": "hello"}},
            "template": {
                "metadata": {"labels": {"app": "hello"}},
                "spec": {"containers": [{"name": "main", "image": image, "command": ["/hello"]}]},
            },
        },
    });
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let administrator = sovereign.administrator();
    let created = administrator
        .http
        .post(sovereign.cluster("lo-loc-rtz-dev", deployments))
        .json(&deployment)
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    until_a_pod_runs(&sovereign, &data).await;
    terminate(sovereign, "with a pod");
    let left = pods(&data);
    assert_eq!(left.len(), 1);

    let said = stopped_by_hand(&data, &listen);
    assert!(
        said.contains("1 pod goes on running") && said.contains("--stop-pods"),
        "{said}"
    );
    assert_eq!(pods(&data), left, "it is the same pod");

    let sovereign = start_ending_pods();
    terminate(sovereign, "ending a pod");
    assert_eq!(pods(&data), Vec::<PathBuf>::new());

    // It was ended, not deleted: it is wanted as before.
    let sovereign = start_ending_pods();
    until_a_pod_runs(&sovereign, &data).await;
    terminate(sovereign, "ending a pod again");
    assert_eq!(pods(&data), Vec::<PathBuf>::new());
}
