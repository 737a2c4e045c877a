//go:build unix

package bundle

import (
	"os"
	"syscall"
)

// openNoFollow opens a file, not what a link put in its place since points to, and does not hang on a pipe.
func openNoFollow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}
