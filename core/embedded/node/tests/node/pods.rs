//! Pods as real containers: isolation, volumes, probes, restarts, exec, logs,
//! graceful stop and adoption. `everything_again_as_an_ordinary_user` runs the
//! whole file once more without privileges.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{IMAGE, condition, config, node, pod, running, standard, tool_in, until};
use catalyst_node::network::{PodRef, Policy, Service, ServicePort};
use catalyst_node::{FileContent, Node, Resolved, VolumeSource};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn state<'a>(status: &'a Value, kind: &str) -> &'a Value {
    &status["containerStatuses"][0]["state"][kind]
}

async fn http(mut stream: tokio::net::TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_only_itself() {
    let data = tempfile::tempdir().unwrap();
    let node = node(data.path()).await;
    let mut spec = pod("alone", &["wait"]);
    spec["spec"]["securityContext"] = json!({"runAsUser": 999});
    node.apply(&spec, Resolved::default(), "").unwrap();
    running(&node, "uid-alone").await;
    let status = node.status("uid-alone").unwrap();
    let id = status["containerStatuses"][0]["imageID"].as_str().unwrap();
    let digest = id.strip_prefix("registry.test/test/tool@sha256:");
    assert_eq!(digest.map(str::len), Some(64), "{id}");
    let run = async |args: &[&str]| tool_in(&node, "uid-alone", args).await;

    let (code, id) = run(&["id"]).await;
    assert_eq!(code, 0);
    assert!(
        id.starts_with("uid=999 ") && id.contains("host=alone"),
        "{id}"
    );
    let (_, processes) = run(&["ls", "/proc"]).await;
    let numbers = processes
        .lines()
        .filter(|l| l.parse::<u32>().is_ok())
        .count();
    assert_eq!(
        numbers, 2,
        "only the container's program and the exec itself:\n{processes}"
    );
    let (_, passwd) = run(&["cat", "/etc/passwd"]).await;
    assert!(passwd.contains(":x:999:"), "{passwd}");
    let (_, mounts) = run(&["cat", "/proc/self/mountinfo"]).await;
    assert!(
        !mounts.contains(".old") && !mounts.contains("/sys/fs/cgroup"),
        "{mounts}"
    );
    let (_, roots) = run(&["ls", "/"]).await;
    let mut roots: Vec<&str> = roots.lines().filter(|l| !l.starts_with('.')).collect();
    roots.sort_unstable();
    assert_eq!(
        roots,
        [
            "abs", "dev", "etc", "gone", "opaque", "proc", "same", "sys", "tmp", "tool"
        ]
    );
    let (_, interfaces) = run(&["cat", "/proc/net/dev"]).await;
    let mut names: Vec<&str> = interfaces
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["eth0", "lo"], "{interfaces}");
    // Whiteouts, opaque folders, hard links and links of the layers.
    assert_ne!(run(&["cat", "/gone/file"]).await.0, 0);
    assert_ne!(run(&["cat", "/opaque/old"]).await.0, 0);
    assert_eq!(run(&["cat", "/abs/new"]).await.1, "new");
    assert_eq!(run(&["cat", "/same"]).await.1, "new");
    // The kernel's settings are the machine's.
    assert_ne!(run(&["write", "/proc/sys/kernel/hostname", "x"]).await.0, 0);
    node.remove("uid-alone", None).await;
    assert!(!data.path().join("pods/uid-alone").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pods_use_one_port_and_policies_decide_who_connects() {
    struct Rules;
    impl Policy for Rules {
        fn is_allowed(&self, from: &PodRef, to: &PodRef, port: u16) -> bool {
            matches!(from.name.as_str(), "friend" | "late") && to.name == "one" && port == 80
        }
        fn is_external_allowed(&self, _: &PodRef, _: Option<&str>, _: IpAddr, _: u16) -> bool {
            false
        }
    }
    let data = tempfile::tempdir().unwrap();
    let node = node(data.path()).await;
    for (name, args) in [
        ("one", ["serve", "80", "I am one"].as_slice()),
        ("two", &["serve", "80", "I am two"]),
        ("friend", &["wait"]),
        ("foe", &["wait"]),
    ] {
        node.apply(&pod(name, args), Resolved::default(), "")
            .unwrap();
    }
    for name in ["one", "two", "friend", "foe"] {
        running(&node, &format!("uid-{name}")).await;
    }
    let service = |name: &str, ip: [u8; 4], uid: &str| Service {
        namespace: "ns".to_owned(),
        dns_namespace: "ns".to_owned(),
        name: name.to_owned(),
        cluster_ip: Some(Ipv4Addr::from(ip)),
        ports: vec![ServicePort {
            port: 8080,
            targets: vec![SocketAddrV4::new(node.address(uid).unwrap(), 80)],
        }],
        ..Service::default()
    };
    let services = vec![
        service("svc-one", [10, 96, 1, 1], "uid-one"),
        service("svc-two", [10, 96, 1, 2], "uid-two"),
    ];
    node.set_services(services).await;
    // Before a policy is set nobody may connect.
    let (code, text) = tool_in(&node, "uid-friend", &["get", "10.96.1.1", "8080"]).await;
    assert_ne!(code, 0, "{text}");
    node.set_policy(Arc::new(Rules)).await;

    // The node itself reaches each pod's own port 80.
    let one = serving(&node, "uid-one", 80).await;
    let two = serving(&node, "uid-two", 80).await;
    assert!(
        one.ends_with("I am one") && two.ends_with("I am two"),
        "{one} {two}"
    );

    for host in [
        "10.96.1.1",
        "svc-one",
        "svc-one.ns",
        "svc-one.ns.svc.cluster.local",
    ] {
        let (code, text) = tool_in(&node, "uid-friend", &["get", host, "8080"]).await;
        assert!(
            code == 0 && text.ends_with("I am one"),
            "{host}: {code} {text}"
        );
    }
    for (from, to) in [
        ("uid-friend", "svc-two"),
        ("uid-foe", "svc-one"),
        ("uid-foe", "10.96.1.1"),
    ] {
        let (code, text) = tool_in(&node, from, &["get", to, "8080"]).await;
        assert!(
            code != 0 && !text.contains("I am"),
            "{from} reached {to}: {text}"
        );
    }
    // A pod serves the very port that Services it reaches are at.
    node.apply(
        &pod("late", &["serve", "8080", "I am late"]),
        Resolved::default(),
        "",
    )
    .unwrap();
    running(&node, "uid-late").await;
    let late = serving(&node, "uid-late", 8080).await;
    assert!(late.ends_with("I am late"), "{late}");
    let (code, text) = tool_in(&node, "uid-late", &["get", "svc-one", "8080"]).await;
    assert!(code == 0 && text.ends_with("I am one"), "{code} {text}");
    // A pod's address is no way around the policy, nor is the machine's loopback.
    let address = node.address("uid-one").unwrap().to_string();
    let (code, _) = tool_in(&node, "uid-foe", &["get", &address, "80"]).await;
    assert_ne!(code, 0);
    let (_, text) = tool_in(&node, "uid-friend", &["get", "no-such-service", "80"]).await;
    assert!(text.contains("lookup failed"), "{text}");
    node.retain(&[], Some(Duration::ZERO)).await;
}

/// Connects until the program has opened its port.
async fn serving(node: &Node, uid: &str, port: u16) -> String {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match node.connect(uid, port).await {
            Ok(stream) => return http(stream).await,
            Err(e) => assert!(Instant::now() < end, "{e}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_environment_and_persistent_data() {
    let data = tempfile::tempdir().unwrap();
    let node = node(data.path()).await;
    let volume = data.path().join("volume");
    let files = BTreeMap::from([(
        "sub/greeting".to_owned(),
        FileContent {
            bytes: b"hello".to_vec(),
            mode: 0o440,
        },
    )]);
    let resolved = Resolved {
        env: BTreeMap::from([(
            "main".to_owned(),
            vec![("COLOUR".to_owned(), "red".to_owned())],
        )]),
        volumes: BTreeMap::from([
            ("config".to_owned(), VolumeSource::Files(files)),
            (
                "scratch".to_owned(),
                VolumeSource::EmptyDir { memory: false },
            ),
            ("memory".to_owned(), VolumeSource::EmptyDir { memory: true }),
            ("data".to_owned(), VolumeSource::Persistent(volume.clone())),
        ]),
    };
    let mut spec = pod("vol", &["wait"]);
    spec["spec"]["securityContext"] = json!({"runAsUser": 999});
    spec["spec"]["containers"][0]["volumeMounts"] = json!([
        {"name": "config", "mountPath": "/config"},
        {"name": "config", "mountPath": "/etc/one-file", "subPath": "sub/greeting"},
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "memory", "mountPath": "/memory"},
        {"name": "data", "mountPath": "/var/data"}
    ]);
    node.apply(&spec, resolved.clone(), "").unwrap();
    running(&node, "uid-vol").await;
    let run = async |args: &[&str]| tool_in(&node, "uid-vol", args).await;
    assert_eq!(
        run(&["cat", "/config/sub/greeting"]).await,
        (0, "hello".to_owned())
    );
    assert_eq!(
        run(&["cat", "/etc/one-file"]).await,
        (0, "hello".to_owned())
    );
    assert_ne!(run(&["write", "/config/x", "y"]).await.0, 0);
    for folder in ["/scratch", "/memory", "/var/data"] {
        let (code, text) = run(&["write", &format!("{folder}/file"), "kept"]).await;
        assert_eq!(code, 0, "{folder}: {text}");
    }
    assert_eq!(run(&["env", "COLOUR"]).await.1, "red\n");
    assert_eq!(run(&["env", "FROM_IMAGE"]).await.1, "yes\n");

    // A second pod waits for the volume and says so; then it finds the data.
    let mut second = pod("vol2", &["wait"]);
    second["spec"]["securityContext"] = json!({"runAsUser": 999});
    second["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/d"}]);
    let persistent = Resolved {
        volumes: BTreeMap::from([("data".to_owned(), VolumeSource::Persistent(volume))]),
        ..Resolved::default()
    };
    node.apply(&second, persistent, "").unwrap();
    let waiting = until(&node, "uid-vol2", "waiting for the volume", |s| {
        s["reason"] == "VolumeInUse"
    })
    .await;
    assert!(waiting["message"].as_str().unwrap().contains("uid-vol"));
    node.remove("uid-vol", None).await;
    running(&node, "uid-vol2").await;
    assert_eq!(
        tool_in(&node, "uid-vol2", &["cat", "/d/file"]).await,
        (0, "kept\n".to_owned())
    );
    node.remove("uid-vol2", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_explained_and_started_again() {
    let data = tempfile::tempdir().unwrap();
    let node = node(data.path()).await;
    node.apply(&pod("crash", &["crash"]), Resolved::default(), "")
        .unwrap();
    let status = until(&node, "uid-crash", "a second restart", |s| {
        s["containerStatuses"][0]["restartCount"].as_u64() >= Some(2)
            && s["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    })
    .await;
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 3);
    let message = last["message"].as_str().unwrap();
    assert!(
        message.contains("about to fail") && message.contains("reason: no flux"),
        "{message}"
    );
    assert!(
        state(&status, "waiting")["message"]
            .as_str()
            .unwrap()
            .contains("no flux")
    );

    let mut never = pod("never", &["crash"]);
    never["spec"]["restartPolicy"] = json!("Never");
    node.apply(&never, Resolved::default(), "").unwrap();
    let status = until(&node, "uid-never", "failed", |s| s["phase"] == "Failed").await;
    assert_eq!(state(&status, "terminated")["exitCode"], 3);
    let logs = node.logs("uid-never", "main", false, Some(1)).unwrap();
    assert_eq!(logs.len(), 1);
    node.retain(&[], Some(Duration::ZERO)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_says_exactly_why() {
    let data = tempfile::tempdir().unwrap();
    let node = node(data.path()).await;
    let mut absent = pod("absent", &["wait"]);
    absent["spec"]["containers"][0]["image"] = json!("registry.test/test/none:9");
    node.apply(&absent, Resolved::default(), "").unwrap();
    let mut command = pod("command", &[]);
    command["spec"]["containers"][0]["command"] = json!(["no-such-program"]);
    node.apply(&command, Resolved::default(), "").unwrap();
    let status = until(&node, "uid-absent", "a pull error", |s| {
        let waiting = &s["containerStatuses"][0]["state"]["waiting"];
        matches!(
            waiting["reason"].as_str(),
            Some("ErrImagePull" | "ImagePullBackOff")
        )
    })
    .await;
    let message = state(&status, "waiting")["message"].as_str().unwrap();
    // The cause alone, and once: the image's name stands beside it.
    assert!(
        message.starts_with("the registry at http://")
            && message.ends_with(" has no 9 of test/none; check name and tag"),
        "{message}"
    );
    let status = until(&node, "uid-command", "a start error", |s| {
        s["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerError"
    })
    .await;
    let message = state(&status, "waiting")["message"].as_str().unwrap();
    assert!(
        message.contains("no such program in the image"),
        "{message}"
    );
    node.retain(&[], Some(Duration::ZERO)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_containers_and_probes_gate_readiness() {
    let data = tempfile::tempdir().unwrap();
    let node = node(data.path()).await;
    let mut spec = pod("probed", &["serve", "8080", "fine"]);
    spec["spec"]["initContainers"] = json!([{"name": "first", "image": IMAGE, "args": ["write", "/shared/made", "by init"],
                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}]);
    let main = &mut spec["spec"]["containers"][0];
    main["ports"] = json!([{"name": "web", "containerPort": 8080}]);
    main["volumeMounts"] = json!([{"name": "shared", "mountPath": "/tmp"}]);
    main["startupProbe"] =
        json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 10});
    main["readinessProbe"] = json!({"exec": {"command": ["/tool", "cat", "/tmp/ready"]}, "periodSeconds": 1, "timeoutSeconds": 5});
    main["livenessProbe"] = json!({"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1, "failureThreshold": 2, "timeoutSeconds": 5});
    let resolved = Resolved {
        volumes: BTreeMap::from([(
            "shared".to_owned(),
            VolumeSource::EmptyDir { memory: false },
        )]),
        ..Resolved::default()
    };
    node.apply(&spec, resolved, "").unwrap();
    let status = until(&node, "uid-probed", "started", |s| {
        s["containerStatuses"][0]["started"] == true
    })
    .await;
    assert!(!condition(&status, "Ready") && condition(&status, "Initialized"));
    assert_eq!(
        tool_in(&node, "uid-probed", &["cat", "/tmp/made"]).await.1,
        "by init\n"
    );
    tool_in(&node, "uid-probed", &["write", "/tmp/ready", "yes"]).await;
    running(&node, "uid-probed").await;
    tool_in(&node, "uid-probed", &["write", "/tmp/unhealthy", "yes"]).await;
    let status = until(&node, "uid-probed", "a liveness restart", |s| {
        s["containerStatuses"][0]["restartCount"].as_u64() >= Some(1)
    })
    .await;
    let message = status["containerStatuses"][0]["lastState"]["terminated"]["message"]
        .as_str()
        .unwrap();
    assert!(
        message.contains("liveness probe failed") && message.contains("500"),
        "{message}"
    );
    node.retain(&[], Some(Duration::ZERO)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_carries_input_output_and_exit_code() {
    let data = tempfile::tempdir().unwrap();
    let node = node(data.path()).await;
    node.apply(&pod("exec", &["wait"]), Resolved::default(), "")
        .unwrap();
    running(&node, "uid-exec").await;
    let args = vec!["/tool".to_owned(), "echo".to_owned()];
    let mut child = node.exec("uid-exec", "main", args).await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"through the pipe").await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"through the pipe");
    let mut lines = node.follow_logs("uid-exec", "main", None).unwrap();
    assert_eq!(lines.recv().await.unwrap().text, "waiting");
    node.remove("uid-exec", None).await;
    assert!(
        node.exec("uid-exec", "main", vec!["/tool".to_owned()])
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_graceful_and_bounded() {
    let data = tempfile::tempdir().unwrap();
    let node = node(data.path()).await;
    node.apply(&pod("polite", &["wait"]), Resolved::default(), "")
        .unwrap();
    node.apply(&pod("rude", &["stubborn"]), Resolved::default(), "")
        .unwrap();
    running(&node, "uid-polite").await;
    running(&node, "uid-rude").await;
    let mut lines = node.follow_logs("uid-polite", "main", None).unwrap();
    assert_eq!(lines.recv().await.unwrap().text, "waiting");
    let began = Instant::now();
    node.remove("uid-polite", Some(Duration::from_secs(20)))
        .await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "SIGTERM was not heard"
    );
    let began = Instant::now();
    node.remove("uid-rude", Some(Duration::from_millis(300)))
        .await;
    assert!(
        began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(10)
    );
}

/// A pod that does nothing with the one volume there is.
fn with_volume(name: &str, data: &std::path::Path) -> (Value, Resolved) {
    let mut spec = pod(name, &["wait"]);
    spec["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "data", "mountPath": "/var/data"}]);
    let volume = VolumeSource::Persistent(data.join("volume"));
    let resolved = Resolved {
        volumes: BTreeMap::from([("data".to_owned(), volume)]),
        ..Resolved::default()
    };
    (spec, resolved)
}

/// The process that `a_killed_node_is_succeeded` kills: a node with two pods, one
/// of which has a volume that a third waits for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs only as a child of a_killed_node_is_succeeded"]
async fn doomed_node() {
    let Some(data) = std::env::var_os("CATALYST_TEST_DOOMED") else {
        return;
    };
    let data = std::path::PathBuf::from(data);
    let node = node(&data).await;
    node.apply(
        &pod("kept", &["serve", "80", "still here"]),
        Resolved::default(),
        "",
    )
    .unwrap();
    let (orphan, resolved) = with_volume("orphan", &data);
    node.apply(&orphan, resolved, "").unwrap();
    running(&node, "uid-kept").await;
    running(&node, "uid-orphan").await;
    let (heir, resolved) = with_volume("heir", &data);
    node.apply(&heir, resolved, "").unwrap();
    waits_for_the_orphan(&node).await;
    tool_in(
        &node,
        "uid-kept",
        &["write", "/tmp/mark", "before the kill"],
    )
    .await;
    std::fs::write(data.join("running"), "yes").unwrap();
    std::future::pending::<()>().await;
}

async fn waits_for_the_orphan(node: &Node) {
    let waiting = until(node, "uid-heir", "waiting for the volume", |s| {
        s["reason"] == "VolumeInUse"
    })
    .await;
    let said = waiting["message"].as_str().unwrap();
    assert!(said.contains("uid-orphan"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_succeeded() {
    let data = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "pods::doomed_node", "--ignored"])
        .env("CATALYST_TEST_DOOMED", data.path())
        .env("CATALYST_TEST_TOOL", crate::support::tool())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !data.path().join("running").exists() {
        assert!(
            Instant::now() < end && child.try_wait().unwrap().is_none(),
            "the first node never ran its pods"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let url = standard().serve().await;
    let busy = Node::open(config(data.path(), &url)).await;
    assert!(busy.is_err_and(|e| e.to_string().contains("another process")));
    child.kill().unwrap();
    child.wait().unwrap();

    let node = Node::open(config(data.path(), &url)).await.unwrap();
    let mut left: Vec<_> = node
        .left_behind()
        .into_iter()
        .map(|l| (l.uid, l.is_alive))
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            ("uid-heir".to_owned(), false),
            ("uid-kept".to_owned(), true),
            ("uid-orphan".to_owned(), true)
        ]
    );
    let orphan = process_of(data.path(), "uid-orphan");
    // What the orphan had is its own for as long as it lives.
    let (heir, resolved) = with_volume("heir", data.path());
    node.apply(&heir, resolved, "").unwrap();
    waits_for_the_orphan(&node).await;
    assert!(orphan.is_alive());
    let mut changes = node.changes();
    node.apply(
        &pod("kept", &["serve", "80", "still here"]),
        Resolved::default(),
        "",
    )
    .unwrap();
    let wanted = ["uid-kept".to_owned(), "uid-heir".to_owned()];
    node.retain(&wanted, Some(Duration::from_secs(5))).await;
    assert!(!orphan.is_alive());
    running(&node, "uid-heir").await;
    let status = running(&node, "uid-kept").await;
    assert_eq!(status["containerStatuses"][0]["restartCount"], 0);
    // Nobody has seen it wait.
    let first = loop {
        let (uid, first) = changes.recv().await.unwrap();
        if uid == "uid-kept" {
            break first;
        }
    };
    assert_eq!(first["containerStatuses"][0]["ready"], true, "{first:#}");
    // The very same container: what it wrote is still there.
    assert_eq!(
        tool_in(&node, "uid-kept", &["cat", "/tmp/mark"]).await.1,
        "before the kill\n"
    );
    assert!(
        http(node.connect("uid-kept", 80).await.unwrap())
            .await
            .ends_with("still here")
    );
    assert!(!data.path().join("pods/uid-orphan").exists());
    let kept = process_of(data.path(), "uid-kept");
    node.remove("uid-kept", None).await;
    assert!(!kept.is_alive());
    node.remove("uid-heir", None).await;
}

fn process_of(data: &std::path::Path, uid: &str) -> catalyst_node::process::ProcessId {
    let text = std::fs::read(
        data.join("pods")
            .join(uid)
            .join("containers/main/state.json"),
    )
    .unwrap();
    let state: catalyst_node::shim::spec::RunState = serde_json::from_slice(&text).unwrap();
    assert!(state.init.is_alive());
    state.init
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_limits_hold_where_the_machine_allows() {
    let data = tempfile::tempdir().unwrap();
    let node = node(data.path()).await;
    let limits = node
        .doctor()
        .findings
        .iter()
        .find(|f| f.what == "resource limits")
        .unwrap();
    if !limits.works {
        eprintln!(
            "skipped: this machine sets no limits for this user: {}",
            limits.detail
        );
        return;
    }
    let mut spec = pod("hungry", &["eat"]);
    spec["spec"]["restartPolicy"] = json!("Never");
    spec["spec"]["containers"][0]["resources"] =
        json!({"limits": {"memory": "32Mi", "cpu": "500m"}});
    node.apply(&spec, Resolved::default(), "").unwrap();
    let status = until(&node, "uid-hungry", "failed", |s| s["phase"] == "Failed").await;
    assert_eq!(
        state(&status, "terminated")["reason"],
        "OOMKilled",
        "{status:#}"
    );
    node.remove("uid-hungry", None).await;
}

#[test]
fn everything_again_as_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() || std::env::var_os("CATALYST_TEST_DOOMED").is_some() {
        eprintln!("skipped: already an ordinary user");
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, name: &str| {
        let to = folder.path().join(name);
        std::fs::copy(from, &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    let tests = copy(&std::env::current_exe().unwrap(), "tests");
    let shim = copy(&crate::support::shim(), "shim");
    let tool = copy(&crate::support::tool(), "tool");
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&temporary, Some(65534), Some(65534)).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&tests)
        .env("TMPDIR", &temporary)
        .env("CATALYST_TEST_SHIM", shim)
        .env("CATALYST_TEST_TOOL", tool)
        .current_dir("/")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: setpriv (util-linux) is not installed");
            return;
        }
        Err(e) => panic!("{e}"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{text}");
}
