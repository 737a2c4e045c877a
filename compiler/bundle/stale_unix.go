//go:build unix && !solaris && !illumos && !aix

package bundle

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// claim locks what is at a path until the file is closed: what is not locked belongs to nobody who lives. It fails where
// somebody else has the lock, or took what is there for stale before it was locked.
func claim(name string) (*os.File, bool) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false
	}
	own, err := f.Stat()
	if err == nil && syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		if there, err := os.Lstat(name); err == nil && os.SameFile(own, there) {
			return f, true
		}
	}
	_ = f.Close()
	return nil, false
}

// temporary is how the names go on that writers give to what is not finished.
var temporary = regexp.MustCompile(`^[0-9]+(\.old)?$`)

// sweep removes what writers of a bundle left beside it that were killed: by the form of its name, if it is this user's, is
// what such a writer makes, and is not claimed. An old bundle that was moved aside stays until there is a new one.
func sweep(path string) {
	dir, prefix := filepath.Dir(path), temporaryPrefix(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	_, missing := os.Lstat(path)
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || !temporary.MatchString(rest) || missing != nil && strings.HasSuffix(rest, ".old") {
			continue
		}
		if name := filepath.Join(dir, e.Name()); stale(name) {
			_ = os.RemoveAll(name)
		}
	}
}

// stale tells whether something was made by a writer that is gone.
func stale(name string) bool {
	info, err := os.Lstat(name)
	if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
		return false
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return false
	}
	if info.IsDir() {
		entries, err := os.ReadDir(name)
		if err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !e.Type().IsRegular() || !known(e.Name()) }) {
			return false
		}
	}
	f, ok := claim(name)
	if ok {
		_ = f.Close()
	}
	return ok
}
