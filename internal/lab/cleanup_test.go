//go:build linux

package lab

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Two labs with the same pods and addresses do not see each other.
func TestSideBySide(t *testing.T) {
	require(t)
	var labs [2]*Lab
	for i := range labs {
		l := &Lab{spec: built(t, Spec{}), members: map[string]*member{}, repo: &repository{}}
		t.Cleanup(func() { l.Close() })
		var err error
		if l.dir, err = StateDir(); err != nil {
			t.Fatal(err)
		}
		if err := l.tools(context.Background()); err != nil {
			t.Fatal(err)
		}
		if l.net, err = newNetwork(); err != nil {
			t.Fatal(err)
		}
		for _, w := range []*Workload{
			{Name: "client", Namespace: "default", Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.1")}},
			{Name: "app", Namespace: "default", Labels: map[string]string{"version": fmt.Sprint("lab", i)}, Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.2")}, HTTP: []string{"8080"}},
		} {
			if err := l.startWorkload(w); err != nil {
				t.Fatal(err)
			}
		}
		labs[i] = l
	}
	for i, l := range labs {
		r, err := l.Get(context.Background(), "client", "http://10.1.0.2:8080/")
		if err != nil || r.Echo.Version != fmt.Sprint("lab", i) {
			t.Errorf("lab %d was answered by %+v, %v", i, r, err)
		}
	}
}

// A lab that is killed leaves no process and no interface, and the next one removes its files.
func TestCrash(t *testing.T) {
	if os.Getenv("MESHC_LAB_CRASH") == "1" {
		crash(t)
		return
	}
	require(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrash$")
	cmd.Env = append(os.Environ(), "MESHC_LAB_CRASH=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	var pid int
	for s := bufio.NewScanner(out); s.Scan(); {
		if n, err := fmt.Sscanf(s.Text(), "crash me: %d %s", &pid, &dir); n == 2 && err == nil {
			break
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	if dir == "" {
		t.Fatal("the lab did not start")
	}
	eventually(t, func() error {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err == nil && !strings.Contains(string(b), ") Z ") {
			return fmt.Errorf("process %d outlives its lab", pid)
		}
		return nil
	})
	next, err := StateDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(next)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

// crash starts a part of a lab and waits to be killed.
func crash(t *testing.T) {
	dir, err := StateDir()
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{dir: dir, members: map[string]*member{}, repo: &repository{}}
	if l.net, err = newNetwork(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	if err := l.launch(l.net.hub, "sleep", AppUID, cmd); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("crash me: %d %s\n", cmd.Process.Pid, dir)
	syscall.Pause()
}
