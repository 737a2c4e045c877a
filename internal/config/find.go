package config

import (
	"os"
	"path/filepath"
	"strings"
)

// Find returns the path of the settings that govern source: meshc.yaml in the folder of the source or in a folder above
// it, up to the root of its Git repository. Outside a repository only the source's own folder counts. It returns "" when
// there is none.
func Find(source string) string {
	dir := source
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		dir = filepath.Dir(dir)
	}
	root := repository(dir)
	for cur, depth := dir, 0; depth < maxDepth; cur, depth = filepath.Join(cur, ".."), depth+1 {
		if file := filepath.Join(cur, FileName); isFile(file) {
			return file
		}
		if cur == root {
			break
		}
	}
	return ""
}

const maxDepth = 64 // folders from a source up to the root of its repository

// repository is the root of the Git work tree that a folder lies in; outside of one it is the folder. The path is in the
// terms of dir: dir itself, or dir/.., and so on.
func repository(dir string) string {
	for cur, depth := dir, 0; depth < maxDepth; depth++ {
		if _, err := os.Lstat(filepath.Join(cur, ".git")); err == nil {
			return cur
		}
		abs, err := filepath.Abs(cur)
		if err != nil || abs == filepath.Dir(abs) {
			break
		}
		cur = filepath.Join(cur, "..")
	}
	return dir
}

func isFile(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular()
}

// inside tells whether a path is a folder or lies in it, links followed. Of a path where nothing is, the words count.
func inside(root, p string) bool {
	rel, err := filepath.Rel(real(root), real(p))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// real is an absolute path without symbolic links, as far as there is something.
func real(p string) string {
	abs, err := filepath.Abs(p)
	if err != nil {
		return filepath.Clean(p)
	}
	for at, rest := abs, ""; ; at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest) {
		if found, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(found, rest)
		}
		if at == filepath.Dir(at) {
			return abs
		}
	}
}
