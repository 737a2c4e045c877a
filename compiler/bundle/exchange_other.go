//go:build !linux

package bundle

func exchange(tmp, path string) error { return twoRenames(tmp, path) }
