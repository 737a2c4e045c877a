package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/internal/config"
	"github.com/meshc/meshc/internal/diag"
)

// input holds the flags of all verbs that read sources.
type input struct {
	namespace string
	lenient   bool
	severity  map[string]string
	policies  []string
	config    string
	workers   int
}

func (in *input) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&in.namespace, "namespace", "n", "", "namespace of objects that name none (default \"default\")")
	f.BoolVar(&in.lenient, "lenient", false, "what Istio tolerates is a warning and compiles to Istio's outcome")
	f.StringToStringVar(&in.severity, "severity", nil, "severity of a code, as IST0101=warning (error, warning, info or off); may be repeated")
	f.StringArrayVarP(&in.policies, "policy", "p", nil, "folder with Rego policies, beside a policies folder in the source; may be repeated")
	f.StringVar(&in.config, "config", "", "settings file (default: meshc.yaml of the source's repository)")
	f.IntVar(&in.workers, "workers", 0, "how many goroutines compile (default: the number of CPUs)")
}

// options joins flags and settings; findings are about the settings file.
func (in *input) options(a *app, sources []string) (compiler.Options, diag.List, error) {
	o := compiler.Options{
		Namespace: in.namespace, Lenient: in.lenient, Stdin: a.stdin, Severity: map[string]string{},
		Workers: in.workers, PolicyDirs: in.policies, Version: version(),
	}
	file := in.config
	if file == "" {
		file = findConfig(sources)
	}
	var l diag.List
	if file != "" {
		c, found, err := config.Load(file)
		if err != nil {
			return o, nil, err
		}
		l = found
		o.Lenient = o.Lenient || c.Lenient
		maps.Copy(o.Severity, c.Severity)
		o.PolicyDirs = append(c.Policies, o.PolicyDirs...)
	}
	for code, s := range in.severity {
		if !config.KnownSeverity(s) {
			return o, nil, fmt.Errorf("--severity %s=%s: a severity is error, warning, info or off", code, s)
		}
	}
	maps.Copy(o.Severity, in.severity)
	for _, d := range in.policies {
		if st, err := os.Stat(d); err != nil || !st.IsDir() {
			return o, nil, fmt.Errorf("--policy %s is not a folder", d)
		}
	}
	o.PolicyDirs = addOwnPolicies(o.PolicyDirs, file, sources)
	return o, l, nil
}

func findConfig(sources []string) string {
	for _, s := range sources {
		if f := config.Find(localPath(s)); f != "" {
			return f
		}
	}
	return ""
}

// addOwnPolicies adds the folder policies beside the settings file and in each source, where there is Rego in it.
func addOwnPolicies(dirs []string, configFile string, sources []string) []string {
	roots := []string{}
	if configFile != "" {
		roots = append(roots, filepath.Dir(configFile))
	}
	for _, s := range sources {
		roots = append(roots, localPath(s))
	}
	known := map[string]bool{}
	for _, d := range dirs {
		known[filepath.Clean(d)] = true
	}
	for _, r := range roots {
		d := filepath.Join(r, "policies")
		rego, _ := filepath.Glob(filepath.Join(d, "*.rego"))
		deeper, _ := filepath.Glob(filepath.Join(d, "*", "*.rego"))
		if len(rego)+len(deeper) > 0 && !known[d] {
			known[d] = true
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// localPath is the folder or file of a source on this disk: that of a Git revision is the work tree it belongs to.
func localPath(source string) string {
	if source == "-" {
		return "."
	}
	if path, _, ok := strings.Cut(source, "#"); ok {
		source = path
	}
	return filepath.Clean(strings.TrimSuffix(source, ".git"))
}
