// Helm's own packages behind a pipe: one chart a line in, what `helm template`
// would print for it a line out. The differential test of core/logic/helm asks
// here what is right.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sort"
	"strings"
	"syscall"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"
)

type question struct {
	Files       map[string]string `json:"files"`
	Values      string            `json:"values"`
	Release     string            `json:"release"`
	Namespace   string            `json:"namespace"`
	IsUpgrade   bool              `json:"is_upgrade"`
	IncludeCRDs bool              `json:"include_crds"`
	KubeVersion string            `json:"kube_version"`
	APIVersions []string          `json:"api_versions"`
}

type answer struct {
	// As `helm template` prints it.
	Manifest string  `json:"manifest"`
	Notes    string  `json:"notes"`
	Error    *string `json:"error"`
	// Bytes that helm allocated for it, freed ones too: what the chart costs.
	Allocated uint64 `json:"allocated"`
}

// Hostile charts are asked about as well. Helm has no bounds of its own, so the
// process has: beyond them it ends, and says on stderr in one of Go's words or
// ours ("out of memory", "stack overflow", "out of time") that it was a bound.
const (
	mostMemory = 3 << 30
	mostStack  = 128 << 20
	mostTime   = 10 * time.Second
)

func bounded() error {
	debug.SetMaxStack(mostStack)
	// Collect harder before the hard bound ends the process.
	debug.SetMemoryLimit(mostMemory / 2)
	limit := syscall.Rlimit{Cur: mostMemory, Max: mostMemory}
	return syscall.Setrlimit(syscall.RLIMIT_AS, &limit)
}

func outOfTime() {
	fmt.Fprintln(os.Stderr, "out of time")
	os.Exit(2)
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func ask(q question) (a answer) {
	defer func() {
		if r := recover(); r != nil {
			a = failed(fmt.Errorf("panic: %v", r))
		}
	}()
	var names []string
	for name := range q.Files {
		names = append(names, name)
	}
	sort.Strings(names)
	var files []*loader.BufferedFile
	for _, name := range names {
		files = append(files, &loader.BufferedFile{Name: name, Data: []byte(q.Files[name])})
	}
	chart, err := loader.LoadFiles(files)
	if err != nil {
		return failed(err)
	}
	if t := chart.Metadata.Type; t != "" && t != "application" {
		// As cmd/helm refuses it before the installation begins.
		return failed(fmt.Errorf("%s charts are not installable", t))
	}
	values := map[string]interface{}{}
	if err := yaml.Unmarshal([]byte(q.Values), &values); err != nil {
		return failed(err)
	}
	version, err := chartutil.ParseKubeVersion(q.KubeVersion)
	if err != nil {
		return failed(err)
	}
	chartutil.DefaultCapabilities.APIVersions = chartutil.VersionSet(q.APIVersions)
	chartutil.DefaultCapabilities.HelmVersion.Version = "v3.22.0"
	chartutil.DefaultCapabilities.HelmVersion.GoVersion = ""

	install := action.NewInstall(&action.Configuration{Log: func(string, ...interface{}) {}})
	install.ClientOnly = true
	install.DryRun = true
	install.Replace = true
	install.ReleaseName = q.Release
	install.Namespace = q.Namespace
	install.IsUpgrade = q.IsUpgrade
	install.IncludeCRDs = q.IncludeCRDs
	install.KubeVersion = version
	release, err := install.Run(chart, values)
	if err != nil {
		return failed(err)
	}
	var out strings.Builder
	fmt.Fprintln(&out, strings.TrimSpace(release.Manifest))
	for _, hook := range release.Hooks {
		fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
	}
	return answer{Manifest: out.String(), Notes: release.Info.Notes}
}

func failed(err error) answer {
	text := err.Error()
	return answer{Error: &text}
}

func main() {
	log.SetOutput(io.Discard)
	if err := bounded(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		watch := time.AfterFunc(mostTime, outOfTime)
		before := allocated()
		a := ask(q)
		a.Allocated = allocated() - before
		watch.Stop()
		if err := encoder.Encode(a); err != nil {
			os.Exit(1)
		}
		// A reader that waits for this answer must get it; one that has sent
		// more need not be woken for each.
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}
