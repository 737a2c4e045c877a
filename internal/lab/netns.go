//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A namespace is an anonymous network namespace held by one locked thread of this process. It has no name on the host,
// so two labs cannot clash, and it needs no cleaning: when the process ends, however it ends, the thread ends, the
// kernel kills the children that were started from it (parent death signal) and the namespace goes with its links.
type namespace struct {
	name  string
	file  *os.File // the namespace, to enter it from other threads
	path  string   // the same for the ip command, valid while the thread lives
	calls chan func()
	done  chan struct{}
}

func newNamespace(name string) (*namespace, error) {
	n := &namespace{name: name, calls: make(chan func()), done: make(chan struct{})}
	ready := make(chan error, 1)
	go func() {
		defer close(n.done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine and takes the namespace along
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- fmt.Errorf("lab: new network namespace for %s: %w", name, err)
			return
		}
		n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		f, err := os.Open(n.path)
		n.file = f
		ready <- err
		if err != nil {
			return
		}
		for call := range n.calls {
			call()
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	if err := n.run("ip", "link", "set", "lo", "up"); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// probe tries what a lab needs of the kernel: root in a container may lack the right to it.
var probe = sync.OnceValue(func() error {
	n, err := newNamespace("probe")
	if err != nil {
		return fmt.Errorf("no network namespaces here: %w", err)
	}
	defer n.close()
	if err := n.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"); err != nil {
		return fmt.Errorf("no virtual links here: %w", err)
	}
	if err := intercept(n); err != nil {
		return fmt.Errorf("no redirection of connections here: %w", err)
	}
	return nil
})

// do runs a function on the namespace's own thread; processes started by it live there. The nil namespace is the
// host's.
func (n *namespace) do(f func() error) error {
	if n == nil {
		return f()
	}
	result := make(chan error, 1)
	select {
	case n.calls <- func() { result <- f() }:
		return <-result
	case <-n.done:
		return fmt.Errorf("lab: namespace %s is closed", n.name)
	}
}

// run runs a command in the namespace and returns its complaint as the error.
func (n *namespace) run(argv ...string) error {
	return n.feed("", argv...)
}

// feed is run with a standard input.
func (n *namespace) feed(stdin string, argv ...string) error {
	return n.do(func() error {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("lab: in namespace %s: %s: %w: %s", n.name, strings.Join(argv, " "), err, strings.TrimSpace(out.String()))
		}
		return nil
	})
}

// start starts a long-running process in the namespace that dies with it.
func (n *namespace) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return n.do(cmd.Start)
}

// within runs a function on a thread of its own that has entered the namespace, so that slow calls do not queue.
func (n *namespace) within(f func() error) error {
	if n == nil {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
		if err != nil {
			result <- err
			return
		}
		defer home.Close()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("lab: enter namespace %s: %w", n.name, err)
			return
		}
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // else the thread is given up, not reused in a wrong namespace
		}
		result <- err
	}()
	return <-result
}

// dial connects from inside the namespace. The address must be an IP and a port: names are not looked up there.
func (n *namespace) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.within(func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// listen opens a listening socket inside the namespace; the caller serves it from anywhere.
func (n *namespace) listen(address string) (l net.Listener, err error) {
	err = n.within(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	return l, err
}

// close ends the thread and with it the namespace; sockets still open keep it alive until they are closed.
func (n *namespace) close() {
	if n == nil {
		return
	}
	close(n.calls)
	<-n.done
	n.file.Close()
}
