package checks

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// Hetzner's limit on user_data, in bytes.
const limit = 32768

type cloudConfig struct {
	SSHPasswords *bool `yaml:"ssh_pwauth"`
	Packages     []string
	WriteFiles   []struct {
		Path, Permissions, Encoding, Content string
	} `yaml:"write_files"`
	Commands [][]string `yaml:"runcmd"`
}

// userData gives what each planned server would be started with.
func userData(t *testing.T, read plan) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, server := range read.ofType("hcloud_server", "") {
		text, known := server.Values["user_data"].(string)
		if !known {
			t.Fatalf("user_data of %s is unknown though its tokens are in the state", server.Address)
		}
		found[server.Address] = text
	}
	return found
}

// files parses user_data as cloud-init does and gives the files it would write.
func files(t *testing.T, address, text string) map[string]string {
	t.Helper()
	if !strings.HasPrefix(text, "#cloud-config\n") {
		t.Fatalf("%s: user_data does not begin with #cloud-config", address)
	}
	var parsed cloudConfig
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(false)
	if err := decoder.Decode(&parsed); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	if parsed.SSHPasswords == nil || *parsed.SSHPasswords {
		t.Errorf("%s: passwords may open SSH", address)
	}
	if len(parsed.Commands) != 2 || parsed.Commands[1][len(parsed.Commands[1])-1] != "catalyst-bootstrap.service" {
		t.Errorf("%s: runcmd %v", address, parsed.Commands)
	}
	written := map[string]string{}
	for _, file := range parsed.WriteFiles {
		content, err := base64.StdEncoding.DecodeString(file.Content)
		if err != nil {
			t.Fatalf("%s: %s: %v", address, file.Path, err)
		}
		if file.Encoding == "gz+b64" {
			unpacked, err := gzip.NewReader(bytes.NewReader(content))
			if err != nil {
				t.Fatalf("%s: %s: %v", address, file.Path, err)
			}
			if content, err = io.ReadAll(unpacked); err != nil {
				t.Fatalf("%s: %s: %v", address, file.Path, err)
			}
		} else if file.Encoding != "b64" {
			t.Errorf("%s: %s has the encoding %q", address, file.Path, file.Encoding)
		}
		written[file.Path] = string(content)
		holdsSecret := strings.Contains(string(content), serverToken) || strings.Contains(string(content), agentTokenSecret)
		if holdsSecret != (file.Path == "/etc/catalyst/bootstrap.json") {
			t.Errorf("%s: %s: a join token is in it: %v", address, file.Path, holdsSecret)
		}
		if holdsSecret && file.Permissions != "0600" {
			t.Errorf("%s: %s holds a secret with the permissions %s", address, file.Path, file.Permissions)
		}
	}
	return written
}

// scripts holds every shell script of a node against bash and shellcheck.
func scripts(t *testing.T, address string, written map[string]string) {
	t.Helper()
	checked := 0
	for path, content := range written {
		if !strings.HasPrefix(content, "#!") {
			continue
		}
		checked++
		if !strings.HasPrefix(content, "#!/usr/bin/env bash\n") {
			t.Errorf("%s: %s is not a bash script", address, path)
		}
		local := filepath.Join(t.TempDir(), filepath.Base(path))
		if err := os.WriteFile(local, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"bash", "-n", local}, {"shellcheck", "--shell=bash", local}} {
			if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %s: %v\n%s", address, path, command[0], err, output)
			}
		}
	}
	if checked == 0 {
		t.Errorf("%s: no script found", address)
	}
}

func settings(t *testing.T, written map[string]string) values {
	t.Helper()
	var read values
	if err := json.Unmarshal([]byte(written["/etc/catalyst/bootstrap.json"]), &read); err != nil {
		t.Fatalf("bootstrap.json: %v", err)
	}
	return read
}

// systemd orders nothing in a circle at a reboot half way: multi-user.target comes after
// what it wants has begun, cloud-init's last stage after multi-user.target (its unit on
// Debian and Ubuntu), and the script, not its unit, waits for cloud-init.
func TestTheUnitIsNoPartOfACycle(t *testing.T) {
	unit := string(read(t, filepath.Join(repository, "infra", "hetzner", "catalyst-bootstrap.service")))
	for _, line := range strings.Split(unit, "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if strings.Contains(line, "cloud-") {
			t.Errorf("the unit is ordered by %s", line)
		}
		// Of type oneshot it has begun only when it has ended.
		if strings.HasPrefix(line, "Type=") && line != "Type=exec" {
			t.Error(line)
		}
	}
	if !strings.Contains(unit, "\nWantedBy=multi-user.target\n") || !strings.Contains(unit, "\nRestart=on-failure\n") {
		t.Error("a reboot or a failure would end the bootstrap")
	}
}

func TestRenderedNodes(t *testing.T) {
	read, _ := planned(t, inputs(values{"worker_count": 2, "git_credentials": true}))
	documents := userData(t, read)
	if len(documents) != 5 {
		t.Fatalf("%d nodes, wanted 5", len(documents))
	}
	for address, text := range documents {
		written := files(t, address, text)
		scripts(t, address, written)
		node := settings(t, written)
		if node["joinUrl"] != "https://10.0.0.2:6443" {
			t.Errorf("%s joins at %v and not through the internal load balancer", address, node["joinUrl"])
		}
		if node["role"] == "worker" {
			if strings.Contains(text+fmt.Sprint(node), serverToken) {
				t.Errorf("%s: a worker has the servers' token", address)
			}
			if written["/etc/catalyst/cilium-values.yaml"] != "" {
				t.Errorf("%s: a worker carries what only a control plane needs", address)
			}
			continue
		}
		if node["nodeCount"] != 5.0 || node["gitPath"] != "./clusters/omantel.pool.example" || node["k3sVersion"] == nil {
			t.Errorf("%s: settings %v", address, node)
		}
		for _, name := range []string{"/etc/catalyst/cilium-values.yaml", "/etc/catalyst/metadata-policy.yaml"} {
			var document values
			if err := yaml.Unmarshal([]byte(written[name]), &document); err != nil || len(document) == 0 {
				t.Errorf("%s: %s: %v", address, name, err)
			}
		}
	}
	first := settings(t, files(t, "first", documents["hcloud_server.control_plane[0]"]))
	if names := fmt.Sprint(first["controlPlaneNames"]); names != "[omantel-pool-example-cp-1 omantel-pool-example-cp-2 omantel-pool-example-cp-3]" {
		t.Errorf("control planes %s", names)
	}
}

// One control plane: nodes join at its own private address.
func TestRenderedSingleControlPlane(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 1}))
	for address, text := range userData(t, read) {
		if url := settings(t, files(t, address, text))["joinUrl"]; url != "https://10.0.0.11:6443" {
			t.Errorf("%s joins at %v", address, url)
		}
	}
}

// The longest value that the validations let through for everything that ends
// up in user_data.
func TestLongestInputsFit(t *testing.T) {
	label := strings.Repeat("a", 63)
	domain := label + "." + label + "." + strings.Repeat("b", 42)
	if len(domain) != 170 {
		t.Fatalf("the domain has %d characters", len(domain))
	}
	read, _ := planned(t, inputs(values{
		"sovereign_fqdn": domain, "control_plane_count": 3, "worker_count": 50,
		"git_url": "https://git.example/" + strings.Repeat("r", 1024-len("https://git.example/")), "git_branch": strings.Repeat("b", 200),
		"git_credentials": true, "join_token_ttl_minutes": 240, "env_type": "prod",
		"k3s_version": "v1.99.99+k3s99", "cilium_version": "100.100.100", "flux_version": "v2.100.100", "helm_version": "v3.100.100", "gateway_api_version": "v100.100.100",
		"network_cidr": "172.16.0.0/16", "subnet_cidr": "172.16.240.0/20", "pod_cidr": "100.127.240.0/20", "service_cidr": "100.127.224.0/20",
	}))
	longest := 0
	for address, text := range userData(t, read) {
		if len(text) > limit {
			t.Errorf("%s: user_data has %d bytes, Hetzner takes %d", address, len(text), limit)
		}
		longest = max(longest, len(text))
		files(t, address, text)
	}
	t.Logf("the longest user_data has %d of %d bytes", longest, limit)
	for _, server := range read.ofType("hcloud_server", "") {
		if name := server.Values["name"].(string); len(name) > 63 {
			t.Errorf("%s is no host name", name)
		}
	}
}

// A Kubernetes Secret handed over must be one; everything else is refused
// before anything of the cluster is called.
func TestHandOverRefuses(t *testing.T) {
	script := filepath.Join(repository, "infra", "hetzner", "hand-over.sh")
	for name, input := range map[string]string{
		"nothing":           ``,
		"not JSON":          `token`,
		"another kind":      `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"b"}}`,
		"a mixed list":      `{"kind":"List","items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","namespace":"b"}},{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"b"}}]}`,
		"no namespace":      `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}`,
		"an empty list":     `{"kind":"List","items":[]}`,
		"another API group": `{"apiVersion":"example.org/v1","kind":"Secret","metadata":{"name":"a","namespace":"b"},"stringData":{"token":"canary-value"}}`,
	} {
		command := exec.Command("bash", script)
		command.Stdin = strings.NewReader(input)
		// No k3s here: were the input let through, the failure would say so.
		output, err := command.CombinedOutput()
		if err == nil {
			t.Errorf("%s: taken", name)
		}
		if strings.Contains(string(output), "k3s") || strings.Contains(string(output), "canary-value") {
			t.Errorf("%s: %s", name, output)
		}
	}
}
