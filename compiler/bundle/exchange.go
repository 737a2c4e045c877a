package bundle

import "os"

// twoRenames moves the old directory away and the new one in. Between the two a reader finds nothing, and tries again.
func twoRenames(tmp, path string) error {
	old := tmp + ".old"
	if err := os.Rename(path, old); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Rename(old, path)
		return err
	}
	return os.RemoveAll(old)
}
