package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Unavailable says why no lab can run here, nil if one can.
func Unavailable() error {
	if runtime.GOOS != "linux" {
		return errors.New("network namespaces need Linux")
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	for _, tool := range []string{"ip", "iptables-restore"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed", tool)
		}
	}
	if _, err := FindEnvoy(); err != nil {
		return err
	}
	return probe()
}

// FindEnvoy finds the proxy: the variable ENVOY, then the folder .cache of the project, then PATH.
func FindEnvoy() (string, error) {
	if e := os.Getenv("ENVOY"); e != "" {
		i, err := os.Stat(e)
		switch {
		case err != nil:
			return "", fmt.Errorf("envoy: the variable ENVOY names a file that is not there: %w", err)
		case !i.Mode().IsRegular() || i.Mode()&0o111 == 0:
			return "", fmt.Errorf("envoy: the variable ENVOY names %s, which is not a program", e)
		}
		return e, nil
	}
	if root, err := moduleRoot(); err == nil {
		for _, pattern := range []string{".cache/envoy", ".cache/*/envoy", ".cache/*/*/envoy", ".cache/*/*/*/envoy"} {
			found, _ := filepath.Glob(filepath.Join(root, pattern))
			for _, f := range found {
				if i, err := os.Stat(f); err == nil && i.Mode().IsRegular() && i.Mode()&0o111 != 0 {
					return f, nil
				}
			}
		}
	}
	if e, err := exec.LookPath("envoy"); err == nil {
		return e, nil
	}
	return "", errors.New("no envoy: not in the variable ENVOY, not in .cache (make tools fetches it), not in PATH")
}

// shared returns the program itself if every user can run it, else a copy in dir.
func shared(program, dir string) (string, error) {
	abs, err := filepath.Abs(program)
	if err != nil {
		return "", err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", err
	}
	if reachable(abs) {
		return abs, nil
	}
	src, err := os.Open(abs)
	if err != nil {
		return "", err
	}
	defer src.Close()
	dst, err := os.OpenFile(filepath.Join(dir, filepath.Base(abs)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return "", err
	}
	return dst.Name(), dst.Close()
}

// reachable tells whether every user may enter a folder, or run a program, by its absolute path.
func reachable(path string) bool {
	for p := path; ; p = filepath.Dir(p) {
		if i, err := os.Stat(p); err != nil || i.Mode()&0o001 == 0 {
			return false
		}
		if p == filepath.Dir(p) {
			return true
		}
	}
}

// moduleRoot is the folder of go.mod, seen from the working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = up
	}
}

// Build builds a command of this module into a folder.
func Build(ctx context.Context, pkg, into string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	out := filepath.Join(into, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "./"+pkg)
	cmd.Dir = root
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", pkg, err, b)
	}
	return out, nil
}

const statePrefix = "meshc-lab-"

// StateDir makes a folder for one run, named after the process that owns it, and removes those of dead processes:
// nothing else of a crashed lab is left, since its namespaces and processes end with it.
func StateDir() (string, error) {
	parent := os.TempDir()
	if i := slices.IndexFunc([]string{parent, "/tmp", "/var/tmp"}, reachable); i > 0 { // a folder of one user's own
		parent = []string{parent, "/tmp", "/var/tmp"}[i]
	}
	old, _ := filepath.Glob(filepath.Join(parent, statePrefix+"*"))
	for _, d := range old {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(d), statePrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			os.RemoveAll(d)
		}
	}
	dir, err := os.MkdirTemp(parent, statePrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755) // proxies and applications run as other users
}

// tail returns the end of a log, for errors.
func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	const most = 3000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(b)
}

// FreePorts returns ports that nobody listens on, at any address. They are below the range that the kernel gives to
// outgoing connections, so that none of those takes one before it is used.
func FreePorts(n int) ([]string, error) {
	const lowest, highest = 10000, 32000
	var ports []string
	for try := 0; len(ports) < n; try++ {
		p := strconv.Itoa(lowest + rand.IntN(highest-lowest))
		l, err := net.Listen("tcp", ":"+p)
		if err != nil {
			if try > 1000 {
				return nil, fmt.Errorf("no free port between %d and %d: %w", lowest, highest, err)
			}
			continue
		}
		defer l.Close() // held until all are found, so that they differ
		ports = append(ports, p)
	}
	return ports, nil
}
