package main

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/internal/config"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/policies"
)

// input holds the flags of all verbs that read sources.
type input struct {
	namespace string
	lenient   bool
	severity  map[string]string
	policies  []string
	config    string
	workers   int
	clusters  []string
	addresses []string
	observed  []string

	trees []*config.Tree // of the sources that are being compiled
}

func (in *input) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&in.namespace, "namespace", "n", "", "namespace of objects that name none (default \"default\")")
	f.BoolVar(&in.lenient, "lenient", false, "what Istio tolerates is a warning and compiles to Istio's outcome")
	f.StringToStringVar(&in.severity, "severity", nil, "severity of a code, as IST0101=warning (error, warning, info or off); may be repeated")
	f.StringArrayVarP(&in.policies, "policy", "p", nil, "folder with Rego policies outside of the source, besides its own; may be repeated")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "policies" {
			name = "policy"
		}
		return pflag.NormalizedName(name)
	})
	f.StringVar(&in.config, "config", "", "settings file (default: meshc.yaml of the source's repository)")
	f.StringArrayVar(&in.clusters, "cluster", nil, "NAME=SOURCE: objects of one Kubernetes cluster of the mesh, beside those of SOURCE..., which are in all; may be repeated")
	f.StringArrayVar(&in.addresses, "addresses", nil, "file with Services as kubectl get services -A -o yaml prints them: their clusterIPs count where SOURCE has none; with clusters, NAME=FILE; may be repeated")
	f.StringArrayVar(&in.observed, "observed", nil, "file or directory with what kubectl get namespaces,nodes,services,endpointslices,pods -A -o yaml prints: what SOURCE lacks of it counts; with clusters, NAME=FILE; may be repeated")
	f.IntVar(&in.workers, "workers", 0, "how many goroutines compile (default: the number of CPUs)")
}

// sources checks that there is something to read: SOURCE... or --cluster.
func (in *input) sources(_ *cobra.Command, args []string) error {
	if len(args) == 0 && len(in.clusters) == 0 {
		return fmt.Errorf("no SOURCE: name a file, a directory, - for standard input, or PATH/.git#ref=REV")
	}
	reads := 0
	for _, s := range slices.Concat(args, in.addresses, in.observed) {
		if s == "-" {
			reads++
		}
	}
	if reads > 1 {
		return fmt.Errorf("standard input can be read once, for SOURCE, for --addresses or for --observed")
	}
	return nil
}

// clusterName is what Kubernetes people call clusters; proxies have the same in metadata CLUSTER_ID.
var clusterName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)

// readClusters reads the --cluster flags, in the order in which the names first appear.
func (in *input) readClusters() ([]compiler.Cluster, error) {
	var out []compiler.Cluster
	for _, f := range in.clusters {
		name, source, ok := strings.Cut(f, "=")
		if !ok || source == "" || !clusterName.MatchString(name) {
			return nil, fmt.Errorf("--cluster %s: write NAME=SOURCE, with a name of letters, digits, dots and dashes", f)
		}
		if source == "-" {
			return nil, fmt.Errorf("--cluster %s: standard input cannot be told apart by cluster; write it to a file", f)
		}
		i := slices.IndexFunc(out, func(c compiler.Cluster) bool { return c.Name == name })
		if i < 0 {
			i, out = len(out), append(out, compiler.Cluster{Name: name})
		}
		out[i].Sources = append(out[i].Sources, source)
	}
	return out, nil
}

// compile reads and compiles the sources. The findings, sorted, name files as the user would type them. The result is empty
// when the settings are already wrong.
func (in *input) compile(ctx context.Context, a *app, args []string, checkOnly bool) (*compiler.Result, diag.List, error) {
	batch()
	defer in.close()
	args, o, settings, l, err := in.resolve(ctx, a, args)
	if err != nil {
		return nil, nil, err
	}
	o.CheckOnly = checkOnly
	res := &compiler.Result{Text: func(string) (string, bool) { return "", false }, Repository: load.Locate(nil).Repository}
	if !l.HasErrors() {
		var found diag.List
		if res, found, err = compiler.Compile(ctx, args, o); err != nil {
			return nil, nil, err
		}
		a.leftAlone(res)
		a.by = counted(settings, o.Policies)
		l.Add(found.Renamed(res.Display)...)
		res.Silenced = res.Silenced.Renamed(res.Display)
		res.Silenced.Sort()
		unknown, err := in.unknownCodes(settings, res)
		if err != nil {
			return nil, nil, err
		}
		l.Add(unknown...)
	}
	l.Sort()
	repository, trees := res.Repository, slices.Clone(in.trees)
	res.Repository = func(shown string) string {
		if name, ok := fromTree(trees, shown); ok {
			return name
		}
		return repository(shown)
	}
	read := res.Text
	res.Text = func(shown string) (string, bool) {
		if settings.File != "" && shown == settings.File {
			return settings.Text, true
		}
		return read(shown)
	}
	return res, l, nil
}

// unknownCodes holds the codes that have a severity against those that exist, which is known when the policies are read. One of
// the command line is misuse, one of the settings a finding.
func (in *input) unknownCodes(settings config.Config, res *compiler.Result) (diag.List, error) {
	if len(in.severity) == 0 && len(settings.Severity) == 0 {
		return nil, nil
	}
	all := slices.Concat(codeIDs(), slices.Collect(maps.Keys(res.Policies.Codes)))
	known := func(code string) bool {
		_, own := res.Code(code)
		return own || res.Policies.Knows(code) || res.Policies.Codes == nil && !config.IsOwnCode(code)
	}
	for _, code := range slices.Sorted(maps.Keys(in.severity)) {
		if !known(code) {
			return nil, fmt.Errorf("--severity %s=%s: there is no such code. %s", code, in.severity[code], config.UnknownCodeHelp(code, all))
		}
	}
	return settings.UnknownCodes(known, all), nil
}

// resolve joins flags and settings into options, and the sources that are left when the settings tell clusters apart: a
// SOURCE that is the folder of such settings stands for their clusters. Findings are about the settings file.
func (in *input) resolve(ctx context.Context, a *app, args []string) ([]string, compiler.Options, config.Config, diag.List, error) {
	clusters, err := in.readClusters()
	if err != nil {
		return nil, compiler.Options{}, config.Config{}, nil, err
	}
	named := slices.Clone(args)
	for _, c := range clusters {
		named = append(named, c.Sources...)
	}
	o, settings, l, err := in.options(ctx, a, named)
	if err != nil {
		return nil, o, settings, nil, err
	}
	if len(clusters) == 0 {
		for _, c := range settings.Clusters {
			clusters = append(clusters, compiler.Cluster{Name: c.Name, Sources: c.Sources})
		}
		if len(clusters) > 0 {
			args = slices.DeleteFunc(slices.Clone(args), func(s string) bool {
				return s != "-" && filepath.Clean(s) == filepath.Dir(filepath.Clean(settings.File))
			})
		}
	}
	if len(clusters) > 1 && slices.Contains(args, "-") {
		return nil, o, settings, nil, fmt.Errorf("standard input can be read once, not for each of %d clusters: write it to a file", len(clusters))
	}
	o.Clusters = clusters
	return args, o, settings, l, in.fromClusters(&o)
}

// fromClusters hands the files with what clusters have to their cluster.
func (in *input) fromClusters(o *compiler.Options) error {
	for _, f := range []struct {
		flag  string
		files []string
		all   *[]string
		one   func(*compiler.Cluster) *[]string
	}{
		{"addresses", in.addresses, &o.Addresses, func(c *compiler.Cluster) *[]string { return &c.Addresses }},
		{"observed", in.observed, &o.Observed, func(c *compiler.Cluster) *[]string { return &c.Observed }},
	} {
		for _, file := range f.files {
			to := f.all
			if len(o.Clusters) > 0 {
				name, rest, ok := strings.Cut(file, "=")
				i := slices.IndexFunc(o.Clusters, func(c compiler.Cluster) bool { return c.Name == name })
				if !ok || i < 0 {
					return fmt.Errorf("--%s %s: the mesh has several clusters, so write NAME=FILE with the name of one of them", f.flag, file)
				}
				to, file = f.one(&o.Clusters[i]), rest
			}
			*to = append(*to, file)
		}
	}
	return nil
}

// options joins flags and settings but for the clusters. Settings and policies are those of the trees that the sources are in.
func (in *input) options(ctx context.Context, a *app, sources []string) (compiler.Options, config.Config, diag.List, error) {
	var settings config.Config
	o := compiler.Options{
		Namespace: in.namespace, Lenient: in.lenient, Stdin: a.stdin, Severity: map[string]string{},
		Workers: in.workers, Version: version(),
	}
	for code, s := range in.severity {
		if !config.KnownSeverity(s) {
			return o, settings, nil, fmt.Errorf("--severity %s=%s: a severity is error, warning, info or off", code, s)
		}
	}
	var dirs []config.Folder
	for _, s := range sources {
		if t := load.OpenTree(ctx, s); t != nil {
			in.trees = append(in.trees, t)
			if t.Folder {
				dirs = append(dirs, config.Folder{Tree: t, Path: t.Dir})
			}
		}
	}
	named := make([]config.Folder, 0, len(in.policies))
	for _, d := range in.policies {
		if st, err := os.Stat(d); err != nil || !st.IsDir() {
			return o, settings, nil, fmt.Errorf("--policy %s is not a folder", d)
		}
		t := load.OpenFolder(d)
		if t == nil {
			return o, settings, nil, fmt.Errorf("--policy %s cannot be read", d)
		}
		in.trees = append(in.trees, t)
		named = append(named, config.Folder{Tree: t, Path: t.Dir})
	}
	at, name := in.settingsTree(ctx)
	if in.config != "" && at == nil {
		return o, settings, nil, fmt.Errorf("settings: there is no file %s", in.config)
	}
	var l diag.List
	if name != "" {
		c, found, err := config.Load(at, name)
		if err != nil {
			return o, settings, nil, err
		}
		l, settings = found, c
		o.Lenient = o.Lenient || c.Lenient
		maps.Copy(o.Severity, c.Severity)
		o.Ignore, o.Exclude, o.Settings = c.Ignore, c.Exclude, path.Dir(settingsName(at, name))
		dirs = append([]config.Folder{c.Folder()}, dirs...)
	}
	maps.Copy(o.Severity, in.severity)
	if name == "" {
		for _, t := range in.trees {
			l.Add(config.Misnamed(t)...)
		}
	}
	folders := slices.Concat(settings.Policies, named)
	own, found := config.OwnPolicies(dirs, folders)
	l.Add(found...)
	for _, f := range append(folders, own...) {
		files, err := fs.Sub(f.Tree.Files, f.Path)
		if err != nil {
			return o, settings, nil, err
		}
		o.Policies = append(o.Policies, policies.Folder{Name: f.Tree.Show(f.Path), Files: files})
	}
	return o, settings, l, nil
}

// settingsTree is where the settings are: those that a flag names, else those of the first source that has some.
func (in *input) settingsTree(ctx context.Context) (*config.Tree, string) {
	if in.config != "" {
		if t := load.OpenTree(ctx, in.config); t != nil {
			in.trees = append(in.trees, t)
			return t, path.Join(t.Dir, filepath.Base(in.config))
		}
		return nil, ""
	}
	for _, t := range in.trees {
		if name := config.Find(t); name != "" {
			return t, name
		}
	}
	return nil, ""
}

// settingsName is the file of the settings from the root of its repository, as files of the sources are named there.
func settingsName(t *config.Tree, name string) string {
	if t.Disk == "" {
		return name
	}
	return load.Locate(nil).Repository(filepath.Join(t.Disk, filepath.FromSlash(name)))
}

// close closes the trees of the sources.
func (in *input) close() {
	for _, t := range in.trees {
		t.Close()
	}
	in.trees = nil
}

// fromTree names a file of a tree that is not on the disk from the root of that tree, for CI systems.
func fromTree(trees []*config.Tree, shown string) (string, bool) {
	for _, t := range trees {
		root := t.Show(".")
		if name, ok := strings.CutPrefix(shown, root+"/"); t.Disk == "" && (ok || root == ".") {
			return name, true
		}
	}
	return "", false
}

// localPath is the folder or file of a source on this disk: that of a Git revision is where its subdir lies in the work
// tree it belongs to.
func localPath(source string) string {
	if source == "-" {
		return "."
	}
	path, fragment, _ := strings.Cut(source, "#")
	path = strings.TrimSuffix(path, ".git")
	for _, part := range strings.Split(fragment, ",") {
		if dir, ok := strings.CutPrefix(part, "subdir="); ok {
			path = filepath.Join(path, filepath.FromSlash(dir))
		}
	}
	return filepath.Clean(path)
}
