package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"
)

// program is the binary for one platform.
type program struct {
	os, arch string
	path     string
	info     *debug.BuildInfo
	version  version
}

// version is what the Go tool stamped into a binary.
type version struct {
	name  string    // v1.2.0, or a pseudo-version where the commit has no tag
	time  time.Time // of the commit
	dirty bool      // the tree had changes, or there was no Git
}

// tag is the version where neither + nor the parentheses of (devel) may stand.
func (v version) tag() string { return strings.NewReplacer("+", "-", "(", "", ")", "").Replace(v.name) }

// number is the version without its v, as charts have it.
func (v version) number() string { return strings.TrimPrefix(v.name, "v") }

// build builds one binary for each platform, which is OS/ARCHITECTURE.
func build(ctx context.Context, work string, platforms []string) ([]*program, error) {
	var out []*program
	for _, platform := range platforms {
		system, arch, ok := strings.Cut(platform, "/")
		if !ok {
			return nil, fmt.Errorf("%s is no platform: write linux/amd64", platform)
		}
		p := &program{os: system, arch: arch, path: filepath.Join(work, system+"-"+arch, "meshc")}
		if err := gobuild(ctx, p.path, "GOOS="+system, "GOARCH="+arch); err != nil {
			return nil, fmt.Errorf("%s: %w", platform, err)
		}
		info, err := buildinfo.ReadFile(p.path)
		if err != nil {
			return nil, err
		}
		p.info, p.version = info, stamped(info)
		out = append(out, p)
	}
	return out, nil
}

// gobuild builds the binary without symbols, as those who debug build their own.
func gobuild(ctx context.Context, path string, env ...string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", path, "./cmd/meshc")
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

func stamped(info *debug.BuildInfo) version {
	v := version{name: info.Main.Version, dirty: true}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.modified":
			v.dirty = s.Value != "false"
		case "vcs.time":
			v.time, _ = time.Parse(time.RFC3339, s.Value) // as the Go tool writes it; without it the time is zero
		}
	}
	return v
}
