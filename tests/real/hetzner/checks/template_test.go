package checks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func template() string { return filepath.Join(repository, "clusters", "_template") }

// documents parses every object of a YAML file.
func documents(t *testing.T, name string, content []byte) []values {
	t.Helper()
	var found []values
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var document values
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if document != nil {
			found = append(found, document)
		}
	}
}

// at walks a path of keys and gives nil where it ends early.
func at(object any, path ...string) any {
	for _, key := range path {
		inner, ok := object.(values)
		if !ok {
			return nil
		}
		object = inner[key]
	}
	return object
}

func list(object any, path ...string) []any {
	found, _ := at(object, path...).([]any)
	return found
}

func templateFiles(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(template(), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".yaml") {
			found[strings.TrimPrefix(path, template()+"/")] = read(t, path)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("clusters/_template: %d files, %v", len(found), err)
	}
	return found
}

// build runs the real kustomize, as Flux does.
func build(t *testing.T, folder string) []values {
	t.Helper()
	output, err := exec.Command("kubectl", "kustomize", folder).Output()
	if err != nil {
		t.Fatalf("kubectl kustomize %s: %v", folder, err)
	}
	return documents(t, folder, output)
}

// parts gives the Flux Kustomizations in the order of their files.
func parts(t *testing.T) []values {
	t.Helper()
	var order []string
	for _, name := range list(documents(t, "kustomization.yaml", read(t, filepath.Join(template(), "kustomization.yaml")))[0], "resources") {
		if name != "settings.yaml" {
			order = append(order, name.(string))
		}
	}
	if !slices.IsSorted(order) {
		t.Errorf("kustomization.yaml does not list the parts by number: %v", order)
	}
	var found []values
	for _, name := range order {
		found = append(found, documents(t, name, read(t, filepath.Join(template(), name)))...)
	}
	return found
}

func TestPartsInOrder(t *testing.T) {
	var names []string
	for _, part := range parts(t) {
		name := at(part, "metadata", "name").(string)
		if part["kind"] != "Kustomization" || part["apiVersion"] != "kustomize.toolkit.fluxcd.io/v1" {
			t.Errorf("%s is a %v", name, part["kind"])
		}
		for _, edge := range list(part, "spec", "dependsOn") {
			if on := at(edge, "name"); !slices.Contains(names, on.(string)) {
				t.Errorf("%s depends on %v, which is not an earlier part", name, on)
			}
		}
		if at(part, "spec", "wait") != true || at(part, "spec", "timeout") == nil {
			t.Errorf("%s has no health gate", name)
		}
		if path := at(part, "spec", "path"); path != "./clusters/_template/parts/"+name {
			t.Errorf("%s applies %v", name, path)
		}
		names = append(names, name)
	}
	// What a Sovereign consists of, in this order; other parts may stand between.
	position := -1
	for _, name := range []string{"cilium", "hcloud-ccm", "hcloud-csi", "cert-manager", "flux", "crossplane", "crossplane-config", "spire",
		"nats-jetstream", "openbao", "external-secrets", "postgres", "keycloak", "gitea", "kyverno", "vcluster", "catalyst"} {
		found := slices.Index(names, name)
		if found <= position {
			t.Errorf("%s is at place %d, after %d", name, found, position)
		}
		position = found
	}
}

// Every part is what kustomize can build and what Flux can order.
func TestPartsBuild(t *testing.T) {
	if found := build(t, template()); len(found) != len(parts(t))+1 {
		t.Errorf("the folder builds to %d objects", len(found))
	}
	exact := regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$`)
	for _, part := range parts(t) {
		name := at(part, "metadata", "name").(string)
		folder := filepath.Join(template(), "parts", name)
		releases := map[string]bool{}
		objects := build(t, folder)
		for _, object := range objects {
			if object["kind"] == "HelmRelease" {
				releases[fmt.Sprint(at(object, "metadata", "name"))] = true
			}
		}
		for _, object := range objects {
			what := fmt.Sprintf("parts/%s: %v %v", name, object["kind"], at(object, "metadata", "name"))
			switch object["kind"] {
			case "HelmRelease":
				if at(object, "apiVersion") != "helm.toolkit.fluxcd.io/v2" {
					t.Errorf("%s has the version %v", what, object["apiVersion"])
				}
				if at(object, "spec", "chartRef") == nil && !exact.MatchString(fmt.Sprint(at(object, "spec", "chart", "spec", "version"))) {
					t.Errorf("%s has no exact version", what)
				}
				for _, edge := range list(object, "spec", "dependsOn") {
					if !releases[fmt.Sprint(at(edge, "name"))] {
						t.Errorf("%s depends on %v, which is no HelmRelease beside it", what, at(edge, "name"))
					}
				}
			case "GitRepository", "OCIRepository":
				if !exact.MatchString(fmt.Sprint(at(object, "spec", "ref", "tag"))) {
					t.Errorf("%s is not pinned", what)
				}
			case "CoreProvider", "InfrastructureProvider":
				if !exact.MatchString(fmt.Sprint(at(object, "spec", "version"))) {
					t.Errorf("%s is not pinned", what)
				}
				if !gated(part, object) {
					t.Errorf("%s has no health gate of its own: `wait` alone takes it for ready as soon as it is there", what)
				}
			case "Provider":
				reference := fmt.Sprint(at(object, "spec", "package"))
				if !exact.MatchString(reference[strings.LastIndex(reference, ":")+1:]) {
					t.Errorf("%s is not pinned", what)
				}
			}
		}
	}
}

// gated tells whether a part says when objects of this kind are ready.
func gated(part, object values) bool {
	return slices.ContainsFunc(list(part, "spec", "healthCheckExprs"), func(check any) bool {
		return at(check, "kind") == object["kind"] && at(check, "apiVersion") == object["apiVersion"]
	})
}

// The operator's chart adds providers without a version to any that its values name.
func TestProvidersAreNoValuesOfTheOperator(t *testing.T) {
	if found := release(t, "cluster-api", "cluster-api-operator"); found != nil {
		t.Errorf("the operator has values: %v", found)
	}
}

// A part is suspended as a whole or not at all: a health gate waits for ever on an
// object that nobody reconciles, and the part would never be Ready.
func TestOnlyWholePartsAreSuspended(t *testing.T) {
	var suspended []string
	for _, part := range parts(t) {
		name := at(part, "metadata", "name").(string)
		if at(part, "spec", "suspend") == true {
			suspended = append(suspended, name)
		}
		for _, object := range build(t, filepath.Join(template(), "parts", name)) {
			if at(object, "spec", "suspend") != nil {
				t.Errorf("parts/%s: %v %v is suspended by itself", name, object["kind"], at(object, "metadata", "name"))
			}
		}
	}
	// What is not published yet.
	if !slices.Equal(suspended, []string{"cluster-api", "vcluster", "catalyst"}) {
		t.Errorf("suspended: %v", suspended)
	}
	// What runs must not wait for what does not.
	for _, part := range parts(t) {
		if at(part, "spec", "suspend") == true {
			continue
		}
		for _, edge := range list(part, "spec", "dependsOn") {
			if on := at(edge, "name"); slices.Contains(suspended, on.(string)) {
				t.Errorf("%v depends on %v, which is suspended", at(part, "metadata", "name"), on)
			}
		}
	}
}

// release gives the values of a part's HelmRelease.
func release(t *testing.T, part, name string) any {
	t.Helper()
	for _, object := range build(t, filepath.Join(template(), "parts", part)) {
		if object["kind"] == "HelmRelease" && at(object, "metadata", "name") == name {
			return at(object, "spec", "values")
		}
	}
	t.Fatalf("parts/%s has no HelmRelease %s", part, name)
	return nil
}

// The addresses of a node have one writer, the kubelet: k3s gives it the private one and
// tells it of no other cloud provider (TestK3sConfiguration). The cloud's controller knows
// the network, so that load balancers reach nodes whose firewall lets nothing in.
func TestCloudControllerLeavesNodesTheirAddresses(t *testing.T) {
	found := release(t, "hcloud-ccm", "hcloud-cloud-controller-manager")
	for _, wanted := range []struct {
		value any
		path  []string
	}{
		{"*,-cloud-node-controller", []string{"args", "controllers"}},
		{true, []string{"networking", "enabled"}},
		{"${pod_cidr}", []string{"networking", "clusterCIDR"}},
		{"false", []string{"env", "HCLOUD_NETWORK_ROUTES_ENABLED", "value"}},
		{"true", []string{"env", "HCLOUD_LOAD_BALANCERS_USE_PRIVATE_IP", "value"}},
	} {
		if value := at(found, wanted.path...); value != wanted.value {
			t.Errorf("%s is %v, wanted %v", strings.Join(wanted.path, "."), value, wanted.value)
		}
	}
	// The chart reads the network's name from there; cluster.rs hands it over.
	readme := string(read(t, filepath.Join(template(), "README.md")))
	if !strings.Contains(readme, "| `kube-system/hcloud` | `token`; `network`") {
		t.Error("the Secret kube-system/hcloud has no network")
	}
}

// With one member NATS runs by itself: in a cluster of one, JetStream never becomes ready.
func TestNatsIsAClusterWhereItHasMembers(t *testing.T) {
	cluster := at(release(t, "nats-jetstream", "nats"), "config", "cluster")
	if enabled, replicas := at(cluster, "enabled"), at(cluster, "replicas"); enabled != "${clustered}" || replicas != "${replicas}" {
		t.Errorf("a cluster where %v, of %v", enabled, replicas)
	}
}

// Only the first member of OpenBao initializes the cluster, and only where no other has
// one; the script that chooses is run as it stands. A member that follows `initialize`
// while it joins makes a cluster of its own.
func TestOneMemberOfOpenBaoInitializes(t *testing.T) {
	server := at(release(t, "openbao", "openbao"), "server")
	config := fmt.Sprint(at(server, "ha", "raft", "config"))
	if strings.Contains(config, "initialize") {
		t.Error("every member initializes")
	}
	for member := range 3 {
		if address := fmt.Sprintf(`leader_api_addr = "http://openbao-%d.openbao-internal:8200"`, member); !strings.Contains(config, address) {
			t.Errorf("no member joins openbao-%d", member)
		}
	}
	// One file each, and not a second one beside it: in its code up to 46358039 OpenBao's Merge of
	// two configurations has no `initialize` (command/server/config.go).
	mount := values{"name": "chosen", "mountPath": "/openbao/config/extraconfig-from-values.hcl", "subPath": "server.hcl", "readOnly": true}
	if mounts := list(server, "volumeMounts"); !slices.ContainsFunc(mounts, func(found any) bool { return reflect.DeepEqual(found, any(mount)) }) {
		t.Errorf("OpenBao does not read what was chosen: %v", mounts)
	}
	if found := at(server, "extraArgs"); found != nil {
		t.Errorf("OpenBao is given %v", found)
	}
	var initialize string
	for _, object := range build(t, filepath.Join(template(), "parts", "openbao")) {
		if object["kind"] == "ConfigMap" {
			initialize = fmt.Sprint(at(object, "data", "initialize.hcl"))
		}
	}
	command := list(list(server, "extraInitContainers")[0], "command")
	for _, run := range []struct {
		name, answers, wanted string
	}{
		{"openbao-0", "nobody", config + "\n" + initialize},
		{"openbao-0", "openbao-1", config},
		{"openbao-0", "openbao-2", config},
		{"openbao-1", "nobody", config},
		{"openbao-2", "openbao-0", config},
	} {
		folder := t.TempDir()
		for name, content := range map[string]string{
			"initialize.hcl":              initialize,
			"extraconfig-from-values.hcl": config,
			// Members that have not begun have no address.
			"wget": `#!/bin/sh
for url; do :; done
case $url in
http://` + run.answers + `.openbao-internal:8200/v1/sys/seal-status) echo '{"type":"static","initialized":true,"sealed":false}' ;;
*openbao-2*) echo '{"type":"static","initialized":false,"sealed":true}' ;;
*) exit 1 ;;
esac
`,
		} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		chosen := filepath.Join(folder, "chosen")
		if err := os.Mkdir(chosen, 0o700); err != nil {
			t.Fatal(err)
		}
		script := strings.NewReplacer("/openbao/chosen", chosen, "/openbao/initialize", folder, "/openbao/config", folder).Replace(command[2].(string))
		program := exec.Command(command[0].(string), command[1].(string), script)
		program.Env = []string{"HOSTNAME=" + run.name, "PATH=" + folder + ":" + os.Getenv("PATH")}
		if output, err := program.CombinedOutput(); err != nil {
			t.Fatalf("%s where %s answers: %v\n%s", run.name, run.answers, err, output)
		}
		if found := string(read(t, filepath.Join(chosen, "server.hcl"))); found != run.wanted {
			t.Errorf("%s where %s answers: %s", run.name, run.answers, found)
		}
	}
}

// A destroy finds the volumes that it leaves by the label of all that is the Sovereign's.
func TestVolumesCarryTheSovereignsLabel(t *testing.T) {
	labels := at(release(t, "hcloud-csi", "hcloud-csi"), "controller", "volumeExtraLabels")
	if found := at(labels, "openova.io/sovereign"); found != "${sovereign_name}" {
		t.Errorf("volumes carry %v", labels)
	}
}

// The public balancer sends each connection with its client's address, which the Gateway
// must read, and then takes nothing else.
func TestTheGatewayTakesWhatTheBalancerSends(t *testing.T) {
	if found := at(release(t, "cilium", "cilium"), "gatewayAPI", "enableProxyProtocol"); found != true {
		t.Errorf("enableProxyProtocol is %v, and the balancer speaks the PROXY protocol", found)
	}
}

// Each version has the source it was read from right above it, or says that it has none
// and is listed where people look for what may not work.
func TestVersionsCiteTheirSource(t *testing.T) {
	isSaid := func(line string) bool {
		return strings.Contains(line, "# Source: ") || strings.Contains(line, "# Unconfirmed: ")
	}
	docs := string(read(t, filepath.Join(template(), "../../docs/SOVEREIGN-PROVISIONING.md")))
	pinned := regexp.MustCompile(`^\s*(version|tag|package): v?[0-9]+\.|^\s*package: `)
	cited := regexp.MustCompile(`@v([0-9]+\.[0-9]+\.[0-9]+)`)
	count := 0
	for name, content := range templateFiles(t) {
		lines := strings.Split(string(content), "\n")
		for index, line := range lines {
			if !pinned.MatchString(line) {
				continue
			}
			count++
			above := index - 1
			for above >= 0 && strings.HasPrefix(strings.TrimSpace(lines[above]), "#") && !isSaid(lines[above]) {
				above--
			}
			if above < 0 || !isSaid(lines[above]) {
				t.Errorf("%s:%d: %s has no source", name, index+1, strings.TrimSpace(line))
				continue
			}
			// A source of another version than what is pinned has to say what it says.
			source := strings.Join(lines[above:index], "\n")
			_, version, _ := strings.Cut(line, ": ")
			version = strings.TrimPrefix(version, "v")
			if strings.Contains(lines[above], "# Unconfirmed: ") && !strings.Contains(docs, " "+version+" (`parts/"+strings.Split(name, "/")[1]+"`)") {
				t.Errorf("%s:%d: docs/SOVEREIGN-PROVISIONING.md does not list %s as unconfirmed", name, index+1, version)
			}
			if strings.Contains(source, "in public use") {
				t.Errorf("%s:%d: the source of %s is no address", name, index+1, version)
			}
			if found := cited.FindStringSubmatch(source); found != nil && found[1] != version && !strings.Contains(source, version) {
				t.Errorf("%s:%d: the source of %s is of %s, and does not say why", name, index+1, version, found[1])
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d versions found", count)
	}
}

func TestNoSecretInTheTemplate(t *testing.T) {
	// Keys that would hold a secret by value, and the shapes of well-known ones.
	named := regexp.MustCompile(`(?i)^\s*-?\s*([a-z_-]*(password|passwd|token|secret[_-]?key|apikey|api[_-]key|credential|private[_-]?key))\s*:\s*["']?([^\s"'{#]+)`)
	shaped := regexp.MustCompile(`-----BEGIN|AGE-SECRET-KEY|ENC\[|\bAg[A-Za-z0-9+/]{100,}|ghp_[A-Za-z0-9]{20}|eyJ[A-Za-z0-9_-]{20}|\b[A-Za-z0-9]{64}\b`)
	digest := regexp.MustCompile(`[0-9a-f]{40}`)
	for name, content := range templateFiles(t) {
		for _, object := range documents(t, name, content) {
			if kind := fmt.Sprint(object["kind"]); kind == "Secret" || kind == "SealedSecret" || object["sops"] != nil {
				t.Errorf("%s holds a %s", name, kind)
			}
		}
		for index, line := range strings.Split(string(content), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			if match := named.FindStringSubmatch(line); match != nil {
				t.Errorf("%s:%d gives %s a value", name, index+1, match[1])
			}
			if shaped.MatchString(digest.ReplaceAllString(line, "")) {
				t.Errorf("%s:%d looks like a secret", name, index+1)
			}
		}
	}
}

// Every variable that a part uses is in settings.yaml, and none is there for nothing.
func TestSettingsAreUsed(t *testing.T) {
	variable := regexp.MustCompile(`\$\{([a-z_]+)\}`)
	used := map[string]bool{}
	files := templateFiles(t)
	for _, content := range files {
		for _, match := range variable.FindAllStringSubmatch(string(content), -1) {
			used[match[1]] = true
		}
	}
	set := map[string]bool{}
	for name := range at(documents(t, "settings.yaml", files["settings.yaml"])[0], "data").(values) {
		set[name] = true
	}
	if !reflect.DeepEqual(used, set) {
		t.Errorf("used %v, set %v", used, set)
	}
}

// The first control plane installs Cilium and Flux before Flux reads this folder:
// the same versions and values, or the first thing that Flux did would be a change.
func TestBootstrapAndFluxAgree(t *testing.T) {
	defaults := map[string]string{}
	variables := string(read(t, filepath.Join(repository, "infra", "hetzner", "variables.tf")))
	for _, match := range regexp.MustCompile(`(?s)variable "([a-z0-9_]+)" \{.*?\n\}`).FindAllStringSubmatch(variables, -1) {
		if value := regexp.MustCompile(`default\s+= "([^"]*)"`).FindStringSubmatch(match[0]); value != nil {
			defaults[match[1]] = value[1]
		}
	}
	release := build(t, filepath.Join(template(), "parts", "cilium"))
	var cilium, policy values
	for _, object := range release {
		switch object["kind"] {
		case "HelmRelease":
			cilium = object
		case "CiliumClusterwideNetworkPolicy":
			policy = object
		}
	}
	if version := at(cilium, "spec", "chart", "spec", "version"); version != defaults["cilium_version"] {
		t.Errorf("Cilium %v here, %s at bootstrap", version, defaults["cilium_version"])
	}
	infra := filepath.Join(repository, "infra", "hetzner")
	if bootstrap := documents(t, "cilium-values.yaml", read(t, filepath.Join(infra, "cilium-values.yaml")))[0]; !reflect.DeepEqual(at(cilium, "spec", "values"), any(bootstrap)) {
		t.Errorf("Cilium's values differ:\n%v\nat bootstrap\n%v", at(cilium, "spec", "values"), bootstrap)
	}
	if bootstrap := documents(t, "metadata-policy.yaml", read(t, filepath.Join(infra, "metadata-policy.yaml")))[0]; !reflect.DeepEqual(policy, bootstrap) {
		t.Errorf("the policy for the metadata address differs:\n%v\nat bootstrap\n%v", policy, bootstrap)
	}
	for part, variable := range map[string]string{"flux": "flux_version", "gateway-api": "gateway_api_version"} {
		for _, object := range build(t, filepath.Join(template(), "parts", part)) {
			if tag := at(object, "spec", "ref", "tag"); tag != nil && tag != defaults[variable] {
				t.Errorf("%s is %v here, %s at bootstrap", part, tag, defaults[variable])
			}
		}
	}
}
