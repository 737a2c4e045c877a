// Package regular opens and reads regular files, and nothing else. Opening a named pipe waits for a writer that may never
// come, and opening a device may do something to it, so whoever reads a path that others can write to asks first what lies
// there, opens it in a way that does not wait, and asks the open file again: what lay there may have been swapped meanwhile.
//
// A file of a network file system that hangs cannot be opened without waiting. Who has other things to do reads aside from
// them, and without holding a lock.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrNotRegular is the cause of an error about a path that leads to something other than a regular file. The error names
// the path, and says what is there.
var ErrNotRegular = errors.New("not a regular file")

// ErrTooLarge is the cause of an error about a file with more bytes than its reader allows.
var ErrTooLarge = errors.New("too large")

// Open opens the regular file that the path leads to, through links if need be. Every error is an *fs.PathError.
func Open(path string) (*os.File, error) {
	return open(path, os.Stat, func() (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|nonblock, 0) })
}

// OpenNoFollow opens the regular file at the path. Where the system can tell, a link is refused, too.
func OpenNoFollow(path string) (*os.File, error) {
	return open(path, os.Lstat, func() (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|nonblock|nofollow, 0) })
}

// OpenIn opens the regular file of a name below a root, which links do not leave.
func OpenIn(root *os.Root, name string) (*os.File, error) {
	return open(name, root.Stat, func() (*os.File, error) { return root.OpenFile(name, os.O_RDONLY|nonblock, 0) })
}

func open(path string, stat func(string) (fs.FileInfo, error), how func() (*os.File, error)) (*os.File, error) {
	fi, err := stat(path)
	if err != nil {
		return nil, err
	}
	if err := Check(path, fi.Mode()); err != nil {
		return nil, err
	}
	f, err := how()
	if err != nil {
		return nil, err
	}
	if fi, err = f.Stat(); err == nil {
		err = Check(path, fi.Mode())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// ReadFile reads the regular file that the path leads to, if it has no more than most bytes.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	return readAll(f, path, most)
}

// ReadIn reads the regular file of a name below a root, if it has no more than most bytes.
func ReadIn(root *os.Root, name string, most int64) ([]byte, error) {
	f, err := OpenIn(root, name)
	if err != nil {
		return nil, err
	}
	return readAll(f, name, most)
}

// readAll reads and closes a file.
func readAll(f fs.File, path string, most int64) ([]byte, error) {
	defer func() { _ = f.Close() }()
	over := false // known beforehand of most files; those of the system say nothing of their size
	if info, err := f.Stat(); err == nil {
		over = info.Size() > most
	}
	var data []byte
	var err error
	if !over {
		data, err = io.ReadAll(io.LimitReader(f, most+1))
	}
	if err == nil && (over || int64(len(data)) > most) {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, most)}
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Check returns an error with the cause ErrNotRegular unless the mode is that of a regular file.
func Check(path string, mode fs.FileMode) error {
	if mode.IsRegular() {
		return nil
	}
	return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("%w, but a %s", ErrNotRegular, Kind(mode))}
}

// Kind names what a mode that is not a regular file's stands for.
func Kind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}
