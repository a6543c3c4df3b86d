package checks

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A value of one variable (with whatever else must change with it), and for a
// bad one a part of what OpenTofu must say.
type trial struct {
	change values
	says   string
}

var key = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

func some(name string, list ...any) []trial {
	var trials []trial
	for _, value := range list {
		trials = append(trials, trial{change: values{name: value}})
	}
	return trials
}

func says(text, name string, list ...any) []trial {
	trials := some(name, list...)
	for index := range trials {
		trials[index].says = text
	}
	return trials
}

func all(lists ...[]trial) []trial {
	var trials []trial
	for _, list := range lists {
		trials = append(trials, list...)
	}
	return trials
}

var good = map[string][]trial{
	"sovereign_fqdn":            some("sovereign_fqdn", "a.io", "omantel.example", "e2e-7.openova.io", "xn--bcher-kva.example"),
	"region":                    some("region", "fsn", "nbg", "hel", "ash", "hil", "sin"),
	"extra_regions":             {{change: values{"region": "muc", "extra_regions": values{"muc": values{"location": "muc1", "network_zone": "eu-central", "letter": "m"}}}}},
	"building_block":            some("building_block", "mgt", "rtz", "dmz"),
	"env_type":                  some("env_type", "prod", "stg", "uat", "dev", "poc"),
	"hetzner_project_id":        some("hetzner_project_id", "1", "1234567"),
	"extra_labels":              some("extra_labels", values{}, values{"openova.io/e2e-run": "20261123-1", "owner": ""}),
	"domain_mode":               {{change: values{"domain_mode": "byo"}}, {change: values{"domain_mode": "pool", "dns_zone": "pool.example"}}},
	"dns_zone":                  {{change: values{"domain_mode": "pool", "dns_zone": "pool.example"}}, {change: values{"domain_mode": "pool", "dns_zone": "example"}}},
	"dns_ttl":                   some("dns_ttl", 60, 300, 86400),
	"ssh_public_key":            some("ssh_public_key", "ssh-ed25519 "+key, "ssh-ed25519 "+key+" someone@example", "ecdsa-sha2-nistp256 "+key+"=", "ssh-rsa "+strings.Repeat("A", 372)),
	"admin_cidrs":               some("admin_cidrs", []string{"203.0.113.7/32"}, []string{"203.0.113.0/24", "2001:db8::/48"}, []string{"10.0.0.0/8", "2001:DB8:0::/48"}),
	"control_plane_count":       some("control_plane_count", 1, 3),
	"control_plane_server_type": some("control_plane_server_type", "cx23", "cpx32", "cax21", "ccx33"),
	"worker_count":              some("worker_count", 0, 1, 50),
	"worker_server_type":        some("worker_server_type", "cx53", "ccx13"),
	"image":                     some("image", "ubuntu-24.04", "debian-12", "123456789"),
	"load_balancer_type":        some("load_balancer_type", "lb11", "lb31"),
	"join_load_balancer_type":   some("join_load_balancer_type", "lb11", "lb21"),
	"network_cidr":              {{change: values{"network_cidr": "192.168.0.0/16", "subnet_cidr": "192.168.4.0/24"}}, {change: values{"network_cidr": "172.31.0.0/16", "subnet_cidr": "172.31.0.0/16"}}},
	"subnet_cidr":               some("subnet_cidr", "10.0.0.0/16", "10.0.255.0/24"),
	"pod_cidr":                  some("pod_cidr", "10.1.0.0/16", "100.64.0.0/12"),
	"service_cidr":              some("service_cidr", "10.1.0.0/16", "100.64.0.0/16"),
	"k3s_version":               some("k3s_version", "v1.35.1+k3s1", "v1.32.0+k3s2"),
	"k3s_channel":               {{change: values{"k3s_version": jsonNull{}, "k3s_channel": "stable"}}, {change: values{"k3s_version": jsonNull{}, "k3s_channel": "v1.35"}}},
	"cilium_version":            some("cilium_version", "1.20.2"),
	"gateway_api_version":       some("gateway_api_version", "v1.6.1"),
	"helm_version":              some("helm_version", "v3.22.0"),
	"flux_version":              some("flux_version", "v2.9.5"),
	"git_url":                   some("git_url", "https://git.example/a", "https://git.example:8443/a/b.git"),
	"git_branch":                some("git_branch", "main", "release/1.2"),
	"git_credentials":           some("git_credentials", true, false),
	"join_token_ttl_minutes":    some("join_token_ttl_minutes", 20, 240),
}

var bad = map[string][]trial{
	"sovereign_fqdn": all(
		says("lower-case domain name", "sovereign_fqdn", "", "localhost", "Omantel.example", "omantel.example.", "-a.example", "a..example", "a b.example", "a_b.example", "*.example", "203.0.113.7", strings.Repeat("a", 64)+".example", "a.example\nb: c"),
		says("at most 170", "sovereign_fqdn", strings.Repeat("abcdefghi.", 17)+"example"),
	),
	"region": says("region must be one of ash, fsn, hel, hil, nbg, sin", "region", "", "fsn1", "FSN", "muc"),
	"extra_regions": {
		{values{"extra_regions": values{"Munich": values{"location": "muc1", "network_zone": "eu-central", "letter": "m"}}}, "three or four"},
		{values{"extra_regions": values{"muc": values{"location": "Munich", "network_zone": "eu-central", "letter": "m"}}}, "location looks like"},
		{values{"extra_regions": values{"muc": values{"location": "muc1", "network_zone": "eu-central", "letter": "mu"}}}, "letter is one"},
		{values{"extra_regions": values{"muc": values{"location": "muc1"}}}, "network_zone"},
	},
	"building_block":            says("mgt, rtz or dmz", "building_block", "", "rtx"),
	"env_type":                  says("prod, stg, uat, dev or poc", "env_type", "", "production"),
	"hetzner_project_id":        says("project's number", "hetzner_project_id", "", "abc", "12 3"),
	"extra_labels":              all(says("at most 63", "extra_labels", values{"a b": "c"}, values{"a": "b c"}, values{"a": strings.Repeat("x", 64)}, values{"-a": "b"}), says("may not replace", "extra_labels", values{"openova.io/sovereign": "other"}, values{"hetzner.cloud/x": "y"})),
	"domain_mode":               says("byo (your own DNS) or pool", "domain_mode", "", "BYO", "none"),
	"dns_zone":                  {{values{"dns_zone": "pool.example"}, "set both, or neither"}, {values{"domain_mode": "pool"}, "set both, or neither"}, {values{"domain_mode": "pool", "dns_zone": "other.example"}, "must lie below"}, {values{"domain_mode": "pool", "dns_zone": "ool.example"}, "must lie below"}},
	"dns_ttl":                   says("from 60 to 86400", "dns_ttl", 59, 86401, 300.5),
	"ssh_public_key":            says("one line of OpenSSH", "ssh_public_key", "", "ssh-ed25519", "ssh-dss "+key, key, "-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519 "+key+" a\nssh-ed25519 "+key),
	"admin_cidrs":               all(says("at least one", "admin_cidrs", []string{}), says("networks such as", "admin_cidrs", []string{"203.0.113.7"}, []string{"203.0.113.300/32"}, []string{"home"}), says("whole Internet", "admin_cidrs", []string{"0.0.0.0/0"}, []string{"203.0.113.7/32", "::/0"}, []string{"0.0.0.0/1", "128.0.0.0/1"}, []string{"2000::/3"}), says("first address", "admin_cidrs", []string{"203.0.113.7/24"}, []string{"203.0.113.7/32", "2001:db8::1/48"})),
	"control_plane_count":       says("must be 1 or 3", "control_plane_count", 0, 2, 4, 5),
	"control_plane_server_type": says("Hetzner type", "control_plane_server_type", "", "t3.large", "cx"),
	"worker_count":              says("from 0 to 50", "worker_count", -1, 51, 1.5),
	"worker_server_type":        says("Hetzner type", "worker_server_type", "", "CX43"),
	"image":                     says("ubuntu-", "image", "", "windows", "fedora-43"),
	"load_balancer_type":        says("such as lb11", "load_balancer_type", "", "lb1", "nlb"),
	"join_load_balancer_type":   says("such as lb11", "join_load_balancer_type", "", "elb"),
	"network_cidr":              all(says("address is its first", "network_cidr", "", "10.0.0.0", "10.0.0.5/16", "10.0.0.0/33", "fd00::/8"), says("must be private", "network_cidr", "11.0.0.0/8")),
	"subnet_cidr":               all(says("address is its first", "subnet_cidr", "", "10.0.0.9/20"), says("/24 or larger", "subnet_cidr", "10.0.0.0/25"), says("within network_cidr", "subnet_cidr", "10.1.0.0/20", "10.0.0.0/8")),
	"pod_cidr":                  all(says("address is its first", "pod_cidr", "", "10.42.0.1/16"), says("must not overlap", "pod_cidr", "10.0.0.0/16", "10.0.4.0/24", "10.43.0.0/20", "10.0.0.0/8")),
	"service_cidr":              all(says("address is its first", "service_cidr", "", "x"), says("must not overlap", "service_cidr", "10.0.0.0/16", "10.0.8.0/24")),
	"k3s_version":               all(says("release of Kubernetes 1.32 or later", "k3s_version", "", "1.35.1", "v1.31.0+k3s1", "v1.35.1", "latest"), []trial{{values{"k3s_version": "v1.35.1+k3s1", "k3s_channel": "stable"}, "exactly one"}}),
	"k3s_channel":               {{values{"k3s_version": jsonNull{}, "k3s_channel": "testing"}, "stable, latest or a minor"}, {values{"k3s_version": jsonNull{}}, "exactly one"}},
	"cilium_version":            says("such as 1.20.2", "cilium_version", "", "v1.20.2", "1.20", "latest"),
	"gateway_api_version":       says("such as v1.6.1", "gateway_api_version", "", "1.6.1"),
	"helm_version":              says("helm 3", "helm_version", "", "v4.3.1", "3.22.0"),
	"flux_version":              says("Flux 2", "flux_version", "", "2.9.5", "v0.41.2"),
	"git_url":                   all(says("without user or password", "git_url", "", "git@git.example:a", "http://git.example/a", "https://user:password@git.example/a", "https://git.example", "https://git.example/a?b", "https://git.example/$(id)"), says("at most 1024", "git_url", "https://git.example/"+strings.Repeat("r", 1024))),
	"git_branch":                says("name of a branch", "git_branch", "", "a b", "a..b", "-main", strings.Repeat("b", 201)),
	"git_credentials":           says("bool", "git_credentials", "maybe"),
	"join_token_ttl_minutes":    says("from 20 to 240", "join_token_ttl_minutes", 0, 19, 241, 30.5),
}

// jsonNull is a null that stays in the file, where nil would remove the variable.
type jsonNull struct{}

func (jsonNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Variables alone need no provider. An output that names them all makes OpenTofu
// evaluate each.
func TestVariables(t *testing.T) {
	folder := stage(t, "variables.tf")
	names := regexp.MustCompile(`(?m)^variable "([a-z0-9_]+)"`).FindAllStringSubmatch(string(read(t, filepath.Join(folder, "variables.tf"))), -1)
	var used []string
	for _, match := range names {
		if len(good[match[1]]) == 0 || len(bad[match[1]]) == 0 {
			t.Errorf("%s is not tried with a good and a bad value", match[1])
		}
		used = append(used, "var."+match[1])
	}
	if len(names) != len(good) || len(names) != len(bad) {
		t.Errorf("%d variables, good values for %d, bad ones for %d", len(names), len(good), len(bad))
	}
	if err := os.WriteFile(filepath.Join(folder, "outputs.tf"), []byte("output \"all\" {\n  value = ["+strings.Join(used, ", ")+"]\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tofuMust(t, folder, "init", "-no-color")
	file := filepath.Join(folder, "tofu.auto.tfvars.json")
	for name, trials := range good {
		for _, trial := range trials {
			writeJSON(t, file, inputs(trial.change))
			if output, err := tofu(folder, "plan", "-no-color"); err != nil {
				t.Errorf("%s: %v was refused:\n%s", name, trial.change, output)
			}
		}
	}
	for name, trials := range bad {
		for _, trial := range trials {
			writeJSON(t, file, inputs(trial.change))
			output, err := tofu(folder, "plan", "-no-color")
			if err == nil {
				t.Errorf("%s: %v was taken", name, trial.change)
				continue
			}
			// OpenTofu wraps its messages; compare them as one line.
			line := strings.Join(strings.Fields(strings.ReplaceAll(output, "│", " ")), " ")
			if !strings.Contains(line, trial.says) {
				t.Errorf("%s: %v: the message does not say %q:\n%s", name, trial.change, trial.says, output)
			}
		}
	}
}

// Left out, a variable without a default is asked for by name.
func TestMissingVariables(t *testing.T) {
	folder := stage(t, "variables.tf")
	tofuMust(t, folder, "init", "-no-color")
	for _, name := range []string{"sovereign_fqdn", "region", "domain_mode", "ssh_public_key", "admin_cidrs", "git_url"} {
		writeJSON(t, filepath.Join(folder, "tofu.auto.tfvars.json"), inputs(values{name: nil}))
		if output, err := tofu(folder, "plan", "-no-color"); err == nil || !strings.Contains(output, `"`+name+`"`) {
			t.Errorf("without %s: %v\n%s", name, err, output)
		}
	}
}
