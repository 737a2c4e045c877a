//go:build unix

package regular

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOnlyRegularFiles opens all that a path can lead to. What is not a regular file is refused at once, with its path and
// what it is.
func TestOnlyRegularFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(at("file"), []byte("text"), 0o600))
	must(syscall.Mkfifo(at("pipe"), 0o600))
	must(os.Mkdir(at("folder"), 0o700))
	socket, err := net.Listen("unix", at("socket"))
	must(err)
	defer socket.Close()
	must(os.Symlink("file", at("link")))
	must(os.Symlink("pipe", at("link-to-pipe")))
	must(os.Symlink("/dev/null", at("link-to-device")))
	must(os.Symlink("nothing", at("broken")))
	root, err := os.OpenRoot(dir)
	must(err)
	defer root.Close()

	const there, missing = "", "no such file"
	for _, c := range []struct{ name, open, noFollow, in string }{
		{"file", there, there, there},
		{"link", there, "symbolic link", there},
		{"pipe", "named pipe", "named pipe", "named pipe"},
		{"link-to-pipe", "named pipe", "symbolic link", "named pipe"},
		{"folder", "directory", "directory", "directory"},
		{"socket", "socket", "socket", "socket"},
		{"link-to-device", "device", "symbolic link", "path escapes from parent"},
		{"broken", missing, "symbolic link", missing},
		{"none", missing, missing, missing},
	} {
		for _, way := range []struct {
			name, want string
			open       func() (*os.File, error)
		}{
			{"Open", c.open, func() (*os.File, error) { return Open(at(c.name)) }},
			{"OpenNoFollow", c.noFollow, func() (*os.File, error) { return OpenNoFollow(at(c.name)) }},
			{"OpenIn", c.in, func() (*os.File, error) { return OpenIn(root, c.name) }},
		} {
			f, err := promptly(t, way.open)
			if f != nil {
				f.Close()
			}
			var named *fs.PathError
			switch {
			case way.want == there:
				if err != nil {
					t.Errorf("%s %s: %v", way.name, c.name, err)
				}
			case err == nil || !strings.Contains(err.Error(), way.want) || !errors.As(err, &named) || !strings.Contains(err.Error(), c.name):
				t.Errorf("%s %s: %v; want %q", way.name, c.name, err, way.want)
			}
		}
	}
}

// promptly calls open and fails if it waits for something.
func promptly(t *testing.T, open func() (*os.File, error)) (f *os.File, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() { f, err = open(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("open waits")
	}
	return f, err
}

// TestSwapped has a pipe take the place of the file between the question and the opening.
func TestSwapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := promptly(t, func() (*os.File, error) {
		return open(path, os.Stat, func() (*os.File, error) {
			if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
				return nil, err
			}
			return os.OpenFile(path, os.O_RDONLY|nonblock, 0)
		})
	})
	if !errors.Is(err, ErrNotRegular) {
		t.Errorf("got %v", err)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, read := range map[string]func(most int64) ([]byte, error){
		"ReadFile": func(most int64) ([]byte, error) { return ReadFile(path, most) },
		"ReadIn":   func(most int64) ([]byte, error) { return ReadIn(root, "file", most) },
	} {
		if b, err := read(4); err != nil || string(b) != "text" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if b, err := read(3); !errors.Is(err, ErrTooLarge) || b != nil {
			t.Errorf("%s beyond the bound: %q, %v", name, b, err)
		}
	}
}
