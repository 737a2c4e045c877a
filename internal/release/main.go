// Command release makes what is published of a version, from a clone whose tree is committed: for each platform an archive with the
// static binary, completions and manual pages; an image of several platforms as an OCI archive; the chart; a bill of materials
// for each binary; and the digests of all of them.
//
// The same commit gives the same bytes, in whatever folder it lies: the Go tool builds with trimmed paths and stamps the
// version from Git, all other files are made of these binaries and of the tree, and times are that of the commit. So two people who
// build a release can compare SHA256SUMS, and need not believe each other.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	var r release
	platforms := flag.String("platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64", "what to build for")
	flag.StringVar(&r.dir, "o", "dist", "folder to write")
	flag.StringVar(&r.push, "push", "", "repository to push the image to, by the credentials of docker login; nothing else is published")
	flag.StringVar(&r.root, "root", "", "folder to write the files of the image of one platform to, and nothing else")
	flag.BoolVar(&r.dirty, "dirty", false, "release what is not committed, too: nobody else can make the same")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := r.run(ctx, strings.Split(*platforms, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is one that is made.
type release struct {
	dir, push, root string
	dirty           bool
}

// run makes everything in the order in which one thing needs the other.
func (r *release) run(ctx context.Context, platforms []string) error {
	work, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	programs, err := build(ctx, work, platforms)
	if err != nil {
		return err
	}
	if r.root != "" {
		return programs[0].unpack(r.root)
	}
	v := programs[0].version
	if v.dirty && !r.dirty {
		return fmt.Errorf("the tree has changes that are not committed, or no Git: its version would be %s (see -dirty)", v.name)
	}
	image, err := makeImage(programs)
	if err != nil {
		return err
	}
	out, err := artefacts(ctx, work, programs, image)
	if err != nil {
		return err
	}
	if err := write(r.dir, append(out, sums(out))); err != nil {
		return err
	}
	if r.push != "" {
		return image.push(ctx, r.push, v)
	}
	return nil
}

// artefacts are the files of a release, but for their digests.
func artefacts(ctx context.Context, work string, programs []*program, image *image) ([]file, error) {
	v := programs[0].version
	beside, err := accompany(ctx, work)
	if err != nil {
		return nil, err
	}
	var out []file
	for _, p := range programs {
		bill, err := p.bill()
		if err != nil {
			return nil, err
		}
		archive, err := p.archive(beside)
		if err != nil {
			return nil, err
		}
		out = append(out, bill, archive)
	}
	if image != nil {
		archive, err := image.archive(v)
		if err != nil {
			return nil, err
		}
		out = append(out, archive)
	}
	chart, err := packageChart(os.DirFS("deploy/chart"), v)
	return append(out, chart), err
}

// file is one that is published.
type file struct {
	name string
	text []byte
}

func write(dir string, files []file) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Join(dir, f.name)
		if err := os.WriteFile(name, f.text, 0o644); err != nil {
			return err
		}
		fmt.Println(name)
	}
	return nil
}
