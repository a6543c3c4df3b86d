package checks

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The tokens that random_password would have made, put into the state, so that
// the plan shows user_data as a server would get it.
const (
	serverToken      = "canaryServerToken000000000000000000000000000000A"
	agentTokenID     = "canary"
	agentTokenSecret = "agentsecret00000"
)

type plan struct {
	PlannedValues struct {
		Outputs    map[string]struct{ Sensitive bool }
		RootModule struct {
			Resources []resource
		} `json:"root_module"`
	} `json:"planned_values"`
}

type resource struct {
	Address, Type, Name string
	Values              values
}

func (p plan) ofType(kind, name string) []resource {
	var found []resource
	for _, resource := range p.PlannedValues.RootModule.Resources {
		if resource.Type == kind && (name == "" || resource.Name == name) {
			found = append(found, resource)
		}
	}
	return found
}

// planned runs init, validate and plan in a staged copy and reads the plan.
func planned(t *testing.T, variables values) (plan, string) {
	t.Helper()
	folder := stage(t)
	writeJSON(t, filepath.Join(folder, "tofu.auto.tfvars.json"), variables)
	writeJSON(t, filepath.Join(folder, "terraform.tfstate"), stateWithTokens())
	tofuMust(t, folder, "init", "-no-color")
	tofuMust(t, folder, "validate", "-no-color")
	printed := tofuMust(t, folder, "plan", "-no-color", "-out=plan.bin")
	for _, secret := range []string{serverToken, agentTokenSecret} {
		if strings.Contains(printed, secret) {
			t.Errorf("the plan prints a join token")
		}
	}
	var read plan
	if err := json.Unmarshal([]byte(tofuMust(t, folder, "show", "-json", "plan.bin")), &read); err != nil {
		t.Fatal(err)
	}
	return read, folder
}

func stateWithTokens() values {
	var resources []values
	for name, result := range map[string]string{
		"server_token": serverToken, "agent_token_id": agentTokenID, "agent_token_secret": agentTokenSecret,
	} {
		// What the provider would have stored for these arguments.
		upper := name == "server_token"
		resources = append(resources, values{
			"mode": "managed", "type": "random_password", "name": name,
			"provider": `provider["registry.opentofu.org/hashicorp/random"]`,
			"instances": []values{{"schema_version": 3, "attributes": values{
				"id": "none", "length": len(result), "special": false, "upper": upper, "lower": true, "numeric": true,
				"min_lower": 0, "min_upper": 0, "min_numeric": 0, "min_special": 0,
				"keepers": nil, "override_special": nil, "result": result, "bcrypt_hash": "x",
			}}},
		})
	}
	return values{
		"version": 4, "terraform_version": "1.9.0", "serial": 1,
		"lineage": "11111111-2222-3333-4444-555555555555", "outputs": values{}, "resources": resources,
	}
}

func TestFormat(t *testing.T) {
	tofuMust(t, filepath.Join(repository, "infra", "hetzner"), "fmt", "-check", "-diff", "-recursive")
}

func TestPlans(t *testing.T) {
	for _, controlPlanes := range []int{1, 3} {
		for _, mode := range []string{"byo", "pool"} {
			t.Run(fmt.Sprintf("%d-%s", controlPlanes, mode), func(t *testing.T) {
				changes := values{"control_plane_count": controlPlanes, "domain_mode": mode, "worker_count": 12}
				if mode == "pool" {
					changes["dns_zone"] = "pool.example"
				}
				read, folder := planned(t, inputs(changes))
				checkPlan(t, read, controlPlanes, mode)

				output, err := tofu(folder, "apply", "-no-color", "plan.bin")
				if err == nil || !strings.Contains(output, "never applies") {
					t.Errorf("the schema-only provider applied something: %v\n%s", err, output)
				}
			})
		}
	}
}

func checkPlan(t *testing.T, read plan, controlPlanes int, mode string) {
	t.Helper()
	balancers, records := 1, 0
	if controlPlanes == 3 {
		balancers = 2
	}
	if mode == "pool" {
		records = 4
	}
	for kind, wanted := range map[string]int{
		"hcloud_network": 1, "hcloud_network_subnet": 1, "hcloud_firewall": 1, "hcloud_ssh_key": 1,
		"hcloud_placement_group": 3, // a spread group holds ten: twelve workers need two
		"hcloud_server":          controlPlanes + 12, "hcloud_load_balancer": balancers,
		"hcloud_load_balancer_network": balancers, "hcloud_zone_rrset": records,
	} {
		if found := len(read.ofType(kind, "")); found != wanted {
			t.Errorf("%d of %s, wanted %d", found, kind, wanted)
		}
	}

	var outputs []string
	for name := range read.PlannedValues.Outputs {
		outputs = append(outputs, name)
	}
	for _, name := range []string{"control_plane_ip", "load_balancer_ip", "control_plane_ips", "sovereign_fqdn", "console_url", "kubeconfig_command"} {
		if !slices.Contains(outputs, name) {
			t.Errorf("no output %s", name)
		}
	}

	// Reachable from outside: 22 and 6443 from the administrators, nothing else.
	rules := map[string]any{}
	for _, rule := range read.ofType("hcloud_firewall", "")[0].Values["rule"].([]any) {
		rule := rule.(values)
		if rule["direction"] != "in" || rule["protocol"] != "tcp" {
			t.Errorf("rule %v", rule)
		}
		rules[rule["port"].(string)] = rule["source_ips"]
	}
	administrators := []any{"203.0.113.7/32"}
	if !reflect.DeepEqual(rules, map[string]any{"22": administrators, "6443": administrators}) {
		t.Errorf("firewall rules %v", rules)
	}

	// The public balancer serves 80 and 443 with health checks; the one to join
	// through serves 6443 and has no public interface.
	ports := map[string][]float64{}
	for _, service := range read.ofType("hcloud_load_balancer_service", "") {
		port := service.Values["listen_port"].(float64)
		ports[service.Name] = append(ports[service.Name], port)
		check := service.Values["health_check"].([]any)[0].(values)
		if proxied := service.Values["proxyprotocol"] == true; proxied != (service.Name == "public") {
			t.Errorf("%s: tells clients' addresses: %v; the Gateway needs that, and what joins does not know it", service.Address, proxied)
		}
		if check["port"] != port || service.Values["destination_port"] != port {
			t.Errorf("%s: checks %v, sends to %v", service.Address, check["port"], service.Values["destination_port"])
		}
	}
	for name := range ports {
		slices.Sort(ports[name])
	}
	wanted := map[string][]float64{"public": {80, 443}}
	if controlPlanes == 3 {
		wanted["join"] = []float64{6443}
		if read.ofType("hcloud_load_balancer_network", "join")[0].Values["enable_public_interface"] != false {
			t.Error("the load balancer that nodes join through has a public interface")
		}
	}
	if !reflect.DeepEqual(ports, wanted) {
		t.Errorf("load balancers serve %v, wanted %v", ports, wanted)
	}
	target := read.ofType("hcloud_load_balancer_target", "public")[0].Values
	if target["label_selector"] != "openova.io/sovereign=omantel-pool-example,openova.io/role=worker" || target["use_private_ip"] != true {
		t.Errorf("public target %v", target)
	}

	seen := map[string]bool{}
	for _, resource := range read.PlannedValues.RootModule.Resources {
		labels, has := resource.Values["labels"].(values)
		if has && (labels["openova.io/sovereign"] != "omantel-pool-example" || labels["openova.io/host-cluster"] != "hz-fsn-mgt-prod") {
			t.Errorf("%s has labels %v", resource.Address, labels)
		}
		if resource.Type != "hcloud_server" {
			continue
		}
		if resource.Values["location"] != "fsn1" || resource.Values["image"] != "ubuntu-24.04" {
			t.Errorf("%s: %v", resource.Address, resource.Values)
		}
		address := resource.Values["network"].([]any)[0].(values)["ip"].(string)
		if seen[address] {
			t.Errorf("two nodes have the address %s", address)
		}
		seen[address] = true
	}
	if zone := read.ofType("hcloud_network_subnet", "")[0].Values["network_zone"]; zone != "eu-central" {
		t.Errorf("network zone %v", zone)
	}

	names := map[string]bool{}
	for _, record := range read.ofType("hcloud_zone_rrset", "") {
		names[fmt.Sprint(record.Values["zone"], " ", record.Values["name"], " ", record.Values["type"])] = true
	}
	if mode == "pool" {
		for _, name := range []string{"pool.example omantel A", "pool.example omantel AAAA", "pool.example *.omantel A", "pool.example *.omantel AAAA"} {
			if !names[name] {
				t.Errorf("no record %s in %v", name, names)
			}
		}
	}
}

// Nodes without workers serve the public load balancer themselves.
func TestControlPlanesServeWhereThereAreNoWorkers(t *testing.T) {
	read, _ := planned(t, inputs(values{"control_plane_count": 1, "worker_count": 0}))
	target := read.ofType("hcloud_load_balancer_target", "public")[0].Values
	if target["label_selector"] != "openova.io/sovereign=omantel-pool-example,openova.io/role=control-plane" {
		t.Errorf("public target %v", target)
	}
	if found := read.ofType("hcloud_load_balancer", "join"); len(found) != 0 {
		t.Errorf("one control plane has a load balancer to join through: %v", found)
	}
}

// Without values in the state the tokens are the provider's to make, and nothing
// that a plan knows beforehand, such as names, goes into them.
func TestTokensAreUnknownBeforeApply(t *testing.T) {
	folder := stage(t)
	writeJSON(t, filepath.Join(folder, "tofu.auto.tfvars.json"), inputs(nil))
	tofuMust(t, folder, "init", "-no-color")
	tofuMust(t, folder, "plan", "-no-color", "-out=plan.bin")
	var read plan
	if err := json.Unmarshal([]byte(tofuMust(t, folder, "show", "-json", "plan.bin")), &read); err != nil {
		t.Fatal(err)
	}
	for _, token := range read.ofType("random_password", "") {
		if _, known := token.Values["result"]; known {
			t.Errorf("%s is known before apply", token.Address)
		}
	}
	for _, server := range read.ofType("hcloud_server", "") {
		if _, known := server.Values["user_data"]; known {
			t.Errorf("user_data of %s is known before apply, so its token follows from the inputs", server.Address)
		}
	}
}
