//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// process is a program that the lab runs.
type process struct {
	name string // POD.app, POD.envoy, server
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// launch starts a process in a namespace as a user, with its output in a log of the lab.
func (l *Lab) launch(ns *namespace, name string, uid uint32, cmd *exec.Cmd) error {
	p := &process{name: name, cmd: cmd, log: filepath.Join(l.dir, name+".log"), done: make(chan struct{})}
	// An access log may go to /dev/stdout: Envoy opens that again by name, as its own user, and both append.
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	if uid != 0 {
		if err := out.Chown(int(uid), int(uid)); err != nil {
			return err
		}
	}
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if uid != 0 {
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	}
	if err := ns.start(cmd); err != nil {
		return fmt.Errorf("lab: start %s: %w", name, err)
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	l.processes = append([]*process{p}, l.processes...) // the newest of a name is found first
	return nil
}

// poll tries until it works, at most half a minute.
func poll(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pollWhile is poll, but gives up when the process ends.
func (l *Lab) pollWhile(ctx context.Context, name string, try func() error) error {
	i := slices.IndexFunc(l.processes, func(p *process) bool { return p.name == name })
	if i < 0 {
		return poll(ctx, try)
	}
	p := l.processes[i]
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-p.done:
			stop()
		case <-ctx.Done():
		}
	}()
	err := poll(ctx, try)
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %v", p.cmd.Path, p.cmd.ProcessState)
	default:
		return err
	}
}

func (l *Lab) waitReady(ctx context.Context, name string, ns *namespace, address, path string) error {
	log := filepath.Join(l.dir, name+".log")
	client := clientIn(ns, nil)
	defer client.CloseIdleConnections()
	err := l.pollWhile(ctx, name, func() error {
		resp, err := client.Get("http://" + address + path)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 {
			return fmt.Errorf("%s answers %d %s", path, resp.StatusCode, body)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("lab: %s does not become ready: %w\n%s%s", name, err, tail(log), l.serverLog(name))
	}
	return nil
}

func (l *Lab) serverLog(of string) string {
	if of == "server" {
		return ""
	}
	return "\nserver:\n" + tail(filepath.Join(l.dir, "server.log"))
}

// Stop kills the application and the proxy of a workload, as if its machine had died: its address refuses connections.
func (l *Lab) Stop(workload string) error { return l.kill(workload+".app", workload+".envoy") }

// RestartServer kills the server, does something while there is none, and starts it again.
func (l *Lab) RestartServer(ctx context.Context, between func() error) error {
	if err := l.kill("server"); err != nil {
		return err
	}
	if err := between(); err != nil {
		return err
	}
	return l.startServer(ctx, l.net.hub, serverADS, serverAdmin)
}

// HandOver starts a second server beside the first, has new streams go to it as a balancer does that sees one ready and one about to
// end, and ends the first in order.
func (l *Lab) HandOver(ctx context.Context) error {
	const ads, admin = "127.0.0.1:18010", "127.0.0.1:18011"
	if err := l.startServer(ctx, l.net.hub, ads, admin); err != nil {
		return err
	}
	to := ads
	l.ads.Store(&to)
	for _, p := range l.processes {
		if p.name == "server" {
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return err
			}
			<-p.done
			return nil
		}
	}
	return errors.New("lab: there is no server")
}

// kill ends the processes of these names.
func (l *Lab) kill(names ...string) error {
	found := false
	for _, p := range l.processes {
		if slices.Contains(names, p.name) {
			found = true
			p.cmd.Process.Kill()
			<-p.done
		}
	}
	if !found {
		return fmt.Errorf("lab: there is no process %s", strings.Join(names, " or "))
	}
	return nil
}
