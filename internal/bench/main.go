//go:build unix

// Command bench measures the compiler on a mesh of many services, and the server with a proxy's stream for each pod.
//
//	go run ./internal/bench -services 1000
//
// For the default scope and for a scoped mesh it prints the wall time, CPU time and peak memory of a cold meshc compile
// (a process of its own), the CPU of each phase measured alone in this process, and what the whole costs in units of
// decoding the same YAML once. With twice the services it shows how the cost grows. The mesh comes from meshgen.py where
// the folder -shared has one, else from internal/meshgen; the load of the streams from the program adsload there.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
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
	meshc             string
	dir               string
}

func main() {
	b := &bench{}
	flag.IntVar(&b.services, "services", 1000, "services of the mesh")
	flag.IntVar(&b.streams, "streams", 2001, "ADS streams to the server; 0: leave the server out")
	flag.StringVar(&b.shared, "shared", "../shared/bench", "folder with meshgen.py and adsload")
	flag.StringVar(&b.meshc, "meshc", "", "program to measure; built from this module when empty")
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
	var scoped string
	for _, s := range []bool{false, true} {
		dir, err := b.measure(ctx, s)
		if err != nil {
			return err
		}
		scoped = dir
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
		c.peakMiB = int64(u.Maxrss) / 1024
		if runtime.GOOS == "darwin" {
			c.peakMiB /= 1024 // bytes there, KiB elsewhere
		}
	}
	return c, nil
}

func last(out []byte) []byte { return out[max(0, len(out)-2000):] }

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
	one, err := b.compile(ctx, dir)
	if err != nil {
		return "", err
	}
	ph, err := phases(ctx, filepath.Join(dir, "repo"))
	if err != nil {
		return "", err
	}
	double, err := b.generate(ctx, 2*b.services, scoped)
	if err != nil {
		return "", err
	}
	two, err := b.compile(ctx, double)
	if err != nil {
		return "", err
	}
	fmt.Printf("%s: %d documents, %.1f MB of YAML\n", name, ph.documents, float64(ph.bytes)/1e6)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "  meshc compile, cold\t%.2f s\tCPU %.2f s\tpeak %d MiB\n", one.wall.Seconds(), one.cpu.Seconds(), one.peakMiB)
	fmt.Fprintf(w, "  the same, twice the services\t%.2f s\tCPU %.2f s\tpeak %d MiB\tCPU %.2f times\n", two.wall.Seconds(), two.cpu.Seconds(), two.peakMiB, two.cpu.Seconds()/one.cpu.Seconds())
	fmt.Fprintf(w, "  decoding the YAML once\t\tCPU %.2f s\tcompile is %.1f times that\n", ph.decode.Seconds(), one.cpu.Seconds()/ph.decode.Seconds())
	for _, p := range ph.list {
		fmt.Fprintf(w, "  %s\t%.2f s\tCPU %.2f s\n", p.name, p.wall.Seconds(), p.cpu.Seconds())
	}
	fmt.Fprintln(w)
	return dir, w.Flush()
}
