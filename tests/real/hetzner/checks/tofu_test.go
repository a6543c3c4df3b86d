// Package checks judges infra/hetzner and clusters/_template with the real
// OpenTofu, without a cloud. TOFU names the binary; `run` beside go.mod builds it.
package checks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var (
	tofuBinary    string
	repository    string
	configuration string // OpenTofu's own: providers come from a folder only
)

func TestMain(m *testing.M) {
	code, err := prepare(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hetzner checks:", err)
		code = 1
	}
	os.Exit(code)
}

func prepare(m *testing.M) (int, error) {
	if tofuBinary = os.Getenv("TOFU"); tofuBinary == "" {
		return 0, fmt.Errorf("TOFU is not set: run tests/real/hetzner/run, which builds OpenTofu and sets it")
	}
	here, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	repository = filepath.Join(here, "..", "..", "..", "..")
	work, err := os.MkdirTemp("", "hetzner-checks-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)

	// A filesystem mirror with the schema-only provider under both names.
	built := filepath.Join(work, "provider")
	if output, err := exec.Command("go", "build", "-o", built, "../provider").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the schema-only provider: %w\n%s", err, output)
	}
	platform := strings.TrimSpace(string(must(exec.Command("go", "env", "GOOS").Output()))) + "_" +
		strings.TrimSpace(string(must(exec.Command("go", "env", "GOARCH").Output())))
	for name, version := range map[string]string{"hetznercloud/hcloud": "1.60.0", "hashicorp/random": "3.7.2"} {
		folder := filepath.Join(work, "mirror", "registry.opentofu.org", name, version, platform)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return 0, err
		}
		if err := os.Link(built, filepath.Join(folder, "terraform-provider-"+filepath.Base(name)+"_v"+version)); err != nil {
			return 0, err
		}
	}
	configuration = filepath.Join(work, "tofurc")
	text := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", filepath.Join(work, "mirror"))
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// tofu runs OpenTofu in folder and gives its output, both streams together.
func tofu(folder string, arguments ...string) (string, error) {
	command := exec.Command(tofuBinary, append([]string{"-chdir=" + folder}, arguments...)...)
	command.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+configuration, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "HCLOUD_TOKEN=")
	output, err := command.CombinedOutput()
	return string(output), err
}

func tofuMust(t *testing.T, folder string, arguments ...string) string {
	t.Helper()
	output, err := tofu(folder, arguments...)
	if err != nil {
		t.Fatalf("tofu %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return output
}

// stage copies the module, or the named files of it, into a folder of its own.
func stage(t *testing.T, only ...string) string {
	t.Helper()
	folder := t.TempDir()
	source := filepath.Join(repository, "infra", "hetzner")
	entries, err := os.ReadDir(source)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if len(only) > 0 && !contains(only, entry.Name()) {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, entry.Name()), read(t, filepath.Join(source, entry.Name())), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func contains(list []string, wanted string) bool {
	for _, item := range list {
		if item == wanted {
			return true
		}
	}
	return false
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(value); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

type values = map[string]any

// inputs are the variables of a small Sovereign, with changes on top; a change
// to nil removes the variable.
func inputs(changes values) values {
	all := values{
		"sovereign_fqdn": "omantel.pool.example",
		"region":         "fsn",
		"domain_mode":    "byo",
		"ssh_public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ci",
		"admin_cidrs":    []string{"203.0.113.7/32"},
		"git_url":        "https://git.example/sovereigns",
	}
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return all
}
