package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/inject"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// injectFlags are the flags of inject, and the settings of fn.
type injectFlags struct {
	inject.Settings
	namespace string
	lenient   bool
	native    bool
	mesh      []string
	templates []string
}

// Forms of what inject prints.
const (
	injectYAML = "yaml"
	injectDiff = "diff"
)

func (f *injectFlags) add(c *cobra.Command) {
	p := c.Flags()
	p.StringVarP(&f.namespace, "namespace", "n", "", "namespace of objects that name none (default \"default\")")
	p.BoolVar(&f.lenient, "lenient", false, "what Istio tolerates in manifests is no error")
	p.StringArrayVar(&f.mesh, "mesh", nil, "SOURCE with what the manifests lack of the mesh: Namespaces, MeshConfig, ProxyConfigs; may be repeated")
	p.BoolVar(&f.Everywhere, "enable-namespaces-by-default", false, "a namespace without a word on injection asks for it")
	p.StringVar(&f.ProxyImage, "proxy-image", "docker.io/envoyproxy/envoy:distroless-v1.40.0", "image of Envoy")
	p.StringVar(&f.MeshcImage, "meshc-image", meshcImage(), "image with meshc for the init containers")
	p.StringVar(&f.XDS, "xds", "", "HOST:PORT of the ADS server (default: the Service meshc of the root namespace, port 18000)")
	p.StringVar(&f.Identity, "identity", "", "spire, files or none (default: spire where the mesh has MESHC_IDENTITY: spire, else files)")
	p.StringVar(&f.CSIDriver, "csi-driver", "", "CSI driver that mounts the identity (default: csi.spiffe.io or spiffe.csi.cert-manager.io)")
	p.StringVar(&f.ServerSPIFFE, "server-spiffe", "", "SPIFFE ID that the ADS server has to show (default: that of the service account meshc of the root namespace)")
	p.StringVar(&f.ServerName, "server-name", "", "DNS name that the ADS server has to show, in place of a SPIFFE ID")
	p.BoolVar(&f.native, "native-sidecars", true, "the proxy is an init container that keeps running, which starts before and ends behind the application")
	p.BoolVar(&f.CNI, "cni", false, "a CNI plugin of the nodes redirects connections: in the place of the init container that does, which needs rights, one without any waits until they are redirected")
	p.StringArrayVar(&f.templates, "template", nil, "NAME=FILE: part of a Pod that is merged into pods whose inject.istio.io/templates lists NAME; may be repeated")
	_ = c.RegisterFlagCompletionFunc("identity", cobra.FixedCompletions([]string{inject.IdentitySPIRE, inject.IdentityFiles, inject.IdentityNone}, cobra.ShellCompDirectiveNoFileComp))
}

// meshcImage is the image of this version; a build of no version has none of its own.
func meshcImage() string {
	v := version()
	if v == "" || v[0] != 'v' {
		v = "latest"
	}
	return "ghcr.io/meshc/meshc:" + v
}

func newInject(a *app) *cobra.Command {
	var f injectFlags
	var output string
	c := &cobra.Command{
		Use:   "inject SOURCE...",
		Short: "Give workloads in manifests their proxy",
		Long: `inject prints the manifests of SOURCE with a proxy in each workload that gets one: a stock Envoy, an init container that
writes its bootstrap, and one that installs the rules by which connections come to it. All else is printed as it was read.

Who gets a proxy is decided as by Istio's webhooks and injector, from labels of Namespaces and pods: see docs/workloads.md. A
Namespace that is not among the manifests comes from --mesh, with MeshConfig and ProxyConfigs. Annotations of pods count as
docs/guides/inject.md says; what a stock Envoy cannot do is refused by name. Injecting twice is the same as once.

SOURCE is a file, a directory, a kustomization, - for standard input, or PATH/.git#ref=REV,subdir=DIR.

Exit code: 0 when all is printed, 1 when findings stand against it, and then nothing is.`,
		Example: `  meshc inject deploy/ --mesh mesh/ | kubectl apply -f -
  kustomize build overlays/prod | meshc inject - --mesh mesh/
  meshc inject deploy/ --mesh mesh/ -o diff`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no SOURCE: name a file, a directory, - for standard input, or PATH/.git#ref=REV")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			done, l, err := f.run(c.Context(), a, args, a.stdin)
			if err != nil {
				return err
			}
			if l.HasErrors() {
				return ended(l)
			}
			out, err := a.stdout.Direct() // manifests go on as they are
			if err != nil {
				return err
			}
			if output == injectDiff {
				_, err = out.Write(diff.Diff("manifests", done.Before, "injected", done.Text))
				return err
			}
			_, err = out.Write(done.Text)
			return err
		},
	}
	f.add(c)
	formatFlag(c, &output, injectYAML, injectDiff)
	return c
}

// run injects, and prints findings and what became of each workload.
func (f *injectFlags) run(ctx context.Context, a *app, sources []string, stdin io.Reader) (*compiler.Injected, diag.List, error) {
	batch()
	f.Classic = !f.native
	if err := f.readTemplates(); err != nil {
		return nil, nil, err
	}
	done, l, err := compiler.Inject(ctx, sources, f.mesh, compiler.Options{Namespace: f.namespace, Stdin: stdin, Lenient: f.lenient}, f.Settings)
	if err != nil {
		return nil, nil, err
	}
	l.Sort()
	from := &compiler.Result{Text: done.Source}
	if err := a.print(a.stderr, "text", l, from); err != nil {
		return nil, nil, err
	}
	for _, o := range done.Outcomes {
		switch {
		case o.Added:
			a.note("%s: proxy added", o.Ref)
		case o.Reason != "":
			a.note("%s: no proxy added, %s", o.Ref, o.Reason)
		}
	}
	return done, l, nil
}

func (f *injectFlags) readTemplates() error {
	f.Templates = map[string]map[string]any{}
	for _, t := range f.templates {
		name, file, ok := strings.Cut(t, "=")
		if !ok || name == "" {
			return fmt.Errorf("--template %s: write NAME=FILE", t)
		}
		text, err := regular.ReadFile(file, limit.FileBytes)
		if err != nil {
			return fmt.Errorf("--template %s: %w", name, err)
		}
		var v map[string]any
		if err := yaml.UnmarshalStrict(text, &v); err != nil {
			return fmt.Errorf("--template %s: %s is not YAML of a Pod; templates of Go are not run: %w", name, file, err)
		}
		if err := inject.ReadTemplate(v); err != nil {
			return fmt.Errorf("--template %s: %s: %w", name, file, err)
		}
		f.Templates[name] = v
	}
	return nil
}

func newFn(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "fn",
		Short: "Give workloads their proxy, as a KRM function",
		Long: `fn is inject by the contract of KRM functions: a ResourceList on standard input, with the proxies on standard output, for
kustomize and kpt. functionConfig is a ConfigMap whose data are flags of inject without dashes, such as xds: HOST:PORT; files are
read in the folder of the caller. Findings are in results, and on standard error.`,
		Example: `  # kustomization.yaml
  transformers: [inject.yaml]

  # inject.yaml; run kustomize build --enable-alpha-plugins --enable-exec
  apiVersion: v1
  kind: ConfigMap
  metadata:
    name: inject
    annotations:
      config.kubernetes.io/function: "exec: {path: ./meshc-fn}"   # exec meshc fn
  data:
    mesh: ../mesh`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := io.ReadAll(io.LimitReader(a.stdin, limit.SourceBytes+1))
			if err != nil {
				return err
			}
			if len(text) > limit.SourceBytes {
				return fmt.Errorf("the ResourceList has more than %d bytes", limit.SourceBytes)
			}
			return a.function(c.Context(), text)
		},
	}
	return c
}

// function runs inject on a ResourceList. Where findings stand against it the items stay as they were, as the contract asks.
func (a *app) function(ctx context.Context, text []byte) error {
	f := injectFlags{}
	c := &cobra.Command{}
	f.add(c)
	settings, err := inject.FunctionConfig(text)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if c.Flags().Lookup(key) == nil {
			return fmt.Errorf("functionConfig: inject has no flag %s", key)
		}
		if err := c.Flags().Set(key, settings[key]); err != nil {
			return fmt.Errorf("functionConfig: %s: %w", key, err)
		}
	}
	done, l, err := f.run(ctx, a, []string{"-"}, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if !l.HasErrors() {
		text = done.Text
	}
	if text, err = inject.WithResults(text, l); err != nil {
		return err
	}
	out, err := a.stdout.Direct()
	if err != nil {
		return err
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	if l.HasErrors() {
		return ended(l)
	}
	return nil
}
