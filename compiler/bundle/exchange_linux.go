package bundle

import (
	"golang.org/x/sys/unix"
)

// exchange swaps two directories in one step; the kernel has it since 3.15. Where the file system does not, two renames
// come close.
func exchange(tmp, path string) error {
	if unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE) == nil {
		return nil
	}
	return twoRenames(tmp, path)
}
