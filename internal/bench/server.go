//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/meshc/meshc/internal/lab"
)

// serve measures the server with the streams of all proxies: warm-up, then one changed timeout.
func (b *bench) serve(ctx context.Context, dir string) error {
	driver := filepath.Join(b.shared, "adsload")
	if _, err := os.Stat(driver); err != nil {
		fmt.Printf("server: left out, since %s is not there\n", driver)
		return nil
	}
	load := filepath.Join(b.dir, "adsload")
	build := exec.CommandContext(ctx, "go", "build", "-o", load, ".")
	build.Dir = driver
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", driver, err, out)
	}
	ports, err := lab.FreePorts(2)
	if err != nil {
		return err
	}
	ads, admin := "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil && limit.Cur < uint64(2*b.streams) {
		fmt.Printf("server: the limit of open files is %d; raise it (ulimit -n) if streams fail\n", limit.Cur)
	}
	server := exec.CommandContext(ctx, b.meshc, "serve", filepath.Join(dir, "bundle"), "--watch", "--xds-address", ads, "--admin-address", admin)
	log, err := os.Create(filepath.Join(b.dir, "server.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	if err := waitFor("http://" + admin + "/readyz"); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("meshc serve: %w: %s", err, last(text))
	}
	change, err := b.change(dir)
	if err != nil {
		return err
	}
	for _, mode := range []string{"delta", "sotw"} {
		args := []string{"-addr", ads, "-nodes", filepath.Join(dir, "nodes.json"), "-streams", strconv.Itoa(b.streams), "-mode", mode, "-pid", strconv.Itoa(server.Process.Pid)}
		if mode == "delta" {
			args = append(args, "-then", change)
		}
		fmt.Printf("server, scoped mesh, %d streams, %s:\n", b.streams, mode)
		cmd := exec.CommandContext(ctx, load, args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("adsload: %w: server: %s", err, last(text))
		}
	}
	return nil
}

// change prepares one changed timeout in one VirtualService: the command that puts the new bundle where the server
// watches. The compile is done before, so that the phase measures the spread alone.
func (b *bench) change(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "repo/intent/*/*-00000.yaml"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("the first service of %s: %v", dir, files)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return "", err
	}
	text = regexp.MustCompile(`timeout: 3s`).ReplaceAll(text, []byte("timeout: 4s"))
	if err := os.WriteFile(files[0], text, 0o644); err != nil {
		return "", err
	}
	next := filepath.Join(dir, "next")
	if out, err := exec.Command(b.meshc, "compile", filepath.Join(dir, "repo"), "-o", next).CombinedOutput(); err != nil {
		return "", fmt.Errorf("meshc compile: %w: %s", err, last(out))
	}
	bundle := filepath.Join(dir, "bundle")
	return fmt.Sprintf("mv %s %s.old && mv %s %s", bundle, bundle, next, bundle), nil
}

// waitFor waits until a page is there, at most five minutes.
func waitFor(url string) (err error) {
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var resp *http.Response
		if resp, err = http.Get(url); err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		err = fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return err
}
