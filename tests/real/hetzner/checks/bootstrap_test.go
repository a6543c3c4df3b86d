package checks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// node holds what a rendered server needs to run single steps of its own script.
type node struct{ folder, metadata string }

// nodeOf lays out the settings that the module rendered for a server.
func nodeOf(t *testing.T, text string) node {
	t.Helper()
	folder := t.TempDir()
	written := files(t, "node", text)
	for name, path := range map[string]string{"settings": "/etc/catalyst/bootstrap.json", "script": "/usr/local/sbin/catalyst-bootstrap"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(written[path]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	metadata := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		known := map[string]string{"/public-ipv4": "198.51.100.4", "/instance-id": "4711"}
		value, found := known[request.URL.Path]
		if !found {
			answer.WriteHeader(http.StatusNotFound)
		}
		_, _ = answer.Write([]byte(value))
	}))
	t.Cleanup(metadata.Close)
	return node{folder, metadata.URL}
}

// run reads the script and calls one of its functions, with the machine's paths
// led into the folder. What would go to the cluster is printed.
func (n node) run(t *testing.T, function string) string {
	t.Helper()
	program := `set -Eeuo pipefail
source "$1/script"
settings=$1/settings k3s_config=$1/config.yaml scratch=$1/scratch state=$1/state log_file=$1/log metadata=$2
mkdir -p "$scratch" "$state/done"
kubectl() { cat; }
` + function
	command := exec.Command("bash", "-c", program, "bash", n.folder, n.metadata)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", function, err, output)
	}
	return string(output)
}

func (n node) k3sConfig(t *testing.T) values {
	t.Helper()
	path := filepath.Join(n.folder, "config.yaml")
	if mode := must(os.Stat(path)).Mode().Perm(); mode != 0o600 {
		t.Errorf("k3s' configuration has the mode %o", mode)
	}
	var config values
	if err := yaml.Unmarshal(read(t, path), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// The API's certificate names every address at which it is asked: the public one is that
// of kubeconfig_command.
func TestK3sConfiguration(t *testing.T) {
	read, _ := planned(t, inputs(values{"worker_count": 1}))
	documents := userData(t, read)
	common := values{
		"node-external-ip": "198.51.100.4", "kubelet-arg": []any{"provider-id=hcloud://4711"},
		"node-label": []any{"openova.io/env-type=prod", "openova.io/host-cluster=hz-fsn-mgt-prod", "openova.io/sovereign=omantel-pool-example"},
	}
	server := values{
		"token": serverToken, "write-kubeconfig-mode": "0600", "flannel-backend": "none", "secrets-encryption": true,
		"cluster-cidr": "10.42.0.0/16", "service-cidr": "10.43.0.0/16",
		"disable": []any{"traefik", "servicelb", "local-storage"}, "disable-cloud-controller": true,
		"disable-helm-controller": true, "disable-kube-proxy": true, "disable-network-policy": true,
		"node-taint": []any{"node-role.kubernetes.io/control-plane=:NoSchedule"},
	}
	for address, wanted := range map[string]values{
		"hcloud_server.control_plane[0]": {"node-name": "omantel-pool-example-cp-1", "node-ip": "10.0.0.11", "advertise-address": "10.0.0.11", "cluster-init": true,
			"tls-san": []any{"10.0.0.2", "10.0.0.11", "api.hfmp.omantel.pool.example", "198.51.100.4"}},
		"hcloud_server.control_plane[2]": {"node-name": "omantel-pool-example-cp-3", "node-ip": "10.0.0.13", "advertise-address": "10.0.0.13", "server": "https://10.0.0.2:6443",
			"tls-san": []any{"10.0.0.2", "10.0.0.13", "api.hfmp.omantel.pool.example", "198.51.100.4"}},
		"hcloud_server.worker[0]": {"node-name": "omantel-pool-example-worker-1", "node-ip": "10.0.0.101", "server": "https://10.0.0.2:6443",
			"token": agentTokenID + "." + agentTokenSecret},
	} {
		step := "agent_config"
		if strings.Contains(address, "control_plane") {
			step = "server_config"
			for name, value := range server {
				wanted[name] = value
			}
		}
		for name, value := range common {
			wanted[name] = value
		}
		node := nodeOf(t, documents[address])
		// Twice: a step that ran already may run again.
		node.run(t, step)
		if output := node.run(t, step); strings.Contains(output, "canary") || strings.Contains(output, agentTokenSecret) {
			t.Errorf("%s: the step prints a token", address)
		}
		if config := node.k3sConfig(t); !reflect.DeepEqual(config, wanted) {
			t.Errorf("%s:\n%v\nwanted\n%v", address, config, wanted)
		}
	}
}

func TestObjectsOfTheFirstControlPlane(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 0, "git_credentials": true, "git_branch": "release"}))
	node := nodeOf(t, userData(t, read)["hcloud_server.control_plane[0]"])

	var token values
	if err := json.Unmarshal([]byte(node.run(t, "agent_token")), &token); err != nil {
		t.Fatal(err)
	}
	data := token["stringData"].(values)
	if token["kind"] != "Secret" || token["type"] != "bootstrap.kubernetes.io/token" || token["metadata"].(values)["name"] != "bootstrap-token-"+agentTokenID ||
		data["token-id"] != agentTokenID || data["token-secret"] != agentTokenSecret || data["expiration"] == "" {
		t.Errorf("the workers' token: %v", token)
	}

	var list struct{ Items []values }
	if err := json.Unmarshal([]byte(node.run(t, "flux_source")), &list); err != nil {
		t.Fatal(err)
	}
	source, apply := list.Items[0]["spec"].(values), list.Items[1]["spec"].(values)
	if source["url"] != "https://git.example/sovereigns" || source["ref"].(values)["branch"] != "release" || source["secretRef"].(values)["name"] != "sovereign-git" {
		t.Errorf("GitRepository %v", source)
	}
	if apply["path"] != "./clusters/omantel.pool.example" || apply["prune"] != true || apply["sourceRef"].(values)["name"] != "sovereign" {
		t.Errorf("Kustomization %v", apply)
	}
}

// What a killed helm left behind does not stand in the way of the next run.
func TestAPendingReleaseIsForgottenFirst(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 0}))
	node := nodeOf(t, userData(t, read)["hcloud_server.control_plane[0]"])
	output := node.run(t, `kubectl() { echo "kubectl $*"; }; helm() { echo "helm $*"; }; cilium`)
	forgets := "kubectl -n kube-system delete secret -l owner=helm,name=cilium,status in (pending-install,pending-upgrade,pending-rollback)\n"
	if begins := strings.Index(output, "helm upgrade --install cilium"); !strings.HasPrefix(output, forgets) || begins != len(forgets) {
		t.Errorf("%s", output)
	}
}

// A node that comes late is not kept out: the workers' token is renewed until all are there,
// and ends then.
func TestTheWorkersTokenIsRenewedWhileNodesAreMissing(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 1}))
	node := nodeOf(t, userData(t, read)["hcloud_server.control_plane[0]"])
	node.run(t, `server_token=$1/token; echo K10abc::server:another >"$server_token"
sleep() { SECONDS=$((SECONDS + 30)); }
kubectl() {
    case "$*" in
    "get nodes -o json")
        echo look >>"$scratch/calls"
        ready=1
        if [ "$(grep -c look "$scratch/calls")" -gt 4 ]; then ready=2; fi
        jq -n --argjson ready "$ready" '{items: [range($ready) | {status: {conditions: [{type: "Ready", status: "True"}]}}]}'
        ;;
    "apply --server-side --force-conflicts -f -")
        jq -r 'select(.type == "bootstrap.kubernetes.io/token") | "token \(.stringData["token-id"])"' >>"$scratch/calls" ;;
    *"delete secret"*) echo deleted >>"$scratch/calls" ;;
    *) ;;
    esac
}
rotate_token`)
	// Looked at every thirty seconds, renewed every sixty.
	token := "token " + agentTokenID + "\n"
	wanted := "look\n" + token + "look\nlook\n" + token + "look\nlook\ndeleted\n"
	if calls := string(must(os.ReadFile(filepath.Join(node.folder, "scratch", "calls")))); calls != wanted {
		t.Errorf("calls:\n%s", calls)
	}
}

// A node says of itself, as its kubelet, that it is done.
func TestANodeAnnouncesThatItIsDone(t *testing.T) {
	read, _ := planned(t, inputs(values{"worker_count": 1}))
	for address, name := range map[string]string{"hcloud_server.worker[0]": "omantel-pool-example-worker-1", "hcloud_server.control_plane[1]": "omantel-pool-example-cp-2"} {
		node := nodeOf(t, userData(t, read)[address])
		output := node.run(t, `kubectl() { echo "kubectl $*"; }; announce`)
		if wanted := "kubectl --kubeconfig /var/lib/rancher/k3s/agent/kubelet.kubeconfig annotate node " + name + " openova.io/bootstrap=done --overwrite\n"; output != wanted {
			t.Errorf("%s", output)
		}
	}
}

// A step that fails says where, in the log and in the status, and a step that is
// done is not run again.
func TestStepsAreRecorded(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 0}))
	node := nodeOf(t, userData(t, read)["hcloud_server.control_plane[0]"])
	node.run(t, `work() { echo worked >>"$scratch/count"; }; step one work; step one work`)
	if count := string(must(os.ReadFile(filepath.Join(node.folder, "scratch", "count")))); count != "worked\n" {
		t.Errorf("a finished step ran again: %q", count)
	}
	// In a shell of its own, since the failure ends it.
	output := node.run(t, `bash -c 'source "$0/script"; settings=$0/settings scratch=$0/scratch state=$0/state log_file=$0/log; step two false' "$1" || echo "exit code $?"`)
	var status values
	if err := json.Unmarshal(must(os.ReadFile(filepath.Join(node.folder, "state", "status.json"))), &status); err != nil {
		t.Fatal(err)
	}
	if status["state"] != "failed" || status["step"] != "two" || !strings.Contains(output, "exit code 1") {
		t.Errorf("status %v, output %s", status, output)
	}
	if log := string(must(os.ReadFile(filepath.Join(node.folder, "log")))); !strings.Contains(log, "one: done") || !strings.Contains(log, "two: FAILED") {
		t.Errorf("log %s", log)
	}
	if _, err := os.Stat(filepath.Join(node.folder, "state", "done", "two")); err == nil {
		t.Error("a failed step counts as done")
	}
}

// Killed at any moment while it erases tokens, a node has settings to go on with, and
// erases them then.
func TestRemovingCopiesCanBeCutOff(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 0}))
	document := userData(t, read)["hcloud_server.control_plane[0]"]
	paths := `cloud_state=$1/cloud cloud_run=$1/cloud-run cloud_off=$1/cloud-off; mkdir -p "$cloud_state"; `
	for _, killed := range []string{"jq", "chmod", "ln", "mv", "shred", "rm"} {
		node := nodeOf(t, document)
		settings := filepath.Join(node.folder, "settings")
		node.run(t, paths+`(`+killed+`() { exit 9; }; remove_copies) || true`)
		if !json.Valid(must(os.ReadFile(settings))) {
			t.Errorf("killed at %s, it has no settings", killed)
		}
		node.run(t, paths+"remove_copies")
		for _, name := range []string{"settings", "settings.old", "settings.new"} {
			content, err := os.ReadFile(filepath.Join(node.folder, name))
			if (name == "settings") != (err == nil) || strings.Contains(string(content), serverToken) {
				t.Errorf("killed at %s and gone on with: %s: %v\n%s", killed, name, err, content)
			}
		}
	}
}

// The unit does not begin again once the node has said that it is done, and not before.
func TestTheLastMarkComesAfterTheWordOfIt(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 1}))
	written := files(t, "worker", userData(t, read)["hcloud_server.worker[0]"])
	unit := written["/etc/systemd/system/catalyst-bootstrap.service"]
	if !strings.Contains(unit, "\nConditionPathExists=!/var/lib/catalyst/bootstrap/done/finished\n") {
		t.Errorf("the unit:\n%s", unit)
	}
	node := nodeOf(t, userData(t, read)["hcloud_server.worker[0]"])
	all := `cloud_init_ended() { :; }; tools() { :; }; step() { echo "$1"; }; `
	node.run(t, all+`(status() { exit 9; }; main) || true`)
	mark := filepath.Join(node.folder, "state", "done", "finished")
	if _, err := os.Stat(mark); err == nil {
		t.Error("it counts as finished and has not said so")
	}
	// A worker's steps, in order; the tokens are gone before it says that they are.
	output := node.run(t, all+"main")
	steps := "network\nk3s-binary\nk3s-config\nk3s-start\nremove-copies\nannounce\n"
	if _, err := os.Stat(mark); err != nil || !strings.Contains(output, steps) {
		t.Errorf("%v\n%s", err, output)
	}
	var status values
	if err := json.Unmarshal(must(os.ReadFile(filepath.Join(node.folder, "state", "status.json"))), &status); err != nil || status["state"] != "done" {
		t.Errorf("%v, %v", status, err)
	}
}

// The script begins once cloud-init has ended, however that was.
func TestCloudInitIsWaitedFor(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 0}))
	node := nodeOf(t, userData(t, read)["hcloud_server.control_plane[0]"])
	for code, wanted := range []string{"waiting until cloud-init has ended", "cloud-init ended with exit code 1", "cloud-init ended with exit code 2"} {
		output := node.run(t, fmt.Sprintf(`cloud-init() { echo "$*" >"$scratch/asked"; return %d; }; tools() { echo tools; exit 7; }; (main) || true`, code))
		if asked := string(must(os.ReadFile(filepath.Join(node.folder, "scratch", "asked")))); asked != "status --wait\n" {
			t.Errorf("cloud-init was asked for %q", asked)
		}
		if !strings.Contains(output, wanted) || !strings.Contains(output, "tools") {
			t.Errorf("exit code %d: %s", code, output)
		}
	}
}

// When a node is done, no file of cloud-init's and none of its settings holds a
// token, and cloud-init does not fetch user_data again.
func TestCopiesAreRemoved(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 0}))
	document := userData(t, read)["hcloud_server.control_plane[0]"]
	node := nodeOf(t, document)
	for _, name := range []string{
		"cloud/instances/1/user-data.txt", "cloud/instances/1/user-data.txt.i", "cloud/instances/1/cloud-config.txt",
		"cloud/instances/1/obj.pkl", "cloud/instances/1/vendor-data.txt", "cloud-run/instance-data-sensitive.json", "cloud-run/combined-cloud-config.json",
	} {
		path := filepath.Join(node.folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(document+serverToken+agentTokenSecret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(node.folder, "cloud", "instances", "1", "boot-finished")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Twice: it may have been interrupted after it was done and before it was recorded.
	node.run(t, `cloud_state=$1/cloud cloud_run=$1/cloud-run cloud_off=$1/cloud-off; remove_copies; remove_copies`)
	encoded := strings.Split(strings.SplitN(document, "content: ", 2)[1], "\n")[0]
	err := filepath.WalkDir(node.folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		for _, secret := range []string{serverToken, agentTokenSecret, encoded} {
			if strings.Contains(string(must(os.ReadFile(path))), secret) {
				t.Errorf("%s still holds a token", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{kept, filepath.Join(node.folder, "cloud-off"), filepath.Join(node.folder, "settings")} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%v", err)
		}
	}
}
