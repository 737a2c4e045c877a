//go:build unix

// Command bench measures the compiler on a mesh of many services, and the server with a proxy's stream for each pod.
//
//	go run ./internal/bench -services 1000
//
// For the default scope and for a scoped mesh it prints the wall time, CPU time and peak memory of a cold meshc compile
// (a process of its own, the median of three), also with twice the services, what the phases cost in this process, and
// what it costs to do only this with the same documents: parse them, show each to CUE, to OPA, decode each; then what meshc diff costs for
// changes that reach the whole mesh. Figures stand
// beside the bounds that the project sets itself; they hold for two idle processors. The mesh comes from meshgen.py where
// the folder -shared has one, else from internal/meshgen; the load of the streams from the program adsload there.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/meshc/meshc/internal/lab"
	"github.com/meshc/meshc/internal/meshgen"
)

// bench is one run.
type bench struct {
	services, streams int
	shared            string
	comment           string
	meshc             string
	only              bool
	dir               string
}

func main() {
	b := &bench{}
	flag.IntVar(&b.services, "services", 1000, "services of the mesh")
	flag.IntVar(&b.streams, "streams", 2001, "ADS streams to the server; 0: leave the server out")
	flag.StringVar(&b.shared, "shared", "../shared/bench", "folder with meshgen.py and adsload")
	flag.StringVar(&b.meshc, "meshc", "", "program to measure; built from this module when empty")
	flag.BoolVar(&b.only, "proxy", false, "measure one Envoy by its bootstrap, and nothing else")
	flag.StringVar(&b.comment, "comment", "", "file for the page with the comment on several changes at once; only the changes are measured then")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "meshc-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.meshc == "" {
		if b.meshc, err = lab.Build(ctx, "cmd/meshc", b.dir); err != nil {
			return err
		}
	}
	fmt.Printf("%d services, %d processors, %s\n\n", b.services, runtime.NumCPU(), runtime.Version())
	if b.only {
		return b.proxy(ctx)
	}
	if b.comment != "" {
		return b.changes(ctx)
	}
	var scoped string
	for _, s := range []bool{false, true} {
		dir, err := b.measure(ctx, s)
		if err != nil {
			return err
		}
		scoped = dir
	}
	if err := b.proxy(ctx); err != nil {
		return err
	}
	if err := b.changes(ctx); err != nil {
		return err
	}
	if b.streams > 0 {
		return b.serve(ctx, scoped)
	}
	return nil
}

// generate writes a mesh and returns its folder.
func (b *bench) generate(ctx context.Context, services int, scoped bool) (string, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("mesh-%d-%t", services, scoped))
	script := filepath.Join(b.shared, "meshgen.py")
	if _, err := os.Stat(script); err != nil {
		_, err := meshgen.Write(dir, meshgen.Options{Services: services, Scoped: scoped})
		return dir, err
	}
	args := []string{script, "--services", strconv.Itoa(services), "--plain", "--out", dir}
	if scoped {
		args = append(args, "--scoped")
	}
	if out, err := exec.CommandContext(ctx, "python3", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return dir, nil
}

// cost is what a process used.
type cost struct {
	wall, cpu time.Duration
	peakMiB   int64
}

// compile runs meshc compile on a mesh in a process of its own.
func (b *bench) compile(ctx context.Context, dir string) (cost, error) {
	cmd := exec.CommandContext(ctx, b.meshc, "compile", filepath.Join(dir, "repo"), "-o", filepath.Join(dir, "bundle"))
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return cost{}, fmt.Errorf("meshc compile: %w: %s", err, last(out))
	}
	c := cost{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.peakMiB = u.Maxrss / 1024
		if runtime.GOOS == "darwin" {
			c.peakMiB /= 1024 // bytes there, KiB elsewhere
		}
	}
	return c, nil
}

func last(out []byte) []byte { return out[max(0, len(out)-2000):] }

// runs is how often a whole compile is measured; the median counts.
const runs = 3

// median is that of each figure; the peak is the highest.
func median(list []cost) (out cost) {
	slices.SortFunc(list, func(a, b cost) int { return cmp.Compare(a.wall, b.wall) })
	out.wall = list[len(list)/2].wall
	slices.SortFunc(list, func(a, b cost) int { return cmp.Compare(a.cpu, b.cpu) })
	out.cpu = list[len(list)/2].cpu
	for _, c := range list {
		out.peakMiB = max(out.peakMiB, c.peakMiB)
	}
	return out
}

// measure prints all figures of one kind of mesh and returns its folder.
func (b *bench) measure(ctx context.Context, scoped bool) (string, error) {
	name := "default scope"
	if scoped {
		name = "scoped"
	}
	dir, err := b.generate(ctx, b.services, scoped)
	if err != nil {
		return "", err
	}
	double, err := b.generate(ctx, 2*b.services, scoped)
	if err != nil {
		return "", err
	}
	var ones, twos []cost
	for range runs {
		one, err := b.compile(ctx, dir)
		if err != nil {
			return "", err
		}
		two, err := b.compile(ctx, double)
		if err != nil {
			return "", err
		}
		ones, twos = append(ones, one), append(twos, two)
	}
	p, err := measurePhases(ctx, filepath.Join(dir, "repo"))
	if err != nil {
		return "", err
	}
	return dir, report(name, p, median(ones), median(twos))
}

// report prints the figures of one kind of mesh beside the bounds they are held to.
func report(name string, p *phased, one, two cost) error {
	fmt.Printf("%s: %d documents, %.1f MB of YAML\n", name, p.documents, float64(p.bytes)/1e6)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	row := func(name string, c cost, more string) {
		fmt.Fprintf(w, "  %s\t%.2f s\tCPU %.2f s\t%s\n", name, c.wall.Seconds(), c.cpu.Seconds(), more)
	}
	var alone, core cost
	for _, x := range p.passes {
		alone.wall, alone.cpu = alone.wall+x.wall, alone.cpu+x.cpu
	}
	row("meshc compile, cold", one, fmt.Sprintf("at most 8 s%s; peak %d MiB, at most 1024%s", over(one.wall > 8*time.Second), one.peakMiB, over(one.peakMiB > 1024)))
	ratio := func(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }
	grown := ratio(two.cpu, one.cpu)
	row("twice the services", two, fmt.Sprintf("%.2f times the CPU, %.2f times the wall, at most 2.3%s; peak %d MiB", grown, ratio(two.wall, one.wall), over(grown > 2.3), two.peakMiB))
	for _, x := range p.phases {
		row("  "+x.name, x.cost, "")
		if x.name == "link" || x.name == "classes" || x.name == "lower" || x.name == "seal" {
			core.wall, core.cpu = core.wall+x.wall, core.cpu+x.cpu
		}
	}
	row("link, lower and seal", core, "CPU at most 1 s"+over(core.cpu > time.Second))
	for _, x := range p.passes {
		row("  "+x.name+" alone", x.cost, "")
	}
	share := ratio(one.cpu, alone.cpu)
	row("the four together", alone, fmt.Sprintf("the compile is %.2f times that CPU, %.2f times the wall, at most 1.3%s; %.2f times the CPU of parsing",
		share, ratio(one.wall, alone.wall), over(share > 1.3), ratio(one.cpu, p.passes[0].cpu)))
	fmt.Fprintln(w)
	return w.Flush()
}

// over marks a figure beyond its bound.
func over(yes bool) string {
	if yes {
		return " (OVER)"
	}
	return ""
}
